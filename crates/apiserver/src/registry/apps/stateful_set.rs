//! StatefulSets.

use api::Gvk;
use api::apps::v1::stateful_set::drop_disabled;
use api::autoscaling::v1::scale::Replicas;
use api::k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetStatus};

use super::{SCALE, selector_text};
use crate::error::GroupResource;
use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};
use crate::watch_cache::SelectableField;

const GVK: Gvk = Gvk { group: "apps", version: "v1", kind: "StatefulSet" };

/// The row.
pub static STATEFUL_SETS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "statefulsets",
        singular: "statefulset",
        short_names: &["sts"],
        categories: &["all"],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[
            SubresourceInfo { name: "scale", gvk: SCALE, verbs: PART_VERBS },
            SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS },
        ],
    },
    backing: Backing::Stored(Stored {
        path: "statefulsets",
        strategy: &Rules,
        selectable: &[SelectableField::text("status.successful")], // never set, yet upstream takes it
    }),
    actions: &[
        ("scale", Action::Scale(GroupResource { group: "apps", resource: "statefulsets/scale" })),
        ("status", Action::Part(Part::Status)),
    ],
};

/// The rules of StatefulSets.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = StatefulSet;

    fn prepare_for_create(&self, set: &mut StatefulSet, _preparation: &mut Preparation) {
        set.metadata.generation = Some(1);
        set.status = Some(StatefulSetStatus { available_replicas: Some(0), ..StatefulSetStatus::default() });
        drop_disabled(set, None);
    }

    fn prepare_for_update(&self, part: Part, new: &mut StatefulSet, old: &StatefulSet) {
        if part != Part::Whole {
            new.spec.clone_from(&old.spec);
            return;
        }
        new.status.clone_from(&old.status);
        drop_disabled(new, Some(old));
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }

    fn replicas(&self, set: &StatefulSet) -> Option<Replicas> {
        let spec = set.spec.as_ref()?;
        let current = set.status.as_ref().map_or(0, |status| status.replicas);
        Some(Replicas { desired: spec.replicas.unwrap_or(0), current, selector: selector_text(&spec.selector) })
    }

    fn set_replicas(&self, set: &mut StatefulSet, replicas: i32) {
        set.spec.get_or_insert_default().replicas = Some(replicas);
    }
}
