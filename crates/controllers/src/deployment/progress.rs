//! How far a rollout has come: the status and its conditions. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::{Deployment, DeploymentCondition, DeploymentStatus, ReplicaSet, ReplicaSetCondition};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::plan::Sets;
use super::sets;
use crate::runtime::Next;

/// Whether there are enough Pods.
pub const AVAILABLE: &str = "Available";
/// Whether the rollout moves.
pub const PROGRESSING: &str = "Progressing";
/// Whether Pods can't be made or deleted.
const REPLICA_FAILURE: &str = "ReplicaFailure";

const COMPLETE: &str = "NewReplicaSetAvailable";
const TIMED_OUT: &str = "ProgressDeadlineExceeded";
const PAUSED: &str = "DeploymentPaused";
const RESUMED: &str = "DeploymentResumed";
/// A ReplicaSet can't be made.
pub const CREATE_ERROR: &str = "ReplicaSetCreateError";

/// A condition as of now.
pub fn condition(kind: &str, status: &str, reason: &str, message: String, now: Timestamp) -> DeploymentCondition {
    DeploymentCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message),
        last_update_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// The condition of a type.
pub fn find<'a>(status: &'a DeploymentStatus, kind: &str) -> Option<&'a DeploymentCondition> {
    status.conditions.iter().flatten().find(|condition| condition.type_ == kind)
}

/// Sets a condition, unless it says the same already.
pub fn set(status: &mut DeploymentStatus, mut condition: DeploymentCondition) {
    if let Some(present) = find(status, &condition.type_) {
        if present.status == condition.status && present.reason == condition.reason {
            return;
        }
        if present.status == condition.status {
            condition.last_transition_time.clone_from(&present.last_transition_time);
        }
    }
    remove(status, &condition.type_.clone());
    status.conditions.get_or_insert_default().push(condition);
}

fn remove(status: &mut DeploymentStatus, kind: &str) {
    if let Some(conditions) = &mut status.conditions {
        conditions.retain(|condition| condition.type_ != kind);
    }
}

fn has_deadline(deployment: &Deployment) -> bool {
    deadline(deployment).is_some()
}

/// How long a rollout may stand still; the largest number means for ever.
fn deadline(deployment: &Deployment) -> Option<SignedDuration> {
    let seconds = deployment.spec.as_ref().and_then(|spec| spec.progress_deadline_seconds);
    seconds.filter(|seconds| *seconds != i32::MAX).map(|seconds| SignedDuration::from_secs(i64::from(seconds)))
}

/// Notes that a Deployment was paused or goes on; a rollout that was given up stays given up.
pub fn note_pause(deployment: &Deployment, status: &mut DeploymentStatus, now: Timestamp) {
    if !has_deadline(deployment) {
        return;
    }
    let reason = find(status, PROGRESSING).and_then(|condition| condition.reason.clone());
    let paused = sets::spec(deployment).paused == Some(true);
    let (reason, message) = match (reason.as_deref(), paused) {
        (Some(TIMED_OUT), _) => return,
        (Some(PAUSED), false) => (RESUMED, "Deployment is resumed"),
        (known, true) if known != Some(PAUSED) => (PAUSED, "Deployment is paused"),
        _ => return,
    };
    set(status, condition(PROGRESSING, "Unknown", reason, message.to_owned(), now));
}

/// Notes the ReplicaSet a rollout leads to.
pub fn note_new(deployment: &Deployment, status: &mut DeploymentStatus, name: &str, made: bool, now: Timestamp) {
    if !has_deadline(deployment) {
        return;
    }
    if made {
        let message = format!("Created new replica set \"{name}\"");
        set(status, condition(PROGRESSING, "True", "NewReplicaSetCreated", message, now));
    } else if find(status, PROGRESSING).is_none() {
        let message = format!("Found new replica set \"{name}\"");
        set(status, condition(PROGRESSING, "True", "FoundNewReplicaSet", message, now));
    }
}

/// The Deployment with word that its ReplicaSet can't be made; none when its status says so already.
pub fn create_failed(deployment: &Deployment, message: String, now: Timestamp) -> Option<Deployment> {
    let mut status = sets::status(deployment);
    let before = status.clone();
    set(&mut status, condition(PROGRESSING, "False", CREATE_ERROR, message, now));
    (status != before).then(|| Deployment { status: Some(status), ..deployment.clone() })
}

/// The counters, and whether there are enough Pods.
pub fn observe(deployment: &Deployment, status: DeploymentStatus, all: &Sets, now: Timestamp) -> DeploymentStatus {
    let available = sets::sum(all.iter(), sets::available);
    let some = |count: i32| (count != 0).then_some(count);
    // A set that nobody has looked at yet has no Pods; one that does not tell makes the sum unknown.
    let terminating = |set: &ReplicaSet| {
        let seen = sets::seen(set);
        let is_new = seen.observed_generation.unwrap_or(0) == 0;
        seen.terminating_replicas.or(is_new.then_some(0))
    };
    let mut observed = DeploymentStatus {
        observed_generation: deployment.metadata.generation,
        replicas: some(sets::sum(all.iter(), |set| sets::seen(set).replicas)),
        updated_replicas: some(sets::sum(&all.new, |set| sets::seen(set).replicas)),
        ready_replicas: some(sets::sum(all.iter(), |set| sets::seen(set).ready_replicas.unwrap_or(0))),
        available_replicas: some(available),
        unavailable_replicas: some((sets::sum(all.iter(), sets::replicas) - available).max(0)),
        terminating_replicas: all.iter().map(terminating).sum(),
        collision_count: status.collision_count,
        conditions: status.conditions,
    };
    let enough = sets::wanted(deployment) - sets::bounds(deployment).unavailable;
    let (status, reason, message) = if available >= enough {
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    } else {
        ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    };
    set(&mut observed, condition(AVAILABLE, status, reason, message.to_owned(), now));
    observed
}

