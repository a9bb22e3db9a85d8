//! Revisions: which template came when, so that `kubectl rollout undo` finds its way back. Pure.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::sets::{self, DESIRED, MAX, REVISION, REVISION_HISTORY};

/// Earlier numbers of a template are forgotten beyond this length.
const HISTORY_LENGTH_MAX: usize = 2000;

/// Annotations of a Deployment that say nothing about its ReplicaSets.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    REVISION_HISTORY,
    DESIRED,
    MAX,
    "deprecated.deployment.rollback.to",
];

/// The revision the newest template gets, given the others.
pub fn next_revision(old: &[ReplicaSet]) -> i64 {
    old.iter().filter_map(|set| sets::number(set, REVISION)).max().unwrap_or(0) + 1
}

/// Gives the newest ReplicaSet its revision and the Deployment's annotations.
pub fn annotate(set: &mut ReplicaSet, deployment: &Deployment, revision: i64, is_new: bool) {
    let annotations = set.metadata.annotations.get_or_insert_default();
    for (name, value) in deployment.metadata.annotations.iter().flatten() {
        if !OWN.contains(&name.as_str()) {
            annotations.insert(name.clone(), value.clone());
        }
    }
    let before = annotations.get(REVISION).cloned();
    if before.as_deref().and_then(|before| before.parse().ok()).unwrap_or(0) < revision {
        annotations.insert(REVISION.to_owned(), revision.to_string());
        if let Some(before) = before {
            remember(annotations, &before);
        }
    }
    if is_new {
        annotate_sizes(set, deployment);
    }
}

fn remember(annotations: &mut BTreeMap<String, String>, revision: &str) {
    let history = annotations.get(REVISION_HISTORY).filter(|history| !history.is_empty());
    let mut revisions: Vec<&str> = history.map_or_else(Vec::new, |history| history.split(',').collect());
    revisions.push(revision);
    let length = |revisions: &[&str]| revisions.iter().map(|revision| revision.len() + 1).sum::<usize>();
    while revisions.len() > 1 && length(&revisions) > HISTORY_LENGTH_MAX + 1 {
        revisions.remove(0);
    }
    let text = revisions.join(",");
    annotations.insert(REVISION_HISTORY.to_owned(), text);
}

/// Notes what the Deployment wants, to notice when that changes.
pub fn annotate_sizes(set: &mut ReplicaSet, deployment: &Deployment) {
    let wanted = sets::wanted(deployment);
    let max = wanted.saturating_add(sets::bounds(deployment).surge);
    let annotations = set.metadata.annotations.get_or_insert_default();
    annotations.insert(DESIRED.to_owned(), wanted.to_string());
    annotations.insert(MAX.to_owned(), max.to_string());
}

/// The old ReplicaSets nobody will go back to.
pub fn outdated(deployment: &Deployment, old: &[ReplicaSet]) -> Vec<ReplicaSet> {
    let limit = deployment.spec.as_ref().and_then(|spec| spec.revision_history_limit);
    let Some(limit) = limit.filter(|limit| *limit != i32::MAX) else { return Vec::new() };
    let mut alive: Vec<&ReplicaSet> = old.iter().filter(|set| set.metadata.deletion_timestamp.is_none()).collect();
    let excess = alive.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    alive.sort_by(|a, b| {
        sets::number(a, REVISION).cmp(&sets::number(b, REVISION)).then_with(|| sets::by_creation(a, b))
    });
    let is_idle = |set: &ReplicaSet| {
        let seen = sets::seen(set);
        let is_seen = seen.observed_generation.unwrap_or(0) >= set.metadata.generation.unwrap_or(0);
        sets::replicas(set) == 0 && seen.replicas == 0 && is_seen
    };
    alive.into_iter().take(excess).filter(|set| is_idle(set)).cloned().collect()
}
