use std::sync::Arc;
use std::time::Duration;

use api::batch::v1::cron_job::{schedule, time_zone_data};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use serde_json::{Value, json};

use super::plan::{Plan, plan, started};
use super::times::{self, Due};
use crate::runtime::Next;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn zone(name: &str) -> TimeZone {
    TimeZone::tzif(name, time_zone_data(name).unwrap()).unwrap()
}

#[test]
fn schedules_fall_due_in_their_zone() {
    let cases = [
        ("*/5 * * * *", "UTC", "2026-01-01T10:02:30Z", "2026-01-01T10:05:00Z"),
        ("*/5 * * * *", "UTC", "2026-01-01T10:05:00Z", "2026-01-01T10:10:00Z"),
        ("59 23 31 12 *", "UTC", "2026-12-31T23:59:00Z", "2027-12-31T23:59:00Z"),
        ("0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 9 * * 1-5", "UTC", "2026-11-20T09:00:00Z", "2026-11-23T09:00:00Z"),
        // A day that fits one of both fits.
        ("0 0 13 * 5", "UTC", "2026-11-12T12:00:00Z", "2026-11-13T00:00:00Z"),
        ("0 0 13 * 5", "UTC", "2026-11-13T12:00:00Z", "2026-11-20T00:00:00Z"),
        ("0 9 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2026-01-01T08:00:00Z"),
        ("0 9 * * *", "Europe/Berlin", "2026-07-01T00:00:00Z", "2026-07-01T07:00:00Z"),
        // Clocks go forward: half past two is not there. Clocks go back: it is there twice.
        ("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"),
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ("@hourly", "Asia/Kolkata", "2026-01-01T00:00:00Z", "2026-01-01T00:30:00Z"),
        ("@every 1h30m", "UTC", "2026-01-01T00:00:00.7Z", "2026-01-01T01:30:00Z"),
    ];
    for (text, name, after, expected) in cases {
        let schedule = schedule::parse(text).unwrap();
        assert_eq!(times::next(&schedule, at(after), &zone(name)), Some(at(expected)), "{text} {name} {after}");
    }
    let never = schedule::parse("0 0 30 2 *").unwrap();
    assert_eq!(times::next(&never, at("2026-01-01T00:00:00Z"), &TimeZone::UTC), None);
}

#[test]
fn of_what_was_missed_the_last_counts() {
    let hourly = schedule::parse("0 * * * *").unwrap();
    let latest = |now: &str| times::latest(&hourly, at("2026-01-01T00:30:00Z"), at(now), &TimeZone::UTC);
    let due = |text: &str, count| Some(Due { at: at(text), count });
    assert_eq!(latest("2026-01-01T00:59:59Z"), None);
    assert_eq!(latest("2026-01-01T01:00:00Z"), due("2026-01-01T01:00:00Z", 1));
    assert_eq!(latest("2026-01-01T02:10:00Z"), due("2026-01-01T02:00:00Z", 2));
    assert_eq!(latest("2026-01-09T02:10:00Z"), due("2026-01-09T02:00:00Z", 194));
    let weekdays = schedule::parse("0 9 * * 1-5").unwrap();
    let found = times::latest(&weekdays, at("2026-11-16T00:00:00Z"), at("2026-11-22T12:00:00Z"), &TimeZone::UTC);
    assert_eq!(found.map(|due| due.at), Some(at("2026-11-20T09:00:00Z")), "irregular distances");
    let every = schedule::parse("@every 25m").unwrap();
    let found = times::latest(&every, at("2026-01-01T00:00:00Z"), at("2026-01-01T02:00:00Z"), &TimeZone::UTC);
    assert_eq!(found, due("2026-01-01T01:40:00Z", 4));
}

/// A CronJob made at ten, due at every full hour.
fn cron_job(spec: Value, status: Value) -> CronJob {
    let mut all = json!({"schedule": "0 * * * *", "concurrencyPolicy": "Allow",
        "jobTemplate": {"metadata": {"labels": {"app": "c"}}, "spec": {"template": {}}}});
    testkit::fake_api::merge(&mut all, spec);
    let metadata = json!({"name": "c", "namespace": "ns", "uid": "c", "creationTimestamp": "2026-01-01T10:00:00Z"});
    serde_json::from_value(json!({"metadata": metadata, "spec": all, "status": status})).unwrap()
}

fn job(uid: &str, end: Option<&str>, start: &str) -> Arc<Job> {
    let conditions = end.map(|end| json!([{"type": end, "status": "True"}]));
    let completed = (end == Some("Complete")).then_some(start);
    Arc::new(
        serde_json::from_value(json!({
            "metadata": {"name": uid, "namespace": "ns", "uid": uid}, "spec": {"template": {}},
            "status": {"conditions": conditions, "startTime": start, "completionTime": completed},
        }))
        .unwrap(),
    )
}

fn active(uids: &[&str]) -> Value {
    json!({"active": uids.iter().map(|uid| json!({"name": uid, "uid": uid})).collect::<Vec<_>>()})
}

