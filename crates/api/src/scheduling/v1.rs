//! Version 1 of the scheduling group, one module per kind.

pub mod priority_class;
