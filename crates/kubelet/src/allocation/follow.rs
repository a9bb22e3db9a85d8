//! How running containers follow what is allocated to their Pod, and how its status shows it. Pure.

use std::collections::BTreeMap;

use api::core::v1::pod::resources::has_pod_level;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodCondition, PodStatus, ResourceRequirements};

use super::{Pending, Resources, changed_resources, needs_restart, pod_level, resizable};
use crate::labels;
use crate::observed::{ObservedContainer, ObservedPod};
use crate::plan_pod::{KillContainer, KillReason};
use crate::pod_status::seconds;

/// The condition of a Pod whose resize is not allocated.
const PENDING: &str = "PodResizePending";
/// The condition of a Pod whose containers do not yet have what is allocated.
const IN_PROGRESS: &str = "PodResizeInProgress";

/// A running container that gets other resources.
#[derive(Debug, Clone, PartialEq)]
pub struct UpdateContainer {
    /// CRI id.
    pub id: String,
    /// Name.
    pub name: String,
    /// What it has.
    pub from: ResourceRequirements,
    /// What it gets.
    pub to: ResourceRequirements,
}

/// What brings running containers after the allocation.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Follow {
    /// Containers whose resources are changed while they run.
    pub update: Vec<UpdateContainer>,
    /// Containers that want to be restarted for it.
    pub kill: Vec<KillContainer>,
    /// What the Pod's cgroup has as a whole, if that is to change.
    pub pod_from: Option<ResourceRequirements>,
}

impl Follow {
    /// Whether every container has what is allocated.
    pub fn is_done(&self) -> bool {
        self.update.is_empty() && self.kill.is_empty() && self.pod_from.is_none()
    }
}

/// Compares what is allocated (the Pod as workers see it) with what its containers have, and the Pod as a whole where
/// that is something else.
pub fn plan(
    pod: &Pod,
    observed: &ObservedPod,
    actuated: &Resources,
    actuated_pod: Option<ResourceRequirements>,
) -> Follow {
    let pod_to = pod_level(pod);
    let has_sandbox = observed.sandbox().is_some();
    let pod_from = actuated_pod.filter(|from| has_sandbox && !changed_resources(from, &pod_to).is_empty());
    let mut follow = Follow { pod_from: pod_from.clone(), ..Follow::default() };
    for container in resizable(pod) {
        let Some(latest) = observed.latest(&container.name).filter(|latest| latest.is_running()) else { continue };
        let Some(from) = running_resources(latest, actuated) else { continue };
        let to = container.resources.clone().unwrap_or_default();
        let pod_before = pod_from.as_ref().unwrap_or(&pod_to);
        let changed = changed_resources(&inherit(&from, pod_before), &inherit(&to, &pod_to));
        if changed.is_empty() {
            continue;
        }
        let (id, name) = (latest.id.clone(), container.name.clone());
        match needs_restart(container, &changed) {
            true => follow.kill.push(KillContainer { id, name, reason: KillReason::Resize, restarts: true }),
            false => follow.update.push(UpdateContainer { id, name, from, to }),
        }
    }
    follow
}

/// A container's resources with the Pod's limits where it has none of its own.
fn inherit(own: &ResourceRequirements, pod: &ResourceRequirements) -> ResourceRequirements {
    let mut limits = own.limits.clone().unwrap_or_default();
    for (name, limit) in pod.limits.iter().flatten() {
        limits.entry(name.clone()).or_insert_with(|| limit.clone());
    }
    ResourceRequirements { limits: Some(limits), ..own.clone() }
}

/// What a container has: what was set last, else what it was created with. Nothing if nobody can tell.
fn running_resources(container: &ObservedContainer, actuated: &Resources) -> Option<ResourceRequirements> {
    let created = || serde_json::from_str(container.annotations.get(labels::CONTAINER_RESOURCES)?).ok();
    actuated.get(&container.id).cloned().or_else(created)
}

/// How far a Pod's resize is.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// Why it is not allocated.
    pub pending: Option<Pending>,
    /// Whether it is allocated and not done.
    pub in_progress: bool,
    /// Why it does not get on.
    pub error: Option<String>,
}

/// Adds what is to be said about resizes to a status.
pub fn show(status: &mut PodStatus, pod: &Pod, observed: &ObservedPod, actuated: &Resources, shown: Shown<'_>) {
    let specs: BTreeMap<&str, &Container> = resizable(pod).map(|one| (one.name.as_str(), one)).collect();
    let lists =
        status.container_statuses.iter_mut().flatten().chain(status.init_container_statuses.iter_mut().flatten());
    for one in lists.filter(|one| specs.contains_key(one.name.as_str())) {
        show_resources(one, observed, actuated);
    }
    if has_pod_level(pod) {
        let allocated = pod_level(pod);
        status.allocated_resources.clone_from(&allocated.requests);
        status.resources = Some(shown.actuated_pod.cloned().unwrap_or(allocated));
    }
    let old = status.conditions.take().unwrap_or_default();
    let (ours, others): (Vec<_>, Vec<_>) =
        old.into_iter().partition(|one| one.type_ == PENDING || one.type_ == IN_PROGRESS);
    status.conditions = Some(others.into_iter().chain(conditions(pod, &ours, shown)).collect());
}

/// What [`show`] shows besides containers.
#[derive(Debug, Clone, Copy)]
pub struct Shown<'a> {
    /// How far the resize is.
    pub progress: &'a Progress,
    /// What the Pod's cgroup has as a whole, where it is not what is allocated.
    pub actuated_pod: Option<&'a ResourceRequirements>,
    /// The present moment.
    pub now: Timestamp,
}

fn show_resources(status: &mut ContainerStatus, observed: &ObservedPod, actuated: &Resources) {
    let running = observed.latest(&status.name).filter(|latest| latest.is_running());
    let has = running.and_then(|latest| running_resources(latest, actuated));
    if let (Some(has), Some(shown)) = (has, status.resources.as_mut()) {
        *shown = ResourceRequirements { claims: shown.claims.take(), ..has };
    }
}

fn conditions(pod: &Pod, old: &[PodCondition], shown: Shown<'_>) -> Vec<PodCondition> {
    let Shown { progress, now, .. } = shown;
    let condition = |type_: &str, reason: Option<&str>, message: Option<&str>, generation, since| PodCondition {
        type_: type_.to_owned(),
        status: "True".to_owned(),
        reason: reason.map(str::to_owned),
        message: message.map(str::to_owned),
        observed_generation: generation,
        last_probe_time: None,
        last_transition_time: Some(since),
    };
    let pending = progress.pending.as_ref().map(|pending| {
        let (reason, message) = (pending.reason.as_str(), pending.message.as_str());
        condition(PENDING, Some(reason), Some(message), pending.generation, pending.since.clone())
    });
    let in_progress = progress.in_progress.then(|| {
        let before = old.iter().find(|one| one.type_ == IN_PROGRESS);
        let since = before.and_then(|one| one.last_transition_time.clone()).unwrap_or_else(|| seconds(now));
        let reason = progress.error.as_ref().map(|_| "Error");
        condition(IN_PROGRESS, reason, progress.error.as_deref(), pod.metadata.generation, since)
    });
    pending.into_iter().chain(in_progress).collect()
}
