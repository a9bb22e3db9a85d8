//! The storage group.

pub mod v1;
