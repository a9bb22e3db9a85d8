//! LimitRanges.

use api::Gvk;
use api::k8s_openapi::api::core::v1::LimitRange;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

const GVK: Gvk = Gvk { group: "", version: "v1", kind: "LimitRange" };

/// The row.
pub static LIMIT_RANGES: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "limitranges",
        singular: "limitrange",
        short_names: &["limits"],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "limitranges", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of LimitRanges.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = LimitRange;

    fn creates_on_update(&self) -> bool {
        true
    }
}
