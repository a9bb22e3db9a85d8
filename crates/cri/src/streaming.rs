//! Byte streams that carry exec, attach and port-forward sessions.

use tokio::io::{AsyncRead, AsyncWrite};

/// A bidirectional byte stream: a TCP or unix connection, or an in-memory pipe.
pub trait StreamingIo: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> StreamingIo for T {}
