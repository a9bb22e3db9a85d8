//! CronJobs.

use k8s_openapi::api::batch::v1::{CronJob, CronJobSpec, JobTemplateSpec};

use super::job;
use crate::core::v1::pod::template;
use crate::field::{ErrorList, Json, Path, check_not_negative, invalid, not_supported, required};
use crate::meta::{METADATA, Scope, text, validate_meta, validate_meta_update};
use crate::names::{LABEL_MAX_LENGTH, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

pub mod schedule;
#[cfg(test)]
mod tests;
mod time_zone;

pub use time_zone::time_zone_data;

/// A Job starts whether or not the one before has ended.
pub const ALLOW: &str = "Allow";
/// A Job is left out while the one before goes on.
pub const FORBID: &str = "Forbid";
/// A Job ends the one before.
pub const REPLACE: &str = "Replace";

const SPEC: Path<'static> = Path::new("spec");
/// Names of a CronJob's Jobs end in a dash and the minutes since 1970.
const TIME_SUFFIX_LENGTH: usize = 11;

impl Kind for CronJob {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = &mut self.spec;
        omit_empty!(spec => concurrency_policy);
        spec.concurrency_policy.get_or_insert_with(|| ALLOW.to_owned());
        spec.suspend.get_or_insert(false);
        spec.successful_jobs_history_limit.get_or_insert(3);
        spec.failed_jobs_history_limit.get_or_insert(1);
        omit_empty::metadata(spec.job_template.metadata.get_or_insert_default());
        job::default_template_spec(spec.job_template.spec.get_or_insert_default());
        let status = self.status.get_or_insert_default();
        omit_empty!(status => active);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        errors.extend(validate_spec(&self.spec, None));
        let name = text(&self.metadata.name);
        let max = LABEL_MAX_LENGTH - TIME_SUFFIX_LENGTH;
        if name.len() > max {
            errors.push(invalid(&METADATA.child("name"), name, format!("must be no more than {max} characters")));
        }
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        errors.extend(validate_spec(&self.spec, Some(&old.spec)));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validate_meta_update(&self.metadata, &old.metadata)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = template::name_warnings(&self.metadata);
        warnings.extend(template_warnings(self));
        warnings
    }

    fn update_warnings(&self, old: &Self) -> Vec<String> {
        if self.metadata.generation == old.metadata.generation { Vec::new() } else { template_warnings(self) }
    }
}

/// What in the template is fine but hardly meant.
fn template_warnings(object: &CronJob) -> Vec<String> {
    let template_path = SPEC.child("jobTemplate");
    let spec = object.spec.job_template.spec.iter();
    spec.flat_map(|spec| job::spec_warnings(spec, &template_path.child("spec"))).collect()
}

fn validate_spec(spec: &CronJobSpec, old: Option<&CronJobSpec>) -> ErrorList {
    let mut errors = ErrorList::new();
    let old_zone = old.is_some_and(|old| old.schedule.contains("TZ"));
    validate_schedule(spec, old_zone, &mut errors);
    check_not_negative(&mut errors, &SPEC.child("startingDeadlineSeconds"), spec.starting_deadline_seconds);
    if let Some(zone) = spec.time_zone.as_ref().filter(|_| old.is_none_or(|old| old.time_zone != spec.time_zone)) {
        time_zone::validate(zone, &SPEC.child("timeZone"), &mut errors);
    }
    let path = SPEC.child("concurrencyPolicy");
    match text(&spec.concurrency_policy) {
        "" => errors.push(required(&path, "")),
        ALLOW | FORBID | REPLACE => {}
        other => errors.push(not_supported(&path, other, &[ALLOW, FORBID, REPLACE])),
    }
    validate_job_template(&spec.job_template, &SPEC.child("jobTemplate"), &mut errors);
    check_not_negative(&mut errors, &SPEC.child("successfulJobsHistoryLimit"), spec.successful_jobs_history_limit);
    check_not_negative(&mut errors, &SPEC.child("failedJobsHistoryLimit"), spec.failed_jobs_history_limit);
    errors
}

/// A schedule may name a zone itself only if it did so before that was refused.
fn validate_schedule(spec: &CronJobSpec, old_zone: bool, errors: &mut ErrorList) {
    let (path, text) = (SPEC.child("schedule"), spec.schedule.as_str());
    if text.is_empty() {
        errors.push(required(&path, ""));
        return;
    }
    if let Err(problem) = schedule::parse(text) {
        errors.push(invalid(&path, text, problem.to_string()));
    }
    if text.contains("TZ") {
        if !old_zone {
            errors.push(invalid(&path, text, "cannot use TZ or CRON_TZ in schedule, use timeZone field instead"));
        } else if spec.time_zone.is_some() {
            errors.push(invalid(&path, text, "cannot use both timeZone field and TZ or CRON_TZ in schedule"));
        }
    }
}

fn validate_job_template(template: &JobTemplateSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(spec) = &template.spec else { return };
    let path = path.child("spec");
    job::validate_template_spec(spec, &path, errors);
    if let Some(selector) = &spec.selector {
        errors.push(invalid(&path.child("selector"), Json(selector), "`selector` will be auto-generated"));
    }
    if spec.manual_selector == Some(true) {
        errors.push(not_supported(&path.child("manualSelector"), true, &["nil", "false"]));
    }
}
