//! Counting ends of Pods, each once. Pure.
//!
//! A Pod that ended goes through three states, and each step is durable before the next is taken: it carries the
//! finalizer; its uid stands among the uncounted in the status; it has lost the finalizer. Only then the counter grows
//! and the uid goes, in one write. Whoever reads this in the middle knows what was counted. Completion indexes need no
//! uncounted uids: a set counts an index once, however often it is added.

use std::sync::Arc;

use k8s_openapi::api::batch::v1::{JobSpec, JobStatus};

use super::failure_policy::{self, Meaning};
use super::indexes::Indexes;
use super::pods;
use crate::pod_facts::PodFacts;

/// So many uids stand in a status at most.
const UNCOUNTED_MAX: usize = 500;

/// The books after this pass.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Books {
    /// Pods, or indexes, that succeeded.
    pub succeeded: i32,
    /// Pods that failed, without the ignored ones.
    pub failed: i32,
    /// Counters as they stand in the status: without the uncounted.
    pub counted: (i32, i32),
    /// Indexes that succeeded.
    pub completed: Indexes,
    /// Indexes that failed for good.
    pub failed_indexes: Indexes,
    /// Uids of Pods that succeeded and are not counted yet.
    pub uncounted_succeeded: Vec<String>,
    /// Uids of Pods that failed and are not counted yet.
    pub uncounted_failed: Vec<String>,
    /// Pods that may lose the finalizer once these books are stored.
    pub settled: Vec<Arc<PodFacts>>,
}

/// Goes through the Pods. `is_over` says that the Job has its verdict, so that nothing is kept back.
pub fn keep(spec: &JobSpec, status: &JobStatus, all: &[Arc<PodFacts>], is_over: bool) -> Books {
    let indexed = pods::is_indexed(spec);
    let completions = spec.completions.unwrap_or(i32::MAX);
    let read = |text: Option<&String>| Indexes::parse(text.map_or("", String::as_str), completions);
    let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
    let held = |uid: &String| all.iter().any(|pod| pod.uid == *uid && pods::is_tracked(pod));
    let (succeeded_held, succeeded_done): (Vec<_>, Vec<_>) =
        uncounted.succeeded.unwrap_or_default().into_iter().partition(held);
    let (failed_held, failed_done): (Vec<_>, Vec<_>) = uncounted.failed.unwrap_or_default().into_iter().partition(held);
    let number = |uids: &[String]| i32::try_from(uids.len()).unwrap_or(i32::MAX);
    let mut books = Books {
        counted: (
            status.succeeded.unwrap_or(0) + number(&succeeded_done),
            status.failed.unwrap_or(0) + number(&failed_done),
        ),
        completed: if indexed { read(status.completed_indexes.as_ref()) } else { Indexes::default() },
        failed_indexes: read(status.failed_indexes.as_ref()),
        uncounted_succeeded: succeeded_held,
        uncounted_failed: failed_held,
        ..Books::default()
    };
    for pod in all.iter().filter(|pod| pods::is_tracked(pod)) {
        if books.uncounted_succeeded.len() + books.uncounted_failed.len() >= UNCOUNTED_MAX {
            break;
        }
        enter(spec, &mut books, pod, all, is_over, completions);
    }
    if indexed {
        books.counted.0 = books.completed.len();
    }
    books.succeeded = books.counted.0 + number(&books.uncounted_succeeded);
    books.failed = books.counted.1 + number(&books.uncounted_failed);
    books
}

fn enter(
    spec: &JobSpec,
    books: &mut Books,
    pod: &Arc<PodFacts>,
    all: &[Arc<PodFacts>],
    is_over: bool,
    completions: i32,
) {
    let indexed = pods::is_indexed(spec);
    let index = pods::index(pod).filter(|index| *index < completions);
    let is_stray = indexed && index.is_none();
    if pods::has_succeeded(pod) {
        match index.filter(|_| indexed) {
            Some(index) => books.completed.insert(index),
            None if is_stray || books.uncounted_succeeded.contains(&pod.uid) => {}
            None => books.uncounted_succeeded.push(pod.uid.clone()),
        }
    } else if pods::has_failed(spec, pod) {
        let meaning = failure_policy::judge(spec, pod);
        if let (Some(limit), Some(index)) = (spec.backoff_limit_per_index, index) {
            let failures = pods::earlier_failures(pod).0 + i32::from(meaning != Meaning::Ignored);
            if meaning == Meaning::FailsIndex || failures > limit {
                books.failed_indexes.insert(index);
            } else if !is_over && is_latest_of_index(pod, index, all) {
                // The next Pod of the index learns from this one how often it failed.
                return;
            }
        }
        let is_known = books.uncounted_failed.contains(&pod.uid);
        if !is_stray && !is_known && meaning != Meaning::Ignored {
            books.uncounted_failed.push(pod.uid.clone());
        }
    } else if !is_over {
        return;
    }
    books.settled.push(Arc::clone(pod));
}

/// Whether no younger Pod of the index is there.
fn is_latest_of_index(pod: &PodFacts, index: i32, all: &[Arc<PodFacts>]) -> bool {
    let age = |pod: &PodFacts| (pods::earlier_failures(pod), pod.created_at);
    let others = all.iter().filter(|other| other.uid != pod.uid && pods::index(other) == Some(index));
    others.into_iter().all(|other| age(other) <= age(pod))
}
