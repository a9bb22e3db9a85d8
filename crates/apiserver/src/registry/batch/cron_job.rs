//! CronJobs.

use api::Gvk;
use api::k8s_openapi::api::batch::v1::{CronJob, CronJobStatus};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const GVK: Gvk = Gvk { group: "batch", version: "v1", kind: "CronJob" };

/// The row.
pub static CRON_JOBS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "cronjobs",
        singular: "cronjob",
        short_names: &["cj"],
        categories: &["all"],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS }],
    },
    backing: Backing::Stored(Stored { path: "cronjobs", strategy: &Rules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of CronJobs.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = CronJob;

    fn prepare_for_create(&self, job: &mut CronJob, _preparation: &mut Preparation) {
        job.metadata.generation = Some(1);
        job.status = Some(CronJobStatus::default());
    }

    fn prepare_for_update(&self, part: Part, new: &mut CronJob, old: &CronJob) {
        if part != Part::Whole {
            new.spec.clone_from(&old.spec);
            return;
        }
        new.status.clone_from(&old.status);
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }
}