/// Whether a rollout has arrived.
pub fn is_complete(deployment: &Deployment, status: &DeploymentStatus) -> bool {
    let wanted = sets::wanted(deployment);
    [status.updated_replicas, status.replicas, status.available_replicas]
        .iter()
        .all(|count| count.unwrap_or(0) == wanted)
        && status.observed_generation >= deployment.metadata.generation
}

fn has_moved(old: &DeploymentStatus, new: &DeploymentStatus) -> bool {
    let count = |count: Option<i32>| count.unwrap_or(0);
    let outdated = |status: &DeploymentStatus| count(status.replicas) - count(status.updated_replicas);
    count(new.updated_replicas) > count(old.updated_replicas)
        || outdated(new) < outdated(old)
        || count(new.ready_replicas) > count(old.ready_replicas)
        || count(new.available_replicas) > count(old.available_replicas)
}

/// Judges a rollout under way: `status` is observed, `old` what stood there before.
pub fn judge(
    deployment: &Deployment,
    old: &DeploymentStatus,
    status: &mut DeploymentStatus,
    all: &Sets,
    now: Timestamp,
) {
    if !has_deadline(deployment) {
        remove(status, PROGRESSING);
    }
    let current = find(status, PROGRESSING).cloned();
    let arrived = current.as_ref().is_some_and(|current| current.reason.as_deref() == Some(COMPLETE))
        && status.replicas == status.updated_replicas;
    if has_deadline(deployment) && !arrived {
        let what = match &all.new {
            Some(new) => format!("ReplicaSet \"{}\"", new.metadata.name.as_deref().unwrap_or_default()),
            None => format!("Deployment \"{}\"", deployment.metadata.name.as_deref().unwrap_or_default()),
        };
        if is_complete(deployment, status) {
            let message = format!("{what} has successfully progressed.");
            set(status, condition(PROGRESSING, "True", COMPLETE, message, now));
        } else if has_moved(old, status) {
            let message = format!("{what} is progressing.");
            let mut moved = condition(PROGRESSING, "True", "ReplicaSetUpdated", message, now);
            if let Some(current) = current.filter(|current| current.status == "True") {
                moved.last_transition_time = current.last_transition_time;
            }
            // Even when it says the same: the deadline counts from the last move.
            remove(status, PROGRESSING);
            set(status, moved);
        } else if has_timed_out(deployment, status, now) {
            let message = format!("{what} has timed out progressing.");
            set(status, condition(PROGRESSING, "False", TIMED_OUT, message, now));
        }
    }
    match failure(all) {
        Some(failure) => set(status, failure),
        None => remove(status, REPLICA_FAILURE),
    }
    if status.conditions.as_ref().is_some_and(Vec::is_empty) {
        status.conditions = None;
    }
}

fn gives_up_at(deployment: &Deployment, status: &DeploymentStatus) -> Option<Timestamp> {
    let condition = find(status, PROGRESSING)?;
    let settled = matches!(condition.reason.as_deref(), Some(COMPLETE | TIMED_OUT));
    let since = condition.last_update_time.as_ref().filter(|_| !settled)?.0;
    since.checked_add(deadline(deployment)?).ok()
}

fn has_timed_out(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> bool {
    let reason = find(status, PROGRESSING).and_then(|condition| condition.reason.as_deref());
    reason == Some(TIMED_OUT) || gives_up_at(deployment, status).is_some_and(|at| at < now)
}

/// When a rollout that does not move is to be given up.
pub fn next_look(deployment: &Deployment, status: &DeploymentStatus, now: Timestamp) -> Next {
    if is_complete(deployment, status) || sets::spec(deployment).paused == Some(true) {
        return Next::OnWakeUp;
    }
    let Some(at) = gives_up_at(deployment, status) else { return Next::OnWakeUp };
    // Conditions count whole seconds.
    let left: Duration = at.duration_since(now).try_into().unwrap_or_default();
    Next::After(left + Duration::from_secs(1))
}

/// What the ReplicaSets complain about, the newest before the others.
fn failure(all: &Sets) -> Option<DeploymentCondition> {
    let of = |set: &ReplicaSet| {
        let conditions = sets::seen(set).conditions.unwrap_or_default();
        conditions.into_iter().find(|condition| condition.type_ == REPLICA_FAILURE)
    };
    let found = all.new.as_ref().and_then(of).or_else(|| all.old.iter().find_map(of))?;
    let ReplicaSetCondition { type_, status, reason, message, last_transition_time } = found;
    let last_update_time = last_transition_time.clone();
    Some(DeploymentCondition { type_, status, reason, message, last_transition_time, last_update_time })
}
