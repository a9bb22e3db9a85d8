//! NetworkPolicies.

use api::Gvk;
use api::k8s_openapi::api::networking::v1::NetworkPolicy;

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

const GVK: Gvk = Gvk { group: "networking.k8s.io", version: "v1", kind: "NetworkPolicy" };

/// The row.
pub static NETWORK_POLICIES: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "networkpolicies",
        singular: "networkpolicy",
        short_names: &["netpol"],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "networkpolicies", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of NetworkPolicies.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = NetworkPolicy;

    fn prepare_for_create(&self, object: &mut NetworkPolicy, _preparation: &mut Preparation) {
        object.metadata.generation = Some(1);
    }

    fn prepare_for_update(&self, _part: Part, new: &mut NetworkPolicy, old: &NetworkPolicy) {
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }
}
