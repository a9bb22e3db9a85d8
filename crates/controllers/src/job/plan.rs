//! One pass over a Job. Pure.

use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::{Job, JobCondition, JobStatus, UncountedTerminatedPods};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::accounting::{self, Books};
use super::pods;
use super::sizing::{self, Sizing};
use super::verdict::{self, SUSPENDED, Verdict, condition};
use crate::pod_facts::PodFacts;
use crate::runtime::Next;

/// What to do, in this order: Pods, status, Events, finalizers.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Pods to make and to delete.
    pub sizing: Sizing,
    /// The status to write; none when it stands there already.
    pub status: Option<JobStatus>,
    /// Told once the status is written.
    pub events: Vec<(EventType, String, String)>,
    /// Pods that lose the finalizer once the status is written.
    pub settled: Vec<Arc<PodFacts>>,
    /// When to look again.
    pub next: Next,
}

/// Plans a pass; `all` are the Job's Pods.
pub fn plan(job: &Job, all: &[Arc<PodFacts>], now: Timestamp) -> Plan {
    let spec = job.spec.clone().unwrap_or_default();
    let before = job.status.clone().unwrap_or_default();
    let is_deleting = job.metadata.deletion_timestamp.is_some();
    if verdict::finished(&before).is_some() {
        let settled = all.iter().filter(|pod| pods::is_tracked(pod)).cloned().collect();
        return Plan { sizing: Sizing::default(), status: None, events: Vec::new(), settled, next: Next::OnWakeUp };
    }
    let mut status = before.clone();
    let mut events = Vec::new();
    if status.start_time.is_none() && spec.suspend != Some(true) {
        status.start_time = Some(Time(now));
    }
    let announced = verdict::announced(&status);
    let books = accounting::keep(&spec, &status, all, announced.is_some() || is_deleting);
    let verdict = announced.or_else(|| verdict::judge(&spec, &status, &books, all, now));
    let active: Vec<_> = all.iter().filter(|pod| pod.is_active()).cloned().collect();
    let (sizing, verdict) = match verdict {
        Some(verdict) => (Sizing { delete: active.clone(), ..Sizing::default() }, Some(verdict)),
        None if is_deleting => (Sizing::default(), None),
        None => {
            let verdict = verdict::completed(&spec, &books, active.len());
            note_suspension(spec.suspend == Some(true), &mut status, &mut events, now);
            let sizing = if verdict.is_some() { Sizing::default() } else { sizing::size(&spec, &books, all, now) };
            (sizing, verdict)
        }
    };
    count(&mut status, &books, &sizing, all, &active);
    if let Some(verdict) = verdict {
        let is_quiet = active.is_empty() && sizing::terminating(all) == 0 && books.settled.is_empty();
        announce(&verdict, is_quiet, &mut status, &mut events, now);
    }
    let deadline = verdict::deadline(&spec, &status).filter(|_| verdict::announced(&status).is_none());
    let next = deadline.into_iter().chain(sizing.retry_at).min().map_or(Next::OnWakeUp, |at| {
        let wait: Duration = at.duration_since(now).try_into().unwrap_or_default();
        Next::After(wait.max(Duration::from_millis(1)))
    });
    let status = (status != before).then_some(status);
    Plan { sizing, status, events, settled: books.settled, next }
}

fn set(status: &mut JobStatus, new: JobCondition) {
    let conditions = status.conditions.get_or_insert_default();
    match conditions.iter_mut().find(|condition| condition.type_ == new.type_) {
        Some(present) if present.status == new.status && present.reason == new.reason => {}
        Some(present) => *present = new,
        None => conditions.push(new),
    }
}

fn note_suspension(
    suspended: bool,
    status: &mut JobStatus,
    events: &mut Vec<(EventType, String, String)>,
    now: Timestamp,
) {
    let was = verdict::holds(status, SUSPENDED).is_some();
    let mut tell =
        |reason: &str, message: &str| events.push((EventType::Normal, reason.to_owned(), message.to_owned()));
    if suspended && !was {
        set(status, condition(SUSPENDED, "True", "JobSuspended", "Job suspended", now));
        tell("Suspended", "Job suspended");
    } else if !suspended && was {
        set(status, condition(SUSPENDED, "False", "JobResumed", "Job resumed", now));
        // The deadline counts from here.
        status.start_time = Some(Time(now));
        tell("Resumed", "Job resumed");
    }
}

fn count(status: &mut JobStatus, books: &Books, sizing: &Sizing, all: &[Arc<PodFacts>], active: &[Arc<PodFacts>]) {
    let number = |count: usize| i32::try_from(count).unwrap_or(i32::MAX);
    let some = |count: i32| (count != 0).then_some(count);
    let ready = |pods: &[Arc<PodFacts>]| number(pods.iter().filter(|pod| pod.ready).count());
    status.active = some(number(active.len() + sizing.create.len()) - number(sizing.delete.len()));
    status.ready = Some(ready(active) - ready(&sizing.delete));
    status.terminating = Some(sizing::terminating(all) + number(sizing.delete.len()));
    status.succeeded = some(books.counted.0);
    status.failed = some(books.counted.1);
    let text = |indexes: &super::indexes::Indexes, before: &Option<String>| {
        if indexes.len() > 0 || before.is_some() { Some(indexes.to_string()) } else { None }
    };
    status.completed_indexes = text(&books.completed, &status.completed_indexes);
    status.failed_indexes = text(&books.failed_indexes, &status.failed_indexes);
    let list = |uids: &Vec<String>| (!uids.is_empty()).then(|| uids.clone());
    status.uncounted_terminated_pods = Some(UncountedTerminatedPods {
        succeeded: list(&books.uncounted_succeeded),
        failed: list(&books.uncounted_failed),
    });
}

/// Announces a verdict, and closes the Job when nothing runs any more and every end is counted.
fn announce(
    verdict: &Verdict,
    is_quiet: bool,
    status: &mut JobStatus,
    events: &mut Vec<(EventType, String, String)>,
    now: Timestamp,
) {
    let (announcing, closing) = verdict.kinds();
    set(status, condition(announcing, "True", &verdict.reason, &verdict.message, now));
    let uncounted = status.uncounted_terminated_pods.clone().unwrap_or_default();
    if !is_quiet || uncounted != UncountedTerminatedPods::default() {
        return;
    }
    set(status, condition(closing, "True", &verdict.reason, &verdict.message, now));
    if verdict.success {
        status.completion_time = Some(Time(now));
        events.push((EventType::Normal, "Completed".to_owned(), "Job completed".to_owned()));
    } else {
        events.push((EventType::Warning, verdict.reason.clone(), verdict.message.clone()));
    }
}
