//! Version 1 of the node group, one module per kind.

pub mod runtime_class;
