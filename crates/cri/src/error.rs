//! What a call across a node boundary can fail with.

/// The outcome of a call.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a call failed. The variants are the gRPC codes that the kubelet tells apart.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// No such sandbox, container or image (`NOT_FOUND`).
    #[error("{0}")]
    NotFound(String),
    /// The request can never succeed as it stands (`INVALID_ARGUMENT`).
    #[error("{0}")]
    InvalidArgument(String),
    /// The runtime is not able to take calls now (`UNAVAILABLE`).
    #[error("{0}")]
    Unavailable(String),
    /// The deadline passed (`DEADLINE_EXCEEDED`); `exec_sync` answers this when its command ran too long.
    #[error("{0}")]
    DeadlineExceeded(String),
    /// Anything else (`UNKNOWN`), in words for the user.
    #[error("{0}")]
    Failed(String),
}
