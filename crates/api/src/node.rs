//! The node group.

pub mod v1;
