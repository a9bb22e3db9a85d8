//! Kubernetes objects: the k8s-openapi types with defaults and validation beside each kind. Data and functions only.
//!
//! One representation per kind. Nothing here does I/O or reads a clock, and nothing here knows how objects are stored
//! or served.

pub mod field;
pub mod object;

pub use k8s_openapi;
pub use object::{Gvk, Kind, Object};
