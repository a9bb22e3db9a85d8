//! Columns of Jobs and what makes them.

use api::batch::v1::job::has_condition;
use api::k8s_openapi::api::batch::v1::{CronJob, Job};

use super::apps::{CONTAINERS, IMAGES, container_images, container_names, integer, selector};
use super::{AGE, Column, Columns, NAME, Row, age, column, descriptions, name, or_none, typed, wide};

pub(super) static JOB: Columns = Columns {
    definitions: &[
        NAME,
        column("Status", "Status of the job."),
        column("Completions", descriptions::JOB_STATUS_SUCCEEDED),
        column("Duration", "Time required to complete the job."),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", descriptions::JOB_SPEC_SELECTOR),
    ],
    row: |object, now| {
        let job = typed::<Job>(object);
        let (spec, status) = (job.spec.clone().unwrap_or_default(), job.status.clone().unwrap_or_default());
        let succeeded = status.succeeded.unwrap_or(0);
        let completions = match (spec.completions, spec.parallelism.unwrap_or(0)) {
            (Some(completions), _) => format!("{succeeded}/{completions}"),
            (None, parallelism @ 2..) => format!("{succeeded}/1 of {parallelism}"),
            (None, _) => format!("{succeeded}/1"),
        };
        let end = status.completion_time.as_ref().map_or(now, |time| time.0);
        let duration = status.start_time.as_ref().map(|start| age::human(end.duration_since(start.0).as_secs()));
        Row::from(vec![
            name(object),
            state(job).into(),
            completions.into(),
            duration.unwrap_or_default().into(),
            age(object, now),
            container_names(Some(&spec.template)),
            container_images(Some(&spec.template)),
            selector(spec.selector.as_ref()),
        ])
    },
};

/// Where a Job stands, as one word.
fn state(job: &Job) -> &'static str {
    let is = |condition| job.status.as_ref().is_some_and(|status| has_condition(status, condition));
    let ends = ["Complete", "Failed"].into_iter().find(|condition| is(condition));
    let deleted = job.metadata.deletion_timestamp.is_some().then_some("Terminating");
    let others = ["Suspended", "FailureTarget", "SuccessCriteriaMet"].into_iter().find(|condition| is(condition));
    ends.or(deleted).or(others).unwrap_or("Running")
}

pub(super) static CRON_JOB: Columns = Columns {
    definitions: &[
        NAME,
        column("Schedule", descriptions::CRON_JOB_SPEC_SCHEDULE),
        column("Timezone", descriptions::CRON_JOB_SPEC_TIME_ZONE),
        Column { kind: "boolean", ..column("Suspend", descriptions::CRON_JOB_SPEC_SUSPEND) },
        integer("Active", descriptions::CRON_JOB_STATUS_ACTIVE),
        column("Last Schedule", descriptions::CRON_JOB_STATUS_LAST_SCHEDULE_TIME),
        AGE,
        CONTAINERS,
        IMAGES,
        wide("Selector", descriptions::JOB_SPEC_SELECTOR),
    ],
    row: |object, now| {
        let job = typed::<CronJob>(object);
        let status = job.status.clone().unwrap_or_default();
        let suspend = match job.spec.suspend {
            Some(true) => "True",
            Some(false) => "False",
            None => "<unset>",
        };
        let last = status.last_schedule_time.map(|time| age::since(Some(time.0), now));
        let template = job.spec.job_template.spec.as_ref();
        let pods = template.map(|spec| &spec.template);
        Row::from(vec![
            name(object),
            job.spec.schedule.as_str().into(),
            or_none(job.spec.time_zone.as_deref()),
            suspend.into(),
            status.active.map_or(0, |active| active.len()).into(),
            or_none(last.as_deref()),
            age(object, now),
            container_names(pods),
            container_images(pods),
            selector(template.and_then(|spec| spec.selector.as_ref())),
        ])
    },
};
