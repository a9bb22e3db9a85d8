//! The `policy` group.

pub mod v1;
