//! The embedded container runtime.

pub mod image;
mod layout;
pub mod shim;
pub mod snapshot;
