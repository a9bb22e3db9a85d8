//! StorageClasses.

use api::Gvk;
use api::k8s_openapi::api::storage::v1::StorageClass;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

/// The row.
pub static STORAGE_CLASSES: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "storage.k8s.io", version: "v1", kind: "StorageClass" },
        plural: "storageclasses",
        singular: "storageclass",
        short_names: &["sc"],
        categories: &[],
        namespaced: false,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "storageclasses", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of StorageClasses: none beyond defaults and validation.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = StorageClass;

    fn returns_deleted(&self) -> bool {
        true
    }
}
