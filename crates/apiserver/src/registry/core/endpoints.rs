//! Endpoints.

use api::Gvk;
use api::k8s_openapi::api::core::v1::Endpoints;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

const GVK: Gvk = Gvk { group: "", version: "v1", kind: "Endpoints" };

/// The row.
pub static ENDPOINTS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "endpoints",
        singular: "endpoints",
        short_names: &["ep"],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "services/endpoints", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of Endpoints.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = Endpoints;

    fn creates_on_update(&self) -> bool {
        true
    }
}
