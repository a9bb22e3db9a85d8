//! ReplicationControllers.

use api::Gvk;
use api::autoscaling::v1::scale::Replicas;
use api::k8s_openapi::api::core::v1::{ReplicationController, ReplicationControllerStatus};
use api::labels::Selector;

use crate::error::GroupResource;
use crate::registry::apps::SCALE;
use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};
use crate::watch_cache::SelectableField;

const GVK: Gvk = Gvk { group: "", version: "v1", kind: "ReplicationController" };

/// The row.
pub static REPLICATION_CONTROLLERS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "replicationcontrollers",
        singular: "replicationcontroller",
        short_names: &["rc"],
        categories: &["all"],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[
            SubresourceInfo { name: "scale", gvk: SCALE, verbs: PART_VERBS },
            SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS },
        ],
    },
    backing: Backing::Stored(Stored {
        path: "controllers",
        strategy: &Rules,
        selectable: &[SelectableField::text("status.replicas")],
    }),
    actions: &[
        ("scale", Action::Scale(GroupResource { group: "", resource: "replicationcontrollers/scale" })),
        ("status", Action::Part(Part::Status)),
    ],
};

/// The rules of ReplicationControllers.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = ReplicationController;

    fn prepare_for_create(&self, object: &mut ReplicationController, _preparation: &mut Preparation) {
        object.metadata.generation = Some(1);
        object.status = Some(ReplicationControllerStatus::default());
    }

    fn prepare_for_update(&self, part: Part, new: &mut ReplicationController, old: &ReplicationController) {
        if part != Part::Whole {
            new.spec.clone_from(&old.spec);
            return;
        }
        new.status.clone_from(&old.status);
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }

    fn replicas(&self, object: &ReplicationController) -> Option<Replicas> {
        let spec = object.spec.as_ref()?;
        let selector = spec.selector.as_ref().map(|labels| Selector::from_labels(labels).to_string());
        let current = object.status.as_ref().map_or(0, |status| status.replicas);
        Some(Replicas { desired: spec.replicas.unwrap_or(0), current, selector: selector.unwrap_or_default() })
    }

    fn set_replicas(&self, object: &mut ReplicationController, replicas: i32) {
        object.spec.get_or_insert_default().replicas = Some(replicas);
    }
}
