//! Version 1beta1 of the certificates group, one module per kind.

pub mod cluster_trust_bundle;
