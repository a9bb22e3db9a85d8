//! Ingresses.

use api::Gvk;
use api::k8s_openapi::api::networking::v1::{Ingress, IngressLoadBalancerStatus, IngressStatus};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const GVK: Gvk = Gvk { group: "networking.k8s.io", version: "v1", kind: "Ingress" };

/// The row.
pub static INGRESSES: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "ingresses",
        singular: "ingress",
        short_names: &["ing"],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS }],
    },
    backing: Backing::Stored(Stored { path: "ingress", strategy: &Rules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of Ingresses.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = Ingress;

    fn prepare_for_create(&self, object: &mut Ingress, _preparation: &mut Preparation) {
        object.metadata.generation = Some(1);
        object.status = Some(IngressStatus { load_balancer: Some(IngressLoadBalancerStatus::default()) });
    }

    fn prepare_for_update(&self, part: Part, new: &mut Ingress, old: &Ingress) {
        if part != Part::Whole {
            new.spec.clone_from(&old.spec);
            return;
        }
        new.status.clone_from(&old.status);
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }
}
