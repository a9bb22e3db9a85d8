//! Jobs.

use api::Gvk;
use api::batch::v1::job::{generate_selector, inherit_labels};
use api::k8s_openapi::api::batch::v1::{Job, JobStatus};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};
use crate::watch_cache::SelectableField;

const GVK: Gvk = Gvk { group: "batch", version: "v1", kind: "Job" };

/// The row.
pub static JOBS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "jobs",
        singular: "job",
        short_names: &[],
        categories: &["all"],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS }],
    },
    backing: Backing::Stored(Stored {
        path: "jobs",
        strategy: &Rules,
        selectable: &[SelectableField { name: "status.successful", path: "status.succeeded", absent: "0" }],
    }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of Jobs.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = Job;

    fn prepare_for_create(&self, job: &mut Job, _preparation: &mut Preparation) {
        generate_selector(job);
        inherit_labels(job);
        job.metadata.generation = Some(1);
        job.status = Some(JobStatus::default());
    }

    fn prepare_for_update(&self, part: Part, new: &mut Job, old: &Job) {
        if part != Part::Whole {
            new.spec.clone_from(&old.spec);
            return;
        }
        inherit_labels(new);
        new.status.clone_from(&old.status);
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }
}
