//! Placeholder.

pub mod image;
pub mod snapshot;
