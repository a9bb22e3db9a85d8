//! PodTemplates.

use api::Gvk;
use api::k8s_openapi::api::core::v1::PodTemplate;

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

const GVK: Gvk = Gvk { group: "", version: "v1", kind: "PodTemplate" };

/// The row.
pub static POD_TEMPLATES: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "podtemplates",
        singular: "podtemplate",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "podtemplates", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of PodTemplates.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = PodTemplate;

    fn prepare_for_create(&self, object: &mut PodTemplate, _preparation: &mut Preparation) {
        object.metadata.generation = Some(1);
    }

    fn prepare_for_update(&self, _part: Part, new: &mut PodTemplate, old: &PodTemplate) {
        if new.template != old.template {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
