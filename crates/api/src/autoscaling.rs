//! The `autoscaling` group.

pub mod v1;
