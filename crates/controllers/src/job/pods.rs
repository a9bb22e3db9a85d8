//! A Job's Pods: how they are read and made. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod};

use crate::ownership;
use crate::pod_control::pod_from_template;
use crate::pod_facts::PodFacts;

/// Holds a Pod until its end was counted.
pub const TRACKING: &str = "batch.kubernetes.io/job-tracking";
/// A Pod's completion index, as annotation and label.
pub const INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// How often the index had failed before this Pod.
const FAILURES: &str = "batch.kubernetes.io/job-index-failure-count";
/// The same, of failures that do not count.
const IGNORED_FAILURES: &str = "batch.kubernetes.io/job-index-ignored-failure-count";
const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

const BACKOFF_INITIAL: Duration = Duration::from_secs(10);
const BACKOFF_MAX: Duration = Duration::from_secs(600);

/// Whether completions have numbers.
pub fn is_indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

/// Whether a Pod on its way out is replaced only once it is gone.
pub fn replaces_only_failed(spec: &JobSpec) -> bool {
    spec.pod_replacement_policy.as_deref() == Some("Failed")
}

/// A Pod's completion index.
pub fn index(pod: &PodFacts) -> Option<i32> {
    pod.annotations.get(INDEX)?.parse().ok().filter(|index| *index >= 0)
}

/// Whether its end is still to be counted.
pub fn is_tracked(pod: &PodFacts) -> bool {
    pod.finalizers.iter().any(|finalizer| finalizer == TRACKING)
}

/// Whether it succeeded.
pub fn has_succeeded(pod: &PodFacts) -> bool {
    pod.phase == "Succeeded"
}

/// Whether it counts as failed. One that is to be deleted does so from then on, unless replacements wait for its end;
/// one that never got a node has no end to wait for.
pub fn has_failed(spec: &JobSpec, pod: &PodFacts) -> bool {
    match pod.phase.as_str() {
        "Failed" => true,
        "Succeeded" => false,
        _ => pod.deleted_at.is_some() && (!replaces_only_failed(spec) || pod.node.is_empty()),
    }
}

/// Failures of the index before this Pod: those that count, and the ignored.
pub fn earlier_failures(pod: &PodFacts) -> (i32, i32) {
    let count = |name| pod.annotations.get(name).and_then(|count| count.parse().ok()).unwrap_or(0);
    (count(FAILURES), count(IGNORED_FAILURES))
}

/// When a Pod ended, as well as can be said.
pub fn ended_at(pod: &PodFacts) -> Option<Timestamp> {
    let containers = pod.containers.iter().filter_map(|container| container.finished_at).max();
    let not_ready = pod.ready_since.filter(|_| !pod.ready);
    containers.or(not_ready).or(pod.deleted_at).or(pod.created_at)
}

/// When the next Pod may be made after so many failures in a row, the last of them at this time.
pub fn retry_at(failures: u32, last: Timestamp) -> Timestamp {
    let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let delay = BACKOFF_INITIAL.saturating_mul(doubled).min(BACKOFF_MAX);
    let delay = SignedDuration::try_from(delay).unwrap_or(SignedDuration::MAX);
    last.checked_add(delay).unwrap_or(Timestamp::MAX)
}

/// A Pod to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NewPod {
    /// Its completion index.
    pub index: Option<i32>,
    /// Failures of the index so far, those that count and the ignored; none when the index has no limit of its own.
    pub failures: Option<(i32, i32)>,
}

/// Makes the Pod.
pub fn new_pod(job: &Job, new: NewPod) -> Pod {
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let template = job.spec.clone().unwrap_or_default().template;
    let prefix = new.index.map_or_else(|| name.to_owned(), |index| format!("{name}-{index}"));
    let mut pod = pod_from_template(&prefix, &template, ownership::controller_reference(job));
    let finalizers = pod.metadata.finalizers.get_or_insert_default();
    if !finalizers.iter().any(|finalizer| finalizer == TRACKING) {
        finalizers.push(TRACKING.to_owned());
    }
    let Some(index) = new.index else { return pod };
    let annotations: &mut BTreeMap<_, _> = pod.metadata.annotations.get_or_insert_default();
    annotations.insert(INDEX.to_owned(), index.to_string());
    if let Some((failures, ignored)) = new.failures {
        annotations.insert(FAILURES.to_owned(), failures.to_string());
        if ignored > 0 {
            annotations.insert(IGNORED_FAILURES.to_owned(), ignored.to_string());
        }
    }
    pod.metadata.labels.get_or_insert_default().insert(INDEX.to_owned(), index.to_string());
    let spec = pod.spec.get_or_insert_default();
    // A host name is a DNS label, so a long name is cut.
    let room = 63 - index.to_string().len() - 1;
    spec.hostname = Some(format!("{}-{index}", name.get(..room).unwrap_or(name)));
    let all = spec.init_containers.iter_mut().flatten().chain(&mut spec.containers);
    all.for_each(tell_index);
    pod
}

fn tell_index(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if variables.iter().any(|variable| variable.name == INDEX_VARIABLE) {
        return;
    }
    let field =
        ObjectFieldSelector { field_path: format!("metadata.labels['{INDEX}']"), ..ObjectFieldSelector::default() };
    variables.push(EnvVar {
        name: INDEX_VARIABLE.to_owned(),
        value: None,
        value_from: Some(EnvVarSource { field_ref: Some(field), ..EnvVarSource::default() }),
    });
}
