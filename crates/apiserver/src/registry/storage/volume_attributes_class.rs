//! VolumeAttributesClasses.

use api::Gvk;
use api::k8s_openapi::api::storage::v1::VolumeAttributesClass;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

/// The row.
pub static VOLUME_ATTRIBUTES_CLASSES: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "storage.k8s.io", version: "v1", kind: "VolumeAttributesClass" },
        plural: "volumeattributesclasses",
        singular: "volumeattributesclass",
        short_names: &["vac"],
        categories: &[],
        namespaced: false,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "volumeattributesclasses", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of VolumeAttributesClasses: none beyond defaults and validation.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = VolumeAttributesClass;

    fn returns_deleted(&self) -> bool {
        true
    }
}
