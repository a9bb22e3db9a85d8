//! RuntimeClasses.

use api::Gvk;
use api::k8s_openapi::api::node::v1::RuntimeClass;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

/// The row.
pub static RUNTIME_CLASSES: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "node.k8s.io", version: "v1", kind: "RuntimeClass" },
        plural: "runtimeclasses",
        singular: "runtimeclass",
        short_names: &[],
        categories: &[],
        namespaced: false,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "runtimeclasses", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of RuntimeClasses: none beyond defaults and validation.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = RuntimeClass;

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}
