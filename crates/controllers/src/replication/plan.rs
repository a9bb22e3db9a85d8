//! How many Pods to make or delete, and what the status says. Pure.

use std::sync::Arc;

use api::labels::Selector;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::{ReplicaKind, until};
use crate::pod_control::{BURST, message_of};
use crate::pod_facts::PodFacts;
use crate::runtime::Next;

/// The condition of a set whose Pods can't be made or deleted.
const REPLICA_FAILURE: &str = "ReplicaFailure";

/// What to do about the number of Pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Act {
    /// It is right.
    Nothing,
    /// Make so many.
    Create(usize),
    /// Delete so many.
    Delete(usize),
}

/// Why the number of Pods is not right.
#[derive(Debug)]
pub struct Failure {
    /// `FailedCreate` or `FailedDelete`.
    pub reason: &'static str,
    /// What the server said.
    pub source: kube::Error,
}

/// Compares what is wanted with what there is.
pub fn act(wanted: i32, active: usize) -> Act {
    let wanted = usize::try_from(wanted).unwrap_or(0);
    match (wanted.saturating_sub(active), active.saturating_sub(wanted)) {
        (0, 0) => Act::Nothing,
        (missing, 0) => Act::Create(missing.min(BURST)),
        (_, excess) => Act::Delete(excess.min(BURST)),
    }
}

/// What the status should say.
pub fn status<K: ReplicaKind>(
    set: &K,
    active: &[Arc<PodFacts>],
    terminating: usize,
    failure: Option<&Failure>,
    now: Timestamp,
) -> ReplicaSetStatus {
    let template_labels = set.template().metadata.and_then(|metadata| metadata.labels).unwrap_or_default();
    let labelled = Selector::from_labels(&template_labels);
    let count = |wanted: &dyn Fn(&PodFacts) -> bool| number(active.iter().filter(|pod| wanted(pod)).count());
    let min_ready_seconds = set.min_ready_seconds();
    let mut conditions = set.status().conditions.unwrap_or_default();
    let present = conditions.iter().position(|condition| condition.type_ == REPLICA_FAILURE);
    match (failure, present) {
        (Some(failure), None) => conditions.push(ReplicaSetCondition {
            type_: REPLICA_FAILURE.to_owned(),
            status: "True".to_owned(),
            reason: Some(failure.reason.to_owned()),
            message: Some(message_of(&failure.source)),
            last_transition_time: Some(Time(now)),
        }),
        (None, Some(position)) => drop(conditions.remove(position)),
        _ => {}
    }
    ReplicaSetStatus {
        replicas: number(active.len()),
        fully_labeled_replicas: some_unless_zero(count(&|pod| labelled.matches(Some(&pod.labels)))),
        ready_replicas: some_unless_zero(count(&|pod| pod.ready)),
        available_replicas: some_unless_zero(count(&|pod| pod.is_available(min_ready_seconds, now))),
        terminating_replicas: K::COUNTS_TERMINATING.then(|| number(terminating)),
        observed_generation: set.meta().generation,
        conditions: (!conditions.is_empty()).then_some(conditions),
    }
}

/// Whether a status says something new.
pub fn differs<K: ReplicaKind>(set: &K, status: &ReplicaSetStatus) -> bool {
    let old = set.status();
    let plain = |status: &ReplicaSetStatus| ReplicaSetStatus {
        fully_labeled_replicas: Some(status.fully_labeled_replicas.unwrap_or(0)),
        ready_replicas: Some(status.ready_replicas.unwrap_or(0)),
        available_replicas: Some(status.available_replicas.unwrap_or(0)),
        conditions: Some(status.conditions.clone().unwrap_or_default()),
        ..status.clone()
    };
    plain(&old) != plain(status)
}

/// When the next Pod becomes available by mere patience.
pub fn next_look(active: &[Arc<PodFacts>], min_ready_seconds: i32, now: Timestamp) -> Next {
    if min_ready_seconds == 0 {
        return Next::OnWakeUp;
    }
    let waiting = active.iter().filter_map(|pod| pod.available_at(min_ready_seconds)).filter(|at| *at > now);
    waiting.min().map_or(Next::OnWakeUp, |at| Next::After(until(at, now)))
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

fn some_unless_zero(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}
