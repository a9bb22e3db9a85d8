//! Version 1 of the group.

pub mod endpoint_slice;
