//! The `events.k8s.io` group.

pub mod v1;