fn reasons(plan: &Plan) -> Vec<&str> {
    plan.events.iter().map(|(_, reason, _)| *reason).collect()
}

/// Spec, status, Jobs and time, and whether a Job starts and what is told.
type Case = (Value, Value, Vec<Arc<Job>>, &'static str, bool, &'static [&'static str]);

#[test]
fn a_job_starts_when_it_is_due_and_allowed() {
    let running = || vec![job("a", None, "2026-01-01T10:00:00Z")];
    let last = |time: &str| json!({"lastScheduleTime": time});
    let none = Vec::new;
    let cases: Vec<Case> = vec![
        (json!({}), json!({}), none(), "2026-01-01T10:59:59Z", false, &[]),
        (json!({}), json!({}), none(), "2026-01-01T11:00:00Z", true, &[]),
        (json!({}), last("2026-01-01T11:00:00Z"), none(), "2026-01-01T11:00:05Z", false, &[]),
        (json!({"suspend": true}), json!({}), none(), "2026-01-01T11:00:00Z", false, &[]),
        (json!({"startingDeadlineSeconds": 60}), json!({}), none(), "2026-01-01T11:00:30Z", true, &[]),
        (json!({"startingDeadlineSeconds": 60}), json!({}), none(), "2026-01-01T11:02:00Z", false, &["MissSchedule"]),
        (json!({}), json!({}), none(), "2026-01-09T11:00:00Z", true, &["TooManyMissedTimes"]),
        (json!({}), active(&["a"]), running(), "2026-01-01T11:00:00Z", true, &[]),
        (
            json!({"concurrencyPolicy": "Forbid"}),
            active(&["a"]),
            running(),
            "2026-01-01T11:00:00Z",
            false,
            &["JobAlreadyActive"],
        ),
        (json!({"concurrencyPolicy": "Forbid"}), active(&["a"]), none(), "2026-01-01T11:00:00Z", true, &["MissingJob"]),
        (json!({"timeZone": "No/Where"}), json!({}), none(), "2026-01-01T11:00:00Z", false, &["UnknownTimeZone"]),
        (json!({"schedule": "x"}), json!({}), none(), "2026-01-01T11:00:00Z", false, &["UnparseableSchedule"]),
    ];
    for (spec, status, jobs, now, starts, told) in cases {
        let found = plan(&cron_job(spec.clone(), status), &jobs, at(now));
        assert_eq!((found.start.is_some(), reasons(&found)), (starts, told.to_vec()), "{spec} {now}");
    }
    let replaced = plan(
        &cron_job(json!({"concurrencyPolicy": "Replace"}), active(&["a"])),
        &running(),
        at("2026-01-01T11:00:00Z"),
    );
    assert_eq!((replaced.delete.len(), replaced.start.is_some(), replaced.status.active), (1, true, None));
}

#[test]
fn the_job_tells_its_time_and_the_status_remembers_it() {
    let cron_job = cron_job(json!({"timeZone": "Europe/Berlin"}), json!({}));
    let found = plan(&cron_job, &[], at("2026-01-01T11:00:30Z"));
    assert_eq!(found.next, Next::After(Duration::from_millis(59 * 60_000 + 30_000 + 100)));
    let job = found.start.unwrap();
    assert_eq!(job.metadata.name.as_deref(), Some("c-29454420"));
    let annotations = job.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations["batch.kubernetes.io/cronjob-scheduled-timestamp"], "2026-01-01T12:00:00+01:00");
    assert_eq!(job.metadata.labels.as_ref().unwrap()["app"], "c");
    let status = started(found.status, &job);
    assert_eq!(status.last_schedule_time.unwrap().0, at("2026-01-01T11:00:00Z"));
    assert_eq!(status.active.unwrap()[0].name.as_deref(), Some("c-29454420"));
}

#[test]
fn ends_are_accounted_for_and_old_jobs_go() {
    let done =
        |number: u32, end: &str| job(&format!("{end}{number}"), Some(end), &format!("2026-01-01T0{number}:00:00Z"));
    let jobs = [
        done(1, "Complete"),
        done(3, "Complete"),
        done(2, "Complete"),
        done(4, "Failed"),
        done(5, "Failed"),
        job("x", None, "2026-01-01T06:00:00Z"),
    ];
    let spec = json!({"successfulJobsHistoryLimit": 2, "failedJobsHistoryLimit": 1, "suspend": true});
    let found = plan(&cron_job(spec, active(&["Complete3", "gone"])), &jobs, at("2026-01-01T10:30:00Z"));
    assert_eq!(reasons(&found), ["SawCompletedJob", "UnexpectedJob", "MissingJob"]);
    assert_eq!(found.events[0].2, "Saw completed job: Complete3, condition: Complete");
    let gone: Vec<_> = found.delete.iter().map(|job| job.metadata.name.as_deref().unwrap()).collect();
    assert_eq!(gone, ["Complete1", "Failed4"]);
    assert_eq!((found.status.active, found.status.last_successful_time.unwrap().0), (None, at("2026-01-01T03:00:00Z")));
}
