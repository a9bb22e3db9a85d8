//! The `certificates.k8s.io` group.

pub mod pem;
pub mod request;
pub mod v1;
pub mod v1beta1;
