//! CRI v1 over a unix socket, in both directions.
//!
//! [`CriServer`] serves any [`cri::Runtime`] to `crictl` and whoever else speaks CRI; [`connect`] makes a
//! [`cri::Runtime`] of a socket that another runtime (containerd, CRI-O) serves. The messages are `cri`'s own on both
//! sides, so nothing is translated but failures ([`status`]).
//!
//! This crate knows CRI and sockets. It must never know a runtime, the kubelet or Kubernetes objects.

mod client;
mod server;
mod status;
#[cfg(test)]
mod tests;

pub use client::{EndpointError, connect};
pub use server::CriServer;

/// The path of a method of CRI's `RuntimeService`.
macro_rules! runtime_method {
    ($name:literal) => {
        concat!("/runtime.v1.RuntimeService/", $name)
    };
}

/// The path of a method of CRI's `ImageService`.
macro_rules! image_method {
    ($name:literal) => {
        concat!("/runtime.v1.ImageService/", $name)
    };
}

pub(crate) use {image_method, runtime_method};
