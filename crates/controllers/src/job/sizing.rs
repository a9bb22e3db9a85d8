//! Which Pods of a Job to make and to delete. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::batch::v1::JobSpec;

use super::accounting::Books;
use super::failure_policy::{self, Meaning};
use super::pods::{self, NewPod};
use crate::pod_control::BURST;
use crate::pod_facts::PodFacts;
use crate::ranking::first_to_go;

/// What to do about the number of Pods.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Sizing {
    /// These are made.
    pub create: Vec<NewPod>,
    /// These are deleted.
    pub delete: Vec<Arc<PodFacts>>,
    /// When more may be made.
    pub retry_at: Option<Timestamp>,
}

/// Compares what is wanted with what there is.
pub fn size(spec: &JobSpec, books: &Books, all: &[Arc<PodFacts>], now: Timestamp) -> Sizing {
    let active: Vec<_> = all.iter().filter(|pod| pod.is_active()).cloned().collect();
    if spec.suspend == Some(true) {
        return Sizing { delete: active, ..Sizing::default() };
    }
    let running = i32::try_from(active.len()).unwrap_or(i32::MAX);
    let wanted = wanted(spec, books, running);
    let mut delete = if pods::is_indexed(spec) { superfluous(spec, &active, now) } else { Vec::new() };
    let excess = usize::try_from(running - wanted).unwrap_or(0);
    if delete.len() < excess {
        let left: Vec<_> =
            active.iter().filter(|pod| !delete.iter().any(|gone| gone.uid == pod.uid)).cloned().collect();
        delete.extend(first_to_go(&left, &HashMap::new(), excess - delete.len(), now));
    }
    if !delete.is_empty() {
        delete.truncate(BURST);
        return Sizing { delete, ..Sizing::default() };
    }
    let waits = if pods::replaces_only_failed(spec) { terminating(all) } else { 0 };
    let missing = usize::try_from(wanted - running - waits).unwrap_or(0).min(BURST);
    if missing == 0 {
        return Sizing::default();
    }
    if spec.backoff_limit_per_index.is_some() {
        return by_index(spec, books, all, missing, now);
    }
    if let Some(at) = retry_at(spec, all).filter(|at| *at > now) {
        return Sizing { retry_at: Some(at), ..Sizing::default() };
    }
    let create = if pods::is_indexed(spec) {
        let pending = pending(spec, books, all).into_iter().take(missing);
        pending.map(|index| NewPod { index: Some(index), failures: None }).collect()
    } else {
        vec![NewPod { index: None, failures: None }; missing]
    };
    Sizing { create, ..Sizing::default() }
}

/// Pods on their way out that have not ended.
pub fn terminating(all: &[Arc<PodFacts>]) -> i32 {
    i32::try_from(all.iter().filter(|pod| pod.is_terminating()).count()).unwrap_or(i32::MAX)
}

fn wanted(spec: &JobSpec, books: &Books, running: i32) -> i32 {
    let parallelism = spec.parallelism.unwrap_or(1);
    match spec.completions {
        // Whatever the first one found ends the search.
        None if books.succeeded > 0 => running,
        None => parallelism,
        Some(completions) => (completions - books.succeeded - books.failed_indexes.len()).clamp(0, parallelism),
    }
}

/// Active Pods without an index that is wanted, and all but one of each index.
fn superfluous(spec: &JobSpec, active: &[Arc<PodFacts>], now: Timestamp) -> Vec<Arc<PodFacts>> {
    let completions = spec.completions.unwrap_or(i32::MAX);
    let mut by_index: BTreeMap<Option<i32>, Vec<Arc<PodFacts>>> = BTreeMap::new();
    for pod in active {
        let index = pods::index(pod).filter(|index| *index < completions);
        by_index.entry(index).or_default().push(Arc::clone(pod));
    }
    let keep = |index: Option<i32>| usize::from(index.is_some());
    let gone = by_index.into_iter().flat_map(|(index, of_index)| {
        let excess = of_index.len() - keep(index);
        first_to_go(&of_index, &HashMap::new(), excess, now)
    });
    gone.collect()
}

/// Indexes nobody works on and nobody has done, lowest first.
fn pending(spec: &JobSpec, books: &Books, all: &[Arc<PodFacts>]) -> Vec<i32> {
    let holds_up = |pod: &&Arc<PodFacts>| pod.is_active() || (pods::replaces_only_failed(spec) && pod.is_terminating());
    let taken: BTreeSet<i32> = all.iter().filter(holds_up).filter_map(|pod| pods::index(pod)).collect();
    let is_open = |index: &i32| {
        !taken.contains(index) && !books.completed.contains(*index) && !books.failed_indexes.contains(*index)
    };
    (0..spec.completions.unwrap_or(0)).filter(is_open).collect()
}

/// After failures in a row the next Pod waits; a success ends the row.
fn retry_at(spec: &JobSpec, all: &[Arc<PodFacts>]) -> Option<Timestamp> {
    let ended = |wanted: &dyn Fn(&PodFacts) -> bool| -> Vec<Timestamp> {
        all.iter().filter(|pod| wanted(pod)).filter_map(|pod| pods::ended_at(pod)).collect()
    };
    let success = ended(&pods::has_succeeded).into_iter().max();
    let is_backed_off = |pod: &PodFacts| pod.phase == "Failed" && pods::has_failed(spec, pod);
    let failures = ended(&is_backed_off).into_iter().filter(|at| Some(*at) > success).collect::<Vec<_>>();
    let last = failures.iter().max()?;
    Some(pods::retry_at(u32::try_from(failures.len()).unwrap_or(u32::MAX), *last))
}

/// Each index has its own row of failures, told from Pod to Pod.
fn by_index(spec: &JobSpec, books: &Books, all: &[Arc<PodFacts>], missing: usize, now: Timestamp) -> Sizing {
    let mut sizing = Sizing::default();
    for index in pending(spec, books, all) {
        if sizing.create.len() == missing {
            break;
        }
        let failed = all.iter().filter(|pod| pods::index(pod) == Some(index) && pods::has_failed(spec, pod));
        let last = failed.max_by_key(|pod| (pods::earlier_failures(pod), pod.created_at));
        let failures = last.map_or((0, 0), |pod| {
            let (counted, ignored) = pods::earlier_failures(pod);
            let is_ignored = failure_policy::judge(spec, pod) == Meaning::Ignored;
            (counted + i32::from(!is_ignored), ignored + i32::from(is_ignored))
        });
        let row = u32::try_from(failures.0 + failures.1).unwrap_or(0);
        let at = last.and_then(|pod| pods::ended_at(pod)).map(|ended| pods::retry_at(row, ended));
        match at.filter(|at| *at > now) {
            Some(at) => sizing.retry_at = Some(sizing.retry_at.map_or(at, |earlier| earlier.min(at))),
            None => sizing.create.push(NewPod { index: Some(index), failures: Some(failures) }),
        }
    }
    sizing
}
