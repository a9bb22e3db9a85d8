//! The resources this server has, and what each does beyond the generic handlers.

pub mod resource;

pub use resource::{ResourceInfo, SubresourceInfo};
