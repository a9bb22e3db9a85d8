//! Kubernetes objects: the k8s-openapi types with defaults and validation beside each kind. Data and functions only.
//!
//! One representation per kind. Nothing here does I/O or reads a clock, and nothing here knows how objects are stored
//! or served.

pub mod admissionregistration;
pub mod apiextensions;
pub mod apiregistration;
pub mod apps;
pub mod autoscaling;
pub mod batch;
pub mod certificates;
pub mod coordination;
pub mod core;
pub mod decode;
pub mod discovery;
pub mod encode;
pub mod events;
pub mod field;
pub mod fields;
pub mod flowcontrol;
pub mod int_or_percent;
mod internal;
pub mod labels;
pub mod managed_fields;
pub mod meta;
pub mod names;
pub mod net;
pub mod networking;
pub mod node;
pub mod object;
mod omit_empty;
pub mod patch;
pub mod policy;
pub mod protobuf;
pub mod quantity;
pub mod rbac;
pub mod resource;
pub mod scheduling;
pub mod schema;
pub mod scheme;
pub mod storage;

pub use k8s_openapi;
pub use object::{Gvk, Kind, Object};
