//! IngressClasses.

use api::Gvk;
use api::k8s_openapi::api::networking::v1::IngressClass;

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

const GVK: Gvk = Gvk { group: "networking.k8s.io", version: "v1", kind: "IngressClass" };

/// The row.
pub static INGRESS_CLASSES: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "ingressclasses",
        singular: "ingressclass",
        short_names: &[],
        categories: &[],
        namespaced: false,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "ingressclasses", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of IngressClasses.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = IngressClass;

    fn prepare_for_create(&self, object: &mut IngressClass, _preparation: &mut Preparation) {
        object.metadata.generation = Some(1);
    }

    fn prepare_for_update(&self, _part: Part, new: &mut IngressClass, old: &IngressClass) {
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }
}
