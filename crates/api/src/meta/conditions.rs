//! Conditions of a status.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;

use crate::field::{ErrorList, Path, duplicate, extend_invalid, invalid, not_supported, required, too_long};
use crate::meta::is_zero_time;
use crate::names::{condition_reason, qualified_name};

const STATUSES: &[&str] = &["False", "True", "Unknown"];
const MAX_REASON: usize = 1024;
const MAX_MESSAGE: usize = 32 * 1024;

/// Checks the conditions of a status: each type once, and complete.
pub fn validate_conditions(conditions: &[Condition], path: &Path<'_>) -> ErrorList {
    let mut errors = ErrorList::new();
    for (position, condition) in conditions.iter().enumerate() {
        let path = path.index(position);
        if conditions[..position].iter().any(|other| other.type_ == condition.type_) {
            errors.push(duplicate(&path.child("type"), &condition.type_));
        }
        validate_condition(condition, &path, &mut errors);
    }
    errors
}

fn validate_condition(condition: &Condition, path: &Path<'_>, errors: &mut ErrorList) {
    extend_invalid(errors, &path.child("type"), &condition.type_, qualified_name(&condition.type_));
    if !STATUSES.contains(&condition.status.as_str()) {
        errors.push(not_supported(&path.child("status"), &condition.status, STATUSES));
    }
    if let Some(generation) = condition.observed_generation.filter(|generation| *generation < 0) {
        let message = "must be greater than or equal to zero";
        errors.push(invalid(&path.child("observedGeneration"), generation, message));
    }
    if is_zero_time(condition.last_transition_time.0) {
        errors.push(required(&path.child("lastTransitionTime"), "must be set"));
    }
    let reason_path = path.child("reason");
    if condition.reason.is_empty() {
        errors.push(required(&reason_path, "must be set"));
    } else {
        extend_invalid(errors, &reason_path, &condition.reason, condition_reason(&condition.reason));
        if condition.reason.len() > MAX_REASON {
            errors.push(too_long(&reason_path, MAX_REASON));
        }
    }
    if condition.message.len() > MAX_MESSAGE {
        errors.push(too_long(&path.child("message"), MAX_MESSAGE));
    }
}
