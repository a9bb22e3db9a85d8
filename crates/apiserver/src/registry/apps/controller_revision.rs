//! ControllerRevisions.

use api::Gvk;
use api::k8s_openapi::api::apps::v1::ControllerRevision;

use crate::registry::strategy::Strategy;
use crate::registry::{ALL_VERBS, Backing, Resource, ResourceInfo, Stored};

/// The row.
pub static CONTROLLER_REVISIONS: Resource = Resource {
    info: ResourceInfo {
        gvk: Gvk { group: "apps", version: "v1", kind: "ControllerRevision" },
        plural: "controllerrevisions",
        singular: "controllerrevision",
        short_names: &[],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[],
    },
    backing: Backing::Stored(Stored { path: "controllerrevisions", strategy: &Rules, selectable: &[] }),
    actions: &[],
};

/// The rules of ControllerRevisions: none beyond defaults and validation.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = ControllerRevision;
}
