//! The Pod network: a bridge per server, one address per Pod and family, host ports, and the way out.
//!
//! [`BridgeNetwork`] is what the runtime holds as [`cri::PodNetwork`]. Addresses are chosen by [`ipam`] (pure) and
//! recorded in one small file per sandbox, so a restarted daemon knows them; packet rules are computed as a value by
//! [`rules`] (pure) and replaced in one transaction. This crate must never know Kubernetes objects.

pub mod bridge;
pub mod cidr;
pub mod ipam;
pub mod records;
pub mod rules;

pub use bridge::{BridgeNetwork, Config, reset};
pub use cidr::Cidr;
