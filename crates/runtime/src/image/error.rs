//! What image work can fail with, and the words users see.

use std::error::Error as _;
use std::io;
use std::path::{Path, PathBuf};

use super::digest::Digest;
use super::manifest::ManifestError;
use super::reference::ParseReferenceError;
use super::unpack::UnpackError;

/// Why something about images failed. Texts name the act; causes follow as sources ([`ImageError::explain`]).
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A text that is no image name.
    #[error("couldn't parse image name {name:?}")]
    Name {
        /// As the user wrote it.
        name: String,
        /// Which rule it breaks.
        #[source]
        source: ParseReferenceError,
    },
    /// No such image here.
    #[error("image {0:?} not found")]
    NotFound(String),
    /// A pull failed.
    #[error("failed to pull and unpack image {image:?}")]
    Pull {
        /// The full name.
        image: String,
        /// What failed.
        #[source]
        source: PullError,
    },
    /// An archive could not be imported.
    #[error("importing {path:?}")]
    Import {
        /// The archive.
        path: PathBuf,
        /// What failed.
        #[source]
        source: ArchiveError,
    },
    /// The store on disk could not be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a pull failed.
#[derive(Debug, thiserror::Error)]
pub enum PullError {
    /// No endpoint gave the manifest.
    #[error("failed to resolve reference {image:?}")]
    Resolve {
        /// The full name.
        image: String,
        /// The most telling endpoint's answer.
        #[source]
        source: RegistryError,
    },
    /// The registry did not deliver a blob.
    #[error("failed to fetch {digest}")]
    Fetch {
        /// The blob.
        digest: Digest,
        /// What the registry said.
        #[source]
        source: RegistryError,
    },
    /// A document of the image makes no sense.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// Manifest and configuration disagree.
    #[error("mismatched image rootfs and manifest layers: {diff_ids} and {layers}")]
    LayerCount {
        /// Layers according to the configuration.
        diff_ids: usize,
        /// Layers according to the manifest.
        layers: usize,
    },
    /// A layer could not be applied.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Credentials that can't be used.
    #[error("can't use these credentials: {0}")]
    Credentials(&'static str),
}

/// What a registry answered, or why it did not.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// 404, or an error code that means it.
    #[error("{0}: not found")]
    NotFound(String),
    /// 401 and 403. Registries say this of repositories that don't exist, too.
    #[error("pull access denied, repository does not exist or may require authorization: {0}")]
    Denied(String),
    /// No connection, a broken one, or an answer out of line.
    #[error("failed to do request to {endpoint}")]
    Request {
        /// The endpoint.
        endpoint: String,
        /// What failed.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// More bytes than the descriptor or a limit allows.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What was fetched.
        what: String,
        /// The limit.
        limit: u64,
    },
}

/// Why a layer could not be applied.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The tar stream could not be unpacked.
    #[error("failed to extract layer {diff_id}")]
    Unpack {
        /// Digest of the uncompressed layer.
        diff_id: Digest,
        /// What failed.
        #[source]
        source: UnpackError,
    },
    /// The content is not what its digest says.
    #[error("wrong digest of layer: expected {expected}, got {actual}")]
    Digest {
        /// What manifest or configuration says.
        expected: Digest,
        /// What arrived.
        actual: Digest,
    },
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The task that unpacked was ended by a panic.
    #[error("unpacking layer {0} was aborted")]
    Aborted(Digest),
}

/// Why an archive could not be imported.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The file could not be read.
    #[error("reading the archive")]
    Read(#[source] io::Error),
    /// It has neither `index.json` nor `manifest.json`.
    #[error("not a docker-save or OCI archive: it has neither index.json nor manifest.json")]
    NotAnArchive,
    /// Something it refers to is missing.
    #[error("the archive lacks {0}")]
    Missing(String),
    /// A document is malformed.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
    /// No name is given, neither inside nor by the caller.
    #[error("the archive names no image; save it by name and tag")]
    Unnamed,
    /// A name inside is none.
    #[error("bad image name {name:?} in the archive")]
    Name {
        /// The name.
        name: String,
        /// The rule it breaks.
        #[source]
        source: ParseReferenceError,
    },
    /// Layers and configuration disagree.
    #[error("the archive has {layers} layers where the configuration has {diff_ids}")]
    LayerCount {
        /// Layers according to the configuration.
        diff_ids: usize,
        /// Layers in the archive.
        layers: usize,
    },
    /// A layer could not be applied.
    #[error(transparent)]
    Layer(#[from] LayerError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why the store on disk could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("{act} {path:?}")]
    Io {
        /// What was tried, as in "reading".
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// Why not.
        #[source]
        source: io::Error,
    },
    /// The index is damaged or of a later version.
    #[error("image index {path:?} can't be read")]
    Index {
        /// The index file.
        path: PathBuf,
        /// Why not.
        #[source]
        source: serde_json::Error,
    },
    /// A container id that can't be a directory name.
    #[error("invalid container id {0:?}")]
    ContainerId(String),
    /// No snapshot of that container.
    #[error("no snapshot for container {0:?}")]
    NoSnapshot(String),
}

impl StoreError {
    /// For `map_err`: wraps an I/O error with what was tried.
    pub(crate) fn io<E: Into<io::Error>>(act: &'static str, path: impl AsRef<Path>) -> impl FnOnce(E) -> Self {
        let path = path.as_ref().to_owned();
        move |source| Self::Io { act, path, source: source.into() }
    }
}

impl ImageError {
    /// The whole chain of causes in one line, as users see it in events.
    pub fn explain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = self.source();
        while let Some(error) = cause {
            let next = error.to_string();
            if !text.ends_with(&next) {
                text.push_str(": ");
                text.push_str(&next);
            }
            cause = error.source();
        }
        text
    }

    /// The error as CRI has it.
    pub fn to_cri(&self) -> cri::Error {
        let text = self.explain();
        match self {
            Self::Name { .. } => cri::Error::InvalidArgument(text),
            Self::NotFound(_)
            | Self::Pull { source: PullError::Resolve { source: RegistryError::NotFound(_), .. }, .. } => {
                cri::Error::NotFound(text)
            }
            _ => cri::Error::Failed(text),
        }
    }
}

impl From<ImageError> for cri::Error {
    fn from(error: ImageError) -> Self {
        error.to_cri()
    }
}
