//! SPDY/3.1 as Kubernetes' clients speak it: many streams over one connection that was upgraded from HTTP/1.1.
//!
//! Browsers gave the protocol up for HTTP/2 long ago; `kubectl exec`, `attach` and `port-forward` still use it, directly
//! or inside a WebSocket. What they use is small: streams that the client opens with a few headers, data both ways,
//! pings. There is no flow control beyond that of the connection, because their own library has none: it neither sends
//! nor heeds window updates.
//!
//! - [`Session::serve`] is the side that answers; [`Session::accept`] gives the [`Stream`]s the client opens.
//! - `frame` turns bytes into frames and back, `headers` compresses them, both pure.
//!
//! This crate knows bytes. It must never know what streams are for.

mod dictionary;
mod frame;
mod headers;
mod session;
#[cfg(test)]
mod tests;

pub use headers::Headers;
pub use session::{Closed, Session, Stream, StreamReader, StreamWriter};

/// Name of the protocol in an `Upgrade` header.
pub const PROTOCOL: &str = "SPDY/3.1";
