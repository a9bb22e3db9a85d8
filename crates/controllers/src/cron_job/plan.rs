//! What to do about a CronJob. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::batch::v1::cron_job::{schedule, time_zone_data};
use client::{EventType, object_reference};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, CronJobStatus, Job};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};

use super::times;
use crate::job;
use crate::ownership;
use crate::runtime::Next;

/// A Job's annotation: when it was to start.
const SCHEDULED: &str = "batch.kubernetes.io/cronjob-scheduled-timestamp";
/// So many missed times are worth telling.
const MANY: i64 = 100;
/// The clock that wakes us may be ahead of the one we read.
const MARGIN: Duration = Duration::from_millis(100);

/// What is told: type, reason and message.
pub type Told = (EventType, &'static str, String);

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What is told.
    pub events: Vec<Told>,
    /// Jobs that go: old ones, and those that another replaces.
    pub delete: Vec<Arc<Job>>,
    /// The Job that starts.
    pub start: Option<Box<Job>>,
    /// The status as it is without that Job.
    pub status: CronJobStatus,
    /// When to look again.
    pub next: Next,
}

/// Plans. `jobs` are those the CronJob looks after.
pub fn plan(cron_job: &CronJob, jobs: &[Arc<Job>], now: Timestamp) -> Plan {
    let mut plan = Plan {
        events: Vec::new(),
        delete: Vec::new(),
        start: None,
        status: cron_job.status.clone().unwrap_or_default(),
        next: Next::OnWakeUp,
    };
    let spec = &cron_job.spec;
    account(jobs, &mut plan);
    plan.delete = outdated(spec, jobs);
    if cron_job.metadata.deletion_timestamp.is_none() && spec.suspend != Some(true) {
        start(cron_job, spec, jobs, now, &mut plan);
    }
    plan
}

fn name(job: &Job) -> &str {
    job.metadata.name.as_deref().unwrap_or_default()
}

/// The kind of a finished Job's end: `Complete` or `Failed`.
fn end(job: &Job) -> Option<&str> {
    Some(job::finished(job.status.as_ref()?)?.type_.as_str())
}

/// Brings the status up to what became of Jobs.
fn account(jobs: &[Arc<Job>], plan: &mut Plan) {
    let mut active = plan.status.active.take().unwrap_or_default();
    for job in jobs {
        let is_active = |reference: &k8s_openapi::api::core::v1::ObjectReference| reference.uid == job.metadata.uid;
        let known = active.iter().position(is_active);
        match (end(job), known) {
            (None, None) => {
                let message = format!("Saw a job that the controller did not create or forgot: {}", name(job));
                plan.events.push((EventType::Warning, "UnexpectedJob", message));
            }
            (Some(end), Some(position)) => {
                active.remove(position);
                let message = format!("Saw completed job: {}, condition: {end}", name(job));
                plan.events.push((EventType::Normal, "SawCompletedJob", message));
            }
            _ => {}
        }
        let completed = job.status.as_ref().and_then(|status| status.completion_time.clone());
        if end(job) == Some("Complete") && completed > plan.status.last_successful_time {
            plan.status.last_successful_time = completed;
        }
    }
    active.retain(|reference| {
        let is_there = jobs.iter().any(|job| job.metadata.uid == reference.uid);
        if !is_there {
            let name = reference.name.as_deref().unwrap_or_default();
            plan.events.push((EventType::Normal, "MissingJob", format!("Active job went missing: {name}")));
        }
        is_there
    });
    plan.status.active = (!active.is_empty()).then_some(active);
}

/// The oldest finished Jobs beyond what is kept of each kind.
fn outdated(spec: &CronJobSpec, jobs: &[Arc<Job>]) -> Vec<Arc<Job>> {
    let limits = [("Complete", spec.successful_jobs_history_limit), ("Failed", spec.failed_jobs_history_limit)];
    let mut outdated = Vec::new();
    for (kind, limit) in limits {
        let Some(limit) = limit.and_then(|limit| usize::try_from(limit).ok()) else { continue };
        let mut finished: Vec<_> = jobs.iter().filter(|job| end(job) == Some(kind)).cloned().collect();
        let started = |job: &Job| job.status.as_ref().and_then(|status| status.start_time.as_ref()).map(|time| time.0);
        finished.sort_by_key(|job| (started(job).is_none(), started(job), name(job).to_owned()));
        finished.truncate(finished.len().saturating_sub(limit));
        outdated.extend(finished.into_iter().filter(|job| job.metadata.deletion_timestamp.is_none()));
    }
    outdated
}

