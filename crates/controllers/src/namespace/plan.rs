//! What a namespace's conditions say while it goes. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::NamespaceCondition;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

/// Some deletion was refused: nothing may wake us, so look again after this long.
pub const RETRY_FAILED: Duration = Duration::from_secs(5);

/// What is left of one resource.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Content {
    /// Objects.
    pub count: usize,
    /// Names of those that are not being deleted yet.
    pub undeleted: Vec<String>,
    /// How many objects wait for each finalizer.
    pub finalizers: BTreeMap<String, usize>,
}

/// How far the deletion of the content came.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Progress {
    /// What is left, by `resource.group`.
    pub remaining: Vec<(String, Content)>,
    /// Deletions that were refused.
    pub failures: Vec<String>,
    /// Why the resources could not be discovered.
    pub discovery_failure: Option<String>,
}

impl Progress {
    /// Whether nothing is left and nothing failed.
    pub fn is_clean(&self) -> bool {
        self.remaining.is_empty() && self.failures.is_empty()
    }

    /// Whether something could not be done that may succeed next time; nothing else wakes the controller then.
    pub fn has_failures(&self) -> bool {
        !self.failures.is_empty() || self.discovery_failure.is_some()
    }

    /// Whether the namespace can go.
    pub fn is_done(&self) -> bool {
        self.is_clean() && self.discovery_failure.is_none()
    }
}

/// The five conditions of a namespace that is to go. Those that say what they said keep their time.
pub fn conditions(progress: &Progress, present: &[NamespaceCondition], now: Timestamp) -> Vec<NamespaceCondition> {
    let statements = [
        discovery(progress),
        statement("NamespaceDeletionGroupVersionParsingFailure", false, "ParsedGroupVersions", PARSED),
        deletion(progress),
        content(progress),
        finalizers(progress),
    ];
    let mut conditions = Vec::with_capacity(statements.len());
    for statement in statements {
        let before = present.iter().find(|condition| condition.type_ == statement.type_);
        let same = before.is_some_and(|before| before.status == statement.status);
        let since = before.filter(|_| same).and_then(|before| before.last_transition_time.clone());
        conditions.push(NamespaceCondition { last_transition_time: since.or(Some(Time(now))), ..statement });
    }
    conditions
}

const PARSED: &str = "All legacy kube types successfully parsed";

fn discovery(progress: &Progress) -> NamespaceCondition {
    const KIND: &str = "NamespaceDeletionDiscoveryFailure";
    match &progress.discovery_failure {
        None => statement(KIND, false, "ResourcesDiscovered", "All resources successfully discovered"),
        Some(failure) => statement(KIND, true, "DiscoveryFailed", failure),
    }
}

fn deletion(progress: &Progress) -> NamespaceCondition {
    const KIND: &str = "NamespaceDeletionContentFailure";
    if progress.failures.is_empty() {
        let message = "All content successfully deleted, may be waiting on finalization";
        return statement(KIND, false, "ContentDeleted", message);
    }
    let failures = progress.failures.join(", ");
    statement(
        KIND,
        true,
        "ContentDeletionFailed",
        &format!("Failed to delete all resource types, {} remaining: {failures}", progress.failures.len()),
    )
}

fn content(progress: &Progress) -> NamespaceCondition {
    const KIND: &str = "NamespaceContentRemaining";
    if progress.remaining.is_empty() {
        return statement(KIND, false, "ContentRemoved", "All content successfully removed");
    }
    let mut remaining: Vec<String> = progress
        .remaining
        .iter()
        .map(|(resource, content)| format!("{resource} has {} resource instances", content.count))
        .collect();
    remaining.sort_unstable();
    let message = format!("Some resources are remaining: {}", remaining.join(", "));
    statement(KIND, true, "SomeResourcesRemain", &message)
}

fn finalizers(progress: &Progress) -> NamespaceCondition {
    const KIND: &str = "NamespaceFinalizersRemaining";
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for (finalizer, count) in progress.remaining.iter().flat_map(|(_, content)| &content.finalizers) {
        *counts.entry(finalizer).or_default() += count;
    }
    if counts.is_empty() {
        return statement(KIND, false, "ContentHasNoFinalizers", "All content-preserving finalizers finished");
    }
    let counts: Vec<String> =
        counts.iter().map(|(finalizer, count)| format!("{finalizer} in {count} resource instances")).collect();
    let message = format!("Some content in the namespace has finalizers remaining: {}", counts.join(", "));
    statement(KIND, true, "SomeFinalizersRemain", &message)
}

fn statement(kind: &str, status: bool, reason: &str, message: &str) -> NamespaceCondition {
    NamespaceCondition {
        type_: kind.into(),
        status: if status { "True" } else { "False" }.into(),
        reason: Some(reason.into()),
        message: Some(message.into()),
        last_transition_time: None,
    }
}
