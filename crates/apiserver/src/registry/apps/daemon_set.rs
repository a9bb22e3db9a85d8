//! DaemonSets.

use api::Gvk;
use api::apps::v1::daemon_set::TEMPLATE_GENERATION;
use api::k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const GVK: Gvk = Gvk { group: "apps", version: "v1", kind: "DaemonSet" };

/// The row.
pub static DAEMON_SETS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "daemonsets",
        singular: "daemonset",
        short_names: &["ds"],
        categories: &["all"],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS }],
    },
    backing: Backing::Stored(Stored { path: "daemonsets", strategy: &Rules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of DaemonSets.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = DaemonSet;

    fn prepare_for_create(&self, set: &mut DaemonSet, _preparation: &mut Preparation) {
        set.metadata.generation = Some(1);
        set.status = Some(DaemonSetStatus::default());
        set_template_generation(set, template_generation(set).max(1));
    }

    fn prepare_for_update(&self, part: Part, new: &mut DaemonSet, old: &DaemonSet) {
        if part != Part::Whole {
            new.spec.clone_from(&old.spec);
            return;
        }
        new.status.clone_from(&old.status);
        let template_changed =
            new.spec.as_ref().map(|spec| &spec.template) != old.spec.as_ref().map(|spec| &spec.template);
        set_template_generation(new, template_generation(old) + i64::from(template_changed));
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }
}

fn template_generation(set: &DaemonSet) -> i64 {
    let annotation = set.metadata.annotations.as_ref().and_then(|annotations| annotations.get(TEMPLATE_GENERATION));
    annotation.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn set_template_generation(set: &mut DaemonSet, generation: i64) {
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(TEMPLATE_GENERATION.to_owned(), generation.to_string());
}
