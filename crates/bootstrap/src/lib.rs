//! What a server needs before its first request: certificates, keys, kubeconfigs, and the built-in objects.
//!
//! Everything is made on the first start, kept under the data directory, and renewed when it nears its end or no longer
//! fits the command line. Files that hold a secret are 0600 from the moment they exist.

pub mod api_service;
pub mod files;
pub mod flow_control;
pub mod kubeconfig;
pub mod objects;
pub mod pki;
pub mod policy;

pub use api_service::ApiEndpoint;
pub use kubeconfig::Kubeconfig;
pub use pki::{Credential, Pki, PkiConfig};
