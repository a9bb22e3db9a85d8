//! `autoscaling/v1`.

pub mod scale;
