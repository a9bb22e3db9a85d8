//! The `networking.k8s.io` group.

pub mod ip_address;
pub mod service_cidr;
