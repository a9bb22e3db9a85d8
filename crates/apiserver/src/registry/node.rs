//! The node group.

pub mod runtime_class;
