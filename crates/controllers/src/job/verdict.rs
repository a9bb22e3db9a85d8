//! Whether a Job has succeeded or failed. Pure.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{JobCondition, JobSpec, JobStatus, SuccessPolicyRule};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::accounting::Books;
use super::failure_policy::{self, Meaning};
use super::indexes::Indexes;
use super::pods;
use crate::pod_facts::PodFacts;

/// Enough has succeeded; what still runs is ended.
pub const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";
/// It will have failed once nothing runs any more.
pub const FAILURE_TARGET: &str = "FailureTarget";
/// It is over, well.
pub const COMPLETE: &str = "Complete";
/// It is over, badly.
pub const FAILED: &str = "Failed";
/// It is held.
pub const SUSPENDED: &str = "Suspended";

/// What a Job comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether it succeeded.
    pub success: bool,
    /// Upstream's word for why.
    pub reason: String,
    /// The same in a sentence.
    pub message: String,
}

impl Verdict {
    fn failure(reason: &str, message: impl Into<String>) -> Option<Self> {
        Some(Self { success: false, reason: reason.to_owned(), message: message.into() })
    }

    /// The condition that announces it, and the one that closes the Job.
    pub fn kinds(&self) -> (&'static str, &'static str) {
        if self.success { (SUCCESS_CRITERIA_MET, COMPLETE) } else { (FAILURE_TARGET, FAILED) }
    }
}

/// A condition as of now.
pub fn condition(kind: &str, status: &str, reason: &str, message: &str, now: Timestamp) -> JobCondition {
    JobCondition {
        type_: kind.to_owned(),
        status: status.to_owned(),
        reason: Some(reason.to_owned()),
        message: Some(message.to_owned()),
        last_probe_time: Some(Time(now)),
        last_transition_time: Some(Time(now)),
    }
}

/// The condition of a type that says `True`.
pub fn holds<'a>(status: &'a JobStatus, kind: &str) -> Option<&'a JobCondition> {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == kind && condition.status == "True")
}

/// Whether a Job is over, and since when.
pub fn finished(status: &JobStatus) -> Option<&JobCondition> {
    holds(status, COMPLETE).or_else(|| holds(status, FAILED))
}

/// A verdict that was announced before.
pub fn announced(status: &JobStatus) -> Option<Verdict> {
    let of = |kind, success| {
        let condition = holds(status, kind)?;
        let text = |text: &Option<String>| text.clone().unwrap_or_default();
        Some(Verdict { success, reason: text(&condition.reason), message: text(&condition.message) })
    };
    of(FAILURE_TARGET, false).or_else(|| of(SUCCESS_CRITERIA_MET, true))
}

/// Judges a Job without verdict: failures first, then what the success policy says.
pub fn judge(
    spec: &JobSpec,
    status: &JobStatus,
    books: &Books,
    all: &[Arc<PodFacts>],
    now: Timestamp,
) -> Option<Verdict> {
    by_failure_policy(spec, all)
        .or_else(|| by_limit(spec, books, all))
        .or_else(|| by_deadline(spec, status, now))
        .or_else(|| by_indexes(spec, books))
        .or_else(|| by_success_policy(spec, books))
}

fn by_failure_policy(spec: &JobSpec, all: &[Arc<PodFacts>]) -> Option<Verdict> {
    let failed = all.iter().filter(|pod| pods::has_failed(spec, pod));
    let message = failed.into_iter().find_map(|pod| match failure_policy::judge(spec, pod) {
        Meaning::FailsJob(message) => Some(message),
        _ => None,
    })?;
    Verdict::failure("PodFailurePolicy", message)
}

fn by_limit(spec: &JobSpec, books: &Books, all: &[Arc<PodFacts>]) -> Option<Verdict> {
    let limit = spec.backoff_limit.unwrap_or(i32::MAX);
    if books.failed > limit || has_restarted_too_often(spec, limit, all) {
        return Verdict::failure("BackoffLimitExceeded", "Job has reached the specified backoff limit");
    }
    None
}

/// Containers that are started again in place count as often as they are.
fn has_restarted_too_often(spec: &JobSpec, limit: i32, all: &[Arc<PodFacts>]) -> bool {
    let policy = spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    if policy != Some("OnFailure") {
        return false;
    }
    let alive = all.iter().filter(|pod| matches!(pod.phase.as_str(), "Running" | "Pending"));
    let restarts: i32 = alive.flat_map(|pod| &pod.containers).map(|container| container.restarts).sum();
    if limit == 0 { restarts > 0 } else { restarts >= limit }
}

/// When a Job has run for too long.
pub fn deadline(spec: &JobSpec, status: &JobStatus) -> Option<Timestamp> {
    let seconds = spec.active_deadline_seconds.filter(|_| spec.suspend != Some(true))?;
    status.start_time.as_ref()?.0.checked_add(SignedDuration::from_secs(seconds)).ok()
}

fn by_deadline(spec: &JobSpec, status: &JobStatus, now: Timestamp) -> Option<Verdict> {
    deadline(spec, status).filter(|at| *at <= now)?;
    Verdict::failure("DeadlineExceeded", "Job was active longer than specified deadline")
}

fn by_indexes(spec: &JobSpec, books: &Books) -> Option<Verdict> {
    spec.backoff_limit_per_index?;
    let failed = books.failed_indexes.len();
    if spec.max_failed_indexes.is_some_and(|max| failed > max) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Verdict::failure("MaxFailedIndexesExceeded", message);
    }
    if failed > 0 && books.succeeded + failed >= spec.completions.unwrap_or(i32::MAX) {
        return Verdict::failure("FailedIndexes", "Job has failed indexes");
    }
    None
}

fn by_success_policy(spec: &JobSpec, books: &Books) -> Option<Verdict> {
    let completions = spec.completions.unwrap_or(i32::MAX);
    let met = |rule: &SuccessPolicyRule| match &rule.succeeded_indexes {
        Some(wanted) => {
            let wanted = Indexes::parse(wanted, completions);
            let reached = wanted.common(&books.completed);
            wanted.len() > 0 && (reached == wanted.len() || rule.succeeded_count.is_some_and(|count| reached >= count))
        }
        None => rule.succeeded_count.is_some_and(|count| books.completed.len() >= count),
    };
    let rules = &spec.success_policy.as_ref()?.rules;
    let index = rules.iter().position(met).filter(|_| books.completed.len() > 0)?;
    let message = format!("Matched rules at index {index}");
    Some(Verdict { success: true, reason: "SuccessPolicy".to_owned(), message })
}

/// Whether all that was asked for has succeeded.
pub fn completed(spec: &JobSpec, books: &Books, active: usize) -> Option<Verdict> {
    let enough = match spec.completions {
        None => books.succeeded > 0,
        Some(completions) => books.succeeded >= completions,
    };
    (enough && active == 0).then(|| Verdict {
        success: true,
        reason: "CompletionsReached".to_owned(),
        message: "Reached expected number of succeeded pods".to_owned(),
    })
}
