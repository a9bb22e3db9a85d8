//! What happened between two statuses.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, PodCondition, PodStatus};

use super::Transition;

/// Reasons to wait that every container goes through.
const ORDINARY: [&str; 2] = ["ContainerCreating", "PodInitializing"];

/// The transitions that lead from `old` to `new`, in the order they are told in. Pure.
pub fn transitions(old: Option<&PodStatus>, new: &PodStatus) -> Vec<Transition> {
    let mut found = Vec::new();
    for status in container_statuses(new) {
        let before = old.and_then(|old| container_statuses(old).find(|before| before.name == status.name));
        container(before, status, &mut found);
    }
    for condition in new.conditions.iter().flatten() {
        let before = old.and_then(|old| old.conditions.iter().flatten().find(|before| before.type_ == condition.type_));
        found.extend(flip(before, condition));
    }
    let phase = |status: &PodStatus| status.phase.clone().unwrap_or_default();
    if old.map(phase).as_ref() != Some(&phase(new)) {
        found.push(Transition::Phase { phase: phase(new), reason: new.reason.clone(), message: new.message.clone() });
    }
    found
}

fn container_statuses(status: &PodStatus) -> impl Iterator<Item = &ContainerStatus> {
    let init = status.init_container_statuses.iter().flatten();
    init.chain(status.container_statuses.iter().flatten()).chain(status.ephemeral_container_statuses.iter().flatten())
}

/// A condition that begins as false says nothing yet.
fn flip(before: Option<&PodCondition>, now: &PodCondition) -> Option<Transition> {
    let changed = before.map_or(now.status == "True", |before| before.status != now.status);
    changed.then(|| Transition::Condition {
        kind: now.type_.clone(),
        status: now.status.clone(),
        reason: now.reason.clone(),
        message: now.message.clone(),
    })
}

fn container(before: Option<&ContainerStatus>, now: &ContainerStatus, found: &mut Vec<Transition>) {
    // Ends are forgotten when newer ones come; one that is not newer than the newest known is no news.
    let known = before.into_iter().flat_map(ends).filter_map(|end| Some((end.container_id.as_deref()?, finished(end))));
    let known: Vec<(&str, Option<Timestamp>)> = known.collect();
    let newest = known.iter().filter_map(|(_, at)| *at).max();
    let is_news = |end: &&ContainerStateTerminated| {
        let same = known.iter().any(|(id, _)| end.container_id.as_deref() == Some(id));
        !same && newest.is_none_or(|newest| finished(end).is_none_or(|at| at >= newest))
    };
    // The last state is the earlier one.
    let mut news: Vec<&ContainerStateTerminated> = ends(now).filter(is_news).collect();
    news.dedup_by_key(|end| end.container_id.clone());
    found.extend(news.into_iter().map(|end| exited(&now.name, end)));
    let state = now.state.as_ref();
    let state_before = before.and_then(|before| before.state.as_ref());
    if let Some(waiting) = state.and_then(|state| state.waiting.as_ref()) {
        let reason = waiting.reason.clone().unwrap_or_default();
        let reason_before = state_before.and_then(|state| state.waiting.as_ref()?.reason.clone());
        if !ORDINARY.contains(&reason.as_str()) && reason_before.as_deref() != Some(&reason) {
            let message = waiting.message.clone();
            found.push(Transition::Waiting { container: now.name.clone(), reason, message });
        }
    }
    let runs = |state: Option<&ContainerState>| state.is_some_and(|state| state.running.is_some());
    let same = before.is_some_and(|before| before.container_id == now.container_id);
    if runs(state) && !(same && runs(state_before)) {
        found.push(Transition::Running { container: now.name.clone(), restarts: now.restart_count });
    }
    if now.ready != before.is_some_and(|before| before.ready) {
        found.push(Transition::Ready { container: now.name.clone(), ready: now.ready });
    }
}

fn ends(status: &ContainerStatus) -> impl Iterator<Item = &ContainerStateTerminated> {
    [&status.last_state, &status.state].into_iter().filter_map(|state| state.as_ref()?.terminated.as_ref())
}

fn finished(end: &ContainerStateTerminated) -> Option<Timestamp> {
    end.finished_at.as_ref().map(|time| time.0)
}

fn exited(container: &str, end: &ContainerStateTerminated) -> Transition {
    let ran = end.started_at.as_ref().zip(end.finished_at.as_ref());
    Transition::Exited {
        container: container.to_owned(),
        code: end.exit_code,
        reason: end.reason.clone().unwrap_or_default(),
        message: end.message.clone(),
        ran_ms: ran.and_then(|(from, to)| i64::try_from(to.0.duration_since(from.0).as_millis()).ok()),
    }
}
