//! PriorityClasses.

use api::Gvk;
use api::k8s_openapi::api::scheduling::v1::PriorityClass;

use crate::registry::strategy::{Preparation, Strategy};
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

/// The row.
pub static PRIORITY_CLASSES: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "scheduling.k8s.io", version: "v1", kind: "PriorityClass" },
        plural: "priorityclasses",
        singular: "priorityclass",
        short_names: &["pc"],
        categories: &[],
        namespaced: false,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "priorityclasses", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of PriorityClasses.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = PriorityClass;

    fn prepare_for_create(&self, class: &mut PriorityClass, _: &mut Preparation) {
        class.metadata.generation = Some(1);
    }
}
