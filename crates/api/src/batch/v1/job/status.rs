//! How the status of a Job may change. What was wrong before and did not change is left alone.

use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};

use super::validation::is_indexed;
use super::{has_condition, indexes, is_finished};
use crate::field::{Error, ErrorList, Json, Path, check_not_negative, duplicate, invalid, invalid_unshown, required};
use crate::meta::{text, validate_meta_update};

const STATUS: Path<'static> = Path::new("status");
const COMPLETE: &str = "Complete";
const FAILED: &str = "Failed";
const FAILURE_TARGET: &str = "FailureTarget";
const SUCCESS_CRITERIA_MET: &str = "SuccessCriteriaMet";

pub(super) fn validate_status_changes(new_job: &Job, old_job: &Job) -> ErrorList {
    let mut errors = validate_meta_update(&new_job.metadata, &old_job.metadata);
    let (none, no_spec) = (JobStatus::default(), JobSpec::default());
    let change = Change {
        spec: new_job.spec.as_ref().unwrap_or(&no_spec),
        new: new_job.status.as_ref().unwrap_or(&none),
        old: old_job.status.as_ref().unwrap_or(&none),
    };
    change.check_numbers(&mut errors);
    change.check_uncounted(&mut errors);
    change.check_end(&mut errors);
    change.check_finished(&mut errors);
    change.check_indexes(&mut errors);
    change.check_success(&mut errors);
    change.check_steps(&mut errors);
    errors
}

struct Change<'a> {
    spec: &'a JobSpec,
    new: &'a JobStatus,
    old: &'a JobStatus,
}

/// A problem of a combination of conditions.
fn conditions(detail: &str) -> Error {
    invalid_unshown(&STATUS.child("conditions"), detail)
}

