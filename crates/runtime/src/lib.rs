//! The embedded container runtime: Pod sandboxes, containers and images behind CRI.
//!
//! ```text
//! runtime      EmbeddedRuntime: CRI's calls            sandbox, container   one file per act; plan is pure
//! shim         the process that keeps a Pod alive      shim_client          talking to it
//! streaming    exec and attach over WebSockets         layout               what is where on disk
//! image        images and their store                  snapshot             root file systems from them
//! metrics      what cAdvisor would count
//! reset        leaving nothing behind
//! ```
//!
//! It must never know Kubernetes objects, the kubelet, or how the Pod network is made ([`cri::PodNetwork`]).

pub mod container;
pub mod image;
mod layout;
mod metrics;
pub mod reset;
pub mod root_filesystem;
pub mod runtime;
pub mod sandbox;
pub mod shim;
pub mod shim_client;
pub mod snapshot;
mod stdio;
pub mod streaming;

pub use reset::{ResetError, reset};
pub use runtime::{Config, EmbeddedRuntime, OpenError};
pub use shim_client::ShimCommand;
