//! Leases.

use api::Gvk;
use api::k8s_openapi::api::coordination::v1::Lease;
use store::Tier;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

/// The namespace of node heartbeats: renewed all the time, and worth nothing after a crash.
const HEARTBEATS: &str = "kube-node-lease";

/// The row.
pub static LEASES: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "coordination.k8s.io", version: "v1", kind: "Lease" },
        plural: "leases",
        singular: "lease",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "leases", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of Leases.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = Lease;

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn creates_on_update(&self) -> bool {
        true
    }

    fn tier(&self, lease: &Lease) -> Tier {
        if lease.metadata.namespace.as_deref() == Some(HEARTBEATS) { Tier::Volatile } else { Tier::Durable }
    }
}
