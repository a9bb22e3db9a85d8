//! The scheduling group.

pub mod v1;