impl Change<'_> {
    fn is(&self, condition: &str) -> bool {
        has_condition(self.new, condition)
    }

    fn was(&self, condition: &str) -> bool {
        has_condition(self.old, condition)
    }

    fn turned(&self, condition: &str) -> bool {
        self.is(condition) != self.was(condition)
    }

    fn check_numbers(&self, errors: &mut ErrorList) {
        for (field, number) in [
            ("active", self.new.active),
            ("succeeded", self.new.succeeded),
            ("failed", self.new.failed),
            ("ready", self.new.ready),
            ("terminating", self.new.terminating),
        ] {
            check_not_negative(errors, &STATUS.child(field), number);
        }
    }

    fn check_uncounted(&self, errors: &mut ErrorList) {
        let Some(pods) = &self.new.uncounted_terminated_pods else { return };
        let path = STATUS.child("uncountedTerminatedPods");
        let mut seen: Vec<&String> = Vec::new();
        for (field, uids) in [("succeeded", &pods.succeeded), ("failed", &pods.failed)] {
            let path = path.child(field);
            for (position, uid) in uids.iter().flatten().enumerate() {
                if uid.is_empty() {
                    errors.push(invalid(&path.index(position), uid, "must not be empty"));
                } else if seen.contains(&uid) {
                    errors.push(duplicate(&path.index(position), uid));
                } else {
                    seen.push(uid);
                }
            }
        }
    }

    /// Conditions and times of the end.
    fn check_end(&self, errors: &mut ErrorList) {
        let (complete, failed) = (self.is(COMPLETE), self.is(FAILED));
        let time_path = STATUS.child("completionTime");
        let completed = &self.new.completion_time;
        let completion_moved = self.turned(COMPLETE) || completed != &self.old.completion_time;
        if (self.turned(COMPLETE) || self.turned(FAILED)) && complete && failed {
            errors.push(conditions("cannot set Complete=True and Failed=true conditions"));
        }
        if (self.turned(COMPLETE) || self.turned(FAILURE_TARGET)) && complete && self.is(FAILURE_TARGET) {
            errors.push(conditions("cannot set Complete=True and FailureTarget=true conditions"));
        }
        if completion_moved && completed.is_some() && !complete {
            let message = "cannot set completionTime when there is no Complete=True condition";
            errors.push(invalid(&time_path, Json(completed), message));
        }
        if completion_moved && completed.is_none() && complete {
            errors.push(required(&time_path, "completionTime is required for Complete jobs"));
        }
        let moved = self.new.start_time != self.old.start_time || completed != &self.old.completion_time;
        if let (Some(start), Some(end)) = (&self.new.start_time, completed)
            && moved
            && end.0 < start.0
        {
            errors.push(invalid(&time_path, Json(completed), "completionTime cannot be set before startTime"));
        }
        let failed_moved = self.turned(FAILED) || self.new.failed_indexes != self.old.failed_indexes;
        if failed_moved && failed && !self.is(FAILURE_TARGET) {
            errors.push(conditions("cannot set Failed=True condition without the FailureTarget=true condition"));
        }
        if (self.turned(COMPLETE) || self.turned(SUCCESS_CRITERIA_MET)) && complete && !self.is(SUCCESS_CRITERIA_MET) {
            let message = "cannot set Complete=True condition without the SuccessCriteriaMet=true condition";
            errors.push(conditions(message));
        }
    }

    /// What a finished Job no longer has.
    fn check_finished(&self, errors: &mut ErrorList) {
        let finished = is_finished(self.new);
        let ended = finished != is_finished(self.old);
        let (active, ready) = (self.new.active.unwrap_or(0), self.new.ready);
        if (ended || self.new.active != self.old.active) && finished && active > 0 {
            errors.push(invalid(&STATUS.child("active"), active, "active>0 is invalid for finished job"));
        }
        if (ended || self.new.start_time != self.old.start_time) && finished && self.new.start_time.is_none() {
            errors.push(required(&STATUS.child("startTime"), "startTime is required for finished job"));
        }
        let uncounted = &self.new.uncounted_terminated_pods;
        let any = |uids: &Option<Vec<String>>| uids.as_ref().is_some_and(|uids| !uids.is_empty());
        let has_uncounted = uncounted.as_ref().is_some_and(|pods| any(&pods.succeeded) || any(&pods.failed));
        if (ended || uncounted != &self.old.uncounted_terminated_pods) && finished && has_uncounted {
            let message = "uncountedTerminatedPods needs to be empty for finished job";
            errors.push(invalid(&STATUS.child("uncountedTerminatedPods"), Json(uncounted), message));
        }
        let terminating = self.new.terminating;
        if (ended || terminating != self.old.terminating) && finished && terminating.is_some_and(|pods| pods > 0) {
            let message = "terminating>0 is invalid for finished job";
            errors.push(invalid(&STATUS.child("terminating"), terminating, message));
        }
        let moved = ready != self.old.ready || self.new.active != self.old.active;
        if let Some(ready) = ready.filter(|ready| moved && *ready > active) {
            errors.push(invalid(&STATUS.child("ready"), ready, "cannot set more ready pods than active"));
        }
    }

    fn check_indexes(&self, errors: &mut ErrorList) {
        let (completed, failed) = (text(&self.new.completed_indexes), &self.new.failed_indexes);
        let completed_moved = completed != text(&self.old.completed_indexes);
        let failed_moved = failed != &self.old.failed_indexes;
        let (completed_path, failed_path) = (STATUS.child("completedIndexes"), STATUS.child("failedIndexes"));
        if let Some(completions) = self.spec.completions {
            if let Some(problem) = indexes::count(completed, completions).err().filter(|_| completed_moved) {
                errors.push(invalid(&completed_path, completed, format!("error parsing completedIndexes: {problem}")));
            }
            let limited = self.spec.backoff_limit_per_index.is_some() && failed_moved;
            if let Some(failed) = failed.as_ref().filter(|_| limited)
                && let Err(problem) = indexes::count(failed, completions)
            {
                errors.push(invalid(&failed_path, failed, format!("error parsing failedIndexes: {problem}")));
            }
        }
        if completed_moved && !completed.is_empty() && !is_indexed(self.spec) {
            let message = "cannot set non-empty completedIndexes when non-indexed completion mode";
            errors.push(invalid(&completed_path, completed, message));
        }
        let Some(failed) = failed else { return };
        if failed_moved && self.spec.backoff_limit_per_index.is_none() {
            let message = "cannot set non-null failedIndexes when backoffLimitPerIndex is null";
            errors.push(invalid(&failed_path, failed, message));
        }
        let completions = self.spec.completions.filter(|_| failed_moved || completed_moved);
        if let Some(index) = completions.and_then(|completions| indexes::overlap(completed, failed, completions)) {
            let message = format!("failedIndexes and completedIndexes overlap at index: {index}");
            errors.push(invalid(&failed_path, failed, message));
        }
    }

    fn check_success(&self, errors: &mut ErrorList) {
        let met = self.is(SUCCESS_CRITERIA_MET);
        if met && self.is(FAILED) {
            errors.push(conditions("cannot set SuccessCriteriaMet=True and Failed=true conditions"));
        }
        if met && self.is(FAILURE_TARGET) {
            errors.push(conditions("cannot set SuccessCriteriaMet=True and FailureTarget=true conditions"));
        }
        if self.spec.success_policy.is_some() && !met && self.is(COMPLETE) {
            let message = "cannot set Complete=True for Job with SuccessPolicy unless SuccessCriteriaMet=True";
            errors.push(conditions(message));
        }
    }

    /// From what was to what is.
    fn check_steps(&self, errors: &mut ErrorList) {
        for condition in [FAILED, COMPLETE, FAILURE_TARGET] {
            if self.was(condition) && !self.is(condition) {
                errors.push(conditions(&format!("cannot disable the terminal {condition}=True condition")));
            }
        }
        let scalable = is_indexed(self.spec) && self.spec.completions == self.spec.parallelism;
        for (field, new, old, text) in [
            ("failed", self.new.failed, self.old.failed, "cannot decrease the failed counter"),
            ("succeeded", self.new.succeeded, self.old.succeeded, "cannot decrease the succeeded counter"),
        ] {
            let free = field == "succeeded" && scalable;
            if !free && new.unwrap_or(0) < old.unwrap_or(0) {
                errors.push(invalid(&STATUS.child(field), new.unwrap_or(0), text));
            }
        }
        let (new, old) = (&self.new.completion_time, &self.old.completion_time);
        if new.is_some() && old.is_some() && new != old {
            errors.push(invalid(&STATUS.child("completionTime"), Json(new), "completionTime cannot be mutated"));
        }
        let (new, old) = (&self.new.start_time, &self.old.start_time);
        if old.is_some() && new != old && self.spec.suspend != Some(true) {
            errors.push(required(&STATUS.child("startTime"), "startTime cannot be removed for unsuspended job"));
        }
        if self.was(SUCCESS_CRITERIA_MET) && !self.is(SUCCESS_CRITERIA_MET) {
            errors.push(conditions("cannot disable the SuccessCriteriaMet=True condition"));
        }
        if self.was(COMPLETE) && !self.was(SUCCESS_CRITERIA_MET) && self.is(SUCCESS_CRITERIA_MET) {
            let message = "cannot set SuccessCriteriaMet=True for Job already has Complete=true conditions";
            errors.push(conditions(message));
        }
    }
}
