//! ConfigMaps.

use api::Gvk;
use api::k8s_openapi::api::core::v1::ConfigMap;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

/// The row.
pub static CONFIG_MAPS: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "", version: "v1", kind: "ConfigMap" },
        plural: "configmaps",
        singular: "configmap",
        short_names: &["cm"],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "configmaps", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of ConfigMaps: none beyond defaults and validation.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = ConfigMap;
}
