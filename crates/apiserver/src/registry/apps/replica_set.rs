//! ReplicaSets.

use api::Gvk;
use api::autoscaling::v1::scale::Replicas;
use api::k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};

use super::{SCALE, selector_text};
use crate::error::GroupResource;
use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const GVK: Gvk = Gvk { group: "apps", version: "v1", kind: "ReplicaSet" };

/// The row.
pub static REPLICA_SETS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "replicasets",
        singular: "replicaset",
        short_names: &["rs"],
        categories: &["all"],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[
            SubresourceInfo { name: "scale", gvk: SCALE, verbs: PART_VERBS },
            SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS },
        ],
    },
    backing: Backing::Stored(Stored { path: "replicasets", strategy: &Rules, selectable: &[] }),
    actions: &[
        ("scale", Action::Scale(GroupResource { group: "apps", resource: "replicasets/scale" })),
        ("status", Action::Part(Part::Status)),
    ],
};

/// The rules of ReplicaSets.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = ReplicaSet;

    fn prepare_for_create(&self, set: &mut ReplicaSet, _preparation: &mut Preparation) {
        set.metadata.generation = Some(1);
        set.status = Some(ReplicaSetStatus::default());
    }

    fn prepare_for_update(&self, part: Part, new: &mut ReplicaSet, old: &ReplicaSet) {
        if part != Part::Whole {
            new.spec.clone_from(&old.spec);
            return;
        }
        new.status.clone_from(&old.status);
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }

    fn replicas(&self, set: &ReplicaSet) -> Option<Replicas> {
        let spec = set.spec.as_ref()?;
        let current = set.status.as_ref().map_or(0, |status| status.replicas);
        Some(Replicas { desired: spec.replicas.unwrap_or(0), current, selector: selector_text(&spec.selector) })
    }

    fn set_replicas(&self, set: &mut ReplicaSet, replicas: i32) {
        set.spec.get_or_insert_default().replicas = Some(replicas);
    }
}
