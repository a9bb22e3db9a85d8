//! gRPC as Kubernetes' node plugins and etcd speak it: unary calls and server streams, over a unix socket, TCP, or what a
//! [`Connector`] opens.
//!
//! A call is one HTTP/2 request whose bodies are length-prefixed protobuf messages and whose outcome is in the
//! trailers. Upon hyper and prost, which are here anyway, that is a few hundred lines; a framework for it would bring
//! a dozen crates and code generation for services that we know by heart. Client streams, compression and reflection
//! are left out: neither CRI nor device plugins use them, and etcd's watches do with the first message of theirs.
//!
//! - [`Router`] and [`serve`] answer calls: `Router::new().unary("/pkg.Service/Method", |request: Q| async { .. })`.
//! - [`Channel`] makes them: `channel.unary::<Q, A>("/pkg.Service/Method", &request, timeout).await`.
//! - [`Status`] is what a call fails with, [`Code`] gRPC's own codes.
//!
//! This crate knows HTTP/2 and bytes. It must never know a service.

mod authority;
pub mod client;
mod frame;
mod hpack;
pub mod server;
pub mod socket;
pub mod status;
#[cfg(test)]
mod tests;

pub use client::{ByteStream, Channel, Connector, Endpoint, Options};
pub use server::{Messages, Router, serve};
pub use status::{Code, Status};

/// The largest message taken or sent, as upstream's kubelet has it.
pub const MAX_MESSAGE_BYTES: usize = 16 << 20;
