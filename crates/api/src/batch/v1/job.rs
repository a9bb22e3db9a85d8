//! Jobs.

use std::collections::BTreeMap;

use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};

use crate::core::v1::pod::template;
use crate::field::{ErrorList, Path};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

mod indexes;
mod policies;
mod status;
#[cfg(test)]
mod tests;
mod validation;

pub(super) use validation::validate_template_spec;

/// Every Pod that succeeds counts alike.
pub const NON_INDEXED: &str = "NonIndexed";
/// Every Pod has a number, and each number must succeed once.
pub const INDEXED: &str = "Indexed";
/// The label with the uid of a Pod's Job, which its selector asks for.
pub const CONTROLLER_UID_LABEL: &str = "batch.kubernetes.io/controller-uid";
/// The label with the name of a Pod's Job.
pub const JOB_NAME_LABEL: &str = "batch.kubernetes.io/job-name";
/// What [`CONTROLLER_UID_LABEL`] was called before it had a domain.
pub const LEGACY_CONTROLLER_UID_LABEL: &str = "controller-uid";
/// What [`JOB_NAME_LABEL`] was called before it had a domain.
pub const LEGACY_JOB_NAME_LABEL: &str = "job-name";

/// So many failures are forgiven.
const BACKOFF_LIMIT: i32 = 6;
/// Beyond so many completions and so many Pods at once the finished indexes may no longer fit in the status.
const MANY_COMPLETIONS: i32 = 100_000;
const MANY_PODS: i32 = 10_000;

impl Kind for Job {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        default_template_spec(spec);
        if spec.completions.is_none() && spec.parallelism.is_none() {
            spec.completions = Some(1);
        }
        spec.parallelism.get_or_insert(1);
        spec.backoff_limit.get_or_insert(if spec.backoff_limit_per_index.is_some() { i32::MAX } else { BACKOFF_LIMIT });
        spec.completion_mode.get_or_insert_with(|| NON_INDEXED.to_owned());
        spec.suspend.get_or_insert(false);
        spec.manual_selector.get_or_insert(false);
        let policy = if spec.pod_failure_policy.is_some() { "Failed" } else { "TerminatingOrFailed" };
        spec.pod_replacement_policy.get_or_insert_with(|| policy.to_owned());
        let patterns = spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules);
        for pattern in patterns.flat_map(|rule| rule.on_pod_conditions.iter_mut().flatten()) {
            pattern.status.get_or_insert_with(|| "True".to_owned());
        }
        let status = self.status.get_or_insert_default();
        omit_empty!(status => active, completed_indexes, conditions, failed, succeeded);
    }

    fn validate(&self) -> ErrorList {
        validation::validate_job(self)
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validation::validate_job(self);
        errors.extend(validation::validate_changes(self, old));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        status::validate_status_changes(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = template::name_warnings(&self.metadata);
        warnings.extend(template_warnings(self));
        warnings
    }

    fn update_warnings(&self, old: &Self) -> Vec<String> {
        if self.metadata.generation == old.metadata.generation { Vec::new() } else { template_warnings(self) }
    }
}

/// What in the template is fine but hardly meant.
fn template_warnings(object: &Job) -> Vec<String> {
    object.spec.iter().flat_map(|spec| spec_warnings(spec, &Path::new("spec"))).collect()
}

/// Defaults of a Job's spec wherever it stands.
pub(super) fn default_template_spec(spec: &mut JobSpec) {
    template::set_defaults(&mut spec.template);
    let rules = spec.pod_failure_policy.iter_mut().flat_map(|policy| &mut policy.rules);
    for rule in rules {
        omit_empty!(rule => on_pod_conditions);
    }
}

/// What in a Job's spec at `path` is fine but hardly meant.
pub(super) fn spec_warnings(spec: &JobSpec, path: &Path<'_>) -> Vec<String> {
    let mut warnings = Vec::new();
    let many = spec.completions.unwrap_or(0) > MANY_COMPLETIONS && spec.parallelism.unwrap_or(0) > MANY_PODS;
    if spec.completion_mode.as_deref() == Some(INDEXED) && many {
        warnings.push(format!(
            "{path}: In Indexed Jobs with a number of completions higher than 10^5 and a parallelism higher than 10^4, \
             Kubernetes might not be able to track completedIndexes when a big number of indexes fail"
        ));
    }
    warnings.extend(template::warnings(&spec.template, &path.child("template")));
    warnings
}

/// Gives a new Job the selector and its Pods the labels that tell them from those of any other Job. Labels of that name
/// that are there already are left alone: validation refuses them.
pub fn generate_selector(job: &mut Job) {
    let (name, uid) = (job.metadata.name.clone().unwrap_or_default(), job.metadata.uid.clone().unwrap_or_default());
    let spec = job.spec.get_or_insert_default();
    if spec.manual_selector == Some(true) {
        return;
    }
    let labels = spec.template.metadata.get_or_insert_default().labels.get_or_insert_default();
    let generated = generated_labels(&name, &uid);
    if generated.iter().any(|(key, _)| labels.contains_key(*key)) {
        return;
    }
    labels.extend(generated.map(|(key, value)| (key.to_owned(), value.to_owned())));
    let selector = spec.selector.get_or_insert_default().match_labels.get_or_insert_default();
    selector.entry(CONTROLLER_UID_LABEL.to_owned()).or_insert(uid);
}

/// A Job without labels has those of its Pods.
pub fn inherit_labels(job: &mut Job) {
    let own = job.metadata.labels.as_ref().is_some_and(|labels| !labels.is_empty());
    let pods = job.spec.as_ref().and_then(|spec| template::labels_of(&spec.template));
    if let Some(labels) = pods.filter(|labels| !own && !labels.is_empty()).cloned() {
        job.metadata.labels = Some(labels);
    }
}

/// The labels of a Job's Pods that no other Job's have, in the order upstream checks them.
fn generated_labels<'a>(name: &'a str, uid: &'a str) -> [(&'static str, &'a str); 4] {
    [
        (LEGACY_CONTROLLER_UID_LABEL, uid),
        (LEGACY_JOB_NAME_LABEL, name),
        (CONTROLLER_UID_LABEL, uid),
        (JOB_NAME_LABEL, name),
    ]
}

fn label_map(labels: [(&str, &str); 4]) -> BTreeMap<String, String> {
    labels.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

/// Whether a condition of a Job is true.
pub fn has_condition(status: &JobStatus, kind: &str) -> bool {
    status.conditions.iter().flatten().any(|condition| condition.type_ == kind && condition.status == "True")
}

/// Whether a Job has ended, well or not.
pub fn is_finished(status: &JobStatus) -> bool {
    has_condition(status, "Complete") || has_condition(status, "Failed")
}
