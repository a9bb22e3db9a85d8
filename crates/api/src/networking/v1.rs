//! Version 1 of the group, one module per kind.

pub mod ip_address;
pub mod service_cidr;