/// Decides whether a Job starts now.
fn start(cron_job: &CronJob, spec: &CronJobSpec, jobs: &[Arc<Job>], now: Timestamp, plan: &mut Plan) {
    let Some(zone) = zone(spec) else {
        let zone = spec.time_zone.as_deref().unwrap_or_default();
        let message = format!("invalid timeZone: {zone:?}: unknown time zone {zone}");
        plan.events.push((EventType::Warning, "UnknownTimeZone", message));
        return;
    };
    let schedule = match schedule::parse(&spec.schedule) {
        Ok(schedule) => schedule,
        Err(problem) => {
            let message = format!("unparseable schedule: {:?} : {problem}", spec.schedule);
            plan.events.push((EventType::Warning, "UnparseableSchedule", message));
            return;
        }
    };
    let last = plan.status.last_schedule_time.as_ref().or(cron_job.metadata.creation_timestamp.as_ref());
    let last = last.map_or(now, |time| time.0);
    let all = times::latest(&schedule, last, now, &zone);
    // `@every` counts from the last time that was reached, whatever became of it.
    let next = times::next(&schedule, all.map_or(last, |due| due.at), &zone);
    plan.next = next.map_or(Next::OnWakeUp, |at| {
        Next::After(Duration::try_from(at.duration_since(now)).unwrap_or_default() + MARGIN)
    });
    let deadline = spec.starting_deadline_seconds.map(SignedDuration::from_secs);
    let earliest = deadline.and_then(|deadline| now.checked_sub(deadline).ok()).map_or(last, |at| at.max(last));
    let Some(due) = times::latest(&schedule, earliest, now, &zone) else {
        if let Some(missed) = all {
            plan.events.push(too_late(missed.at));
        }
        return;
    };
    if due.count > MANY {
        let message = format!(
            "too many missed start times: {}. Set or decrease .spec.startingDeadlineSeconds or check clock skew",
            due.count
        );
        plan.events.push((EventType::Warning, "TooManyMissedTimes", message));
    }
    if deadline.is_some_and(|deadline| now.duration_since(due.at) > deadline) {
        plan.events.push(too_late(due.at));
        return;
    }
    let job = job(cron_job, spec, due.at, &zone);
    let active = plan.status.active.as_deref().unwrap_or_default();
    if active.iter().any(|reference| reference.name == job.metadata.name) {
        return;
    }
    match spec.concurrency_policy.as_deref() {
        Some("Forbid") if !active.is_empty() => {
            let message = "Not starting job because prior execution is running and concurrency policy is Forbid";
            plan.events.push((EventType::Normal, "JobAlreadyActive", message.to_owned()));
            return;
        }
        Some("Replace") => {
            let is_active = |job: &&Arc<Job>| active.iter().any(|reference| reference.uid == job.metadata.uid);
            plan.delete.extend(jobs.iter().filter(is_active).cloned());
            plan.status.active = None;
        }
        _ => {}
    }
    plan.start = Some(Box::new(job));
}

fn too_late(at: Timestamp) -> Told {
    let at = at.strftime("%a, %d %b %Y %H:%M:%S +0000");
    (EventType::Warning, "MissSchedule", format!("Missed scheduled time to start a job: {at}"))
}

fn zone(spec: &CronJobSpec) -> Option<TimeZone> {
    let Some(name) = &spec.time_zone else { return Some(TimeZone::UTC) };
    TimeZone::tzif(name, time_zone_data(name)?).ok()
}

/// The Job of one time; its name tells the time, so that it is made once.
fn job(cron_job: &CronJob, spec: &CronJobSpec, at: Timestamp, zone: &TimeZone) -> Job {
    let template = spec.job_template.metadata.clone().unwrap_or_default();
    let mut annotations: BTreeMap<String, String> = template.annotations.unwrap_or_default();
    let local = at.to_zoned(zone.clone());
    let offset = if *zone == TimeZone::UTC { "Z".to_owned() } else { local.strftime("%:z").to_string() };
    annotations.insert(SCHEDULED.to_owned(), format!("{}{offset}", local.strftime("%Y-%m-%dT%H:%M:%S")));
    let owner = cron_job.metadata.name.as_deref().unwrap_or_default();
    Job {
        metadata: ObjectMeta {
            name: Some(format!("{owner}-{}", at.as_second().div_euclid(60))),
            namespace: cron_job.metadata.namespace.clone(),
            labels: template.labels,
            annotations: Some(annotations),
            owner_references: Some(vec![ownership::controller_reference(cron_job)]),
            ..ObjectMeta::default()
        },
        spec: spec.job_template.spec.clone(),
        status: None,
    }
}

/// The status once the Job of a time was made; it may be over already when an earlier pass made it.
pub fn started(mut status: CronJobStatus, job: &Job) -> CronJobStatus {
    if end(job).is_none() {
        status.active.get_or_insert_default().push(object_reference(job));
    }
    let minutes = job.metadata.name.as_deref().and_then(|name| name.rsplit_once('-')?.1.parse::<i64>().ok());
    let annotation = job.metadata.annotations.as_ref().and_then(|annotations| annotations.get(SCHEDULED));
    let at = annotation.and_then(|at| at.parse::<Timestamp>().ok());
    let at = at.or_else(|| Timestamp::from_second(minutes?.checked_mul(60)?).ok());
    status.last_schedule_time = at.map(Time).or(status.last_schedule_time);
    status
}
