//! When a Job has failed or succeeded before its time, and when Pods are replaced.

use k8s_openapi::api::batch::v1::{
    JobSpec, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyOnPodConditionsPattern, PodFailurePolicyRule,
    SuccessPolicy, SuccessPolicyRule,
};
use serde::Serialize;

use super::indexes;
use super::validation::is_indexed;
use crate::core::v1::pod::template;
use crate::field::{
    ErrorList, Json, Path, check_not_negative, duplicate, extend_invalid, invalid, invalid_unshown, not_supported,
    required, too_long, too_many,
};
use crate::meta::text;
use crate::names;

const ACTIONS: &[&str] = &["Count", "FailIndex", "FailJob", "Ignore"];
const OPERATORS: &[&str] = &["In", "NotIn"];
const CONDITION_STATUSES: &[&str] = &["False", "True", "Unknown"];
const MAX_RULES: usize = 20;
const MAX_EXIT_CODES: usize = 255;
const MAX_PATTERNS: usize = 20;
const MAX_INDEXES_LENGTH: usize = 64 * 1024;

pub(super) fn validate_policies(spec: &JobSpec, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(policy) = &spec.pod_failure_policy {
        validate_failure_rules(spec, &policy.rules, &path.child("podFailurePolicy"), errors);
    }
    let success_path = path.child("successPolicy");
    match &spec.success_policy {
        Some(policy) if is_indexed(spec) => validate_success_policy(spec, policy, &success_path, errors),
        Some(policy) => {
            let shown = ShownSuccessPolicy::from(policy);
            errors.push(invalid(&success_path, Json(&shown), "requires indexed completion mode"));
        }
        None => {}
    }
    let replacement = spec.pod_replacement_policy.as_deref();
    let supported: &[&str] =
        if spec.pod_failure_policy.is_some() { &["Failed"] } else { &["Failed", "TerminatingOrFailed"] };
    if let Some(policy) = replacement.filter(|policy| !supported.contains(policy)) {
        errors.push(not_supported(&path.child("podReplacementPolicy"), policy, supported));
    }
}

/// Adds a problem unless a value is one of those there are.
fn check_choice(value: &str, choices: &[&str], path: &Path<'_>, errors: &mut ErrorList) {
    if value.is_empty() {
        let quoted: Vec<String> = choices.iter().map(|choice| format!("\"{choice}\"")).collect();
        errors.push(required(path, &format!("valid values: [{}]", quoted.join(" "))));
    } else if !choices.contains(&value) {
        errors.push(not_supported(path, value, choices));
    }
}

fn validate_failure_rules(spec: &JobSpec, rules: &[PodFailurePolicyRule], path: &Path<'_>, errors: &mut ErrorList) {
    let rules_path = path.child("rules");
    if rules.len() > MAX_RULES {
        errors.push(too_many(&rules_path, rules.len(), MAX_RULES));
    }
    for (position, rule) in rules.iter().enumerate() {
        validate_failure_rule(spec, rule, &rules_path.index(position), errors);
    }
}

fn validate_failure_rule(spec: &JobSpec, rule: &PodFailurePolicyRule, path: &Path<'_>, errors: &mut ErrorList) {
    let action_path = path.child("action");
    if rule.action == "FailIndex" {
        if spec.backoff_limit_per_index.is_none() {
            errors.push(invalid(&action_path, &rule.action, "requires the backoffLimitPerIndex to be set"));
        }
    } else {
        check_choice(&rule.action, ACTIONS, &action_path, errors);
    }
    let patterns = rule.on_pod_conditions.as_deref().unwrap_or_default();
    if let Some(codes) = &rule.on_exit_codes {
        validate_exit_codes(spec, codes, &path.child("onExitCodes"), errors);
    }
    validate_patterns(patterns, &path.child("onPodConditions"), errors);
    match (&rule.on_exit_codes, patterns.is_empty()) {
        (Some(_), false) => {
            errors.push(invalid_unshown(path, "specifying both OnExitCodes and OnPodConditions is not supported"));
        }
        (None, true) => {
            errors.push(invalid_unshown(path, "specifying one of OnExitCodes and OnPodConditions is required"));
        }
        _ => {}
    }
}

fn validate_patterns(patterns: &[PodFailurePolicyOnPodConditionsPattern], path: &Path<'_>, errors: &mut ErrorList) {
    if patterns.len() > MAX_PATTERNS {
        errors.push(too_many(path, patterns.len(), MAX_PATTERNS));
    }
    for (position, pattern) in patterns.iter().enumerate() {
        let path = path.index(position);
        extend_invalid(errors, &path.child("type"), &pattern.type_, names::qualified_name(&pattern.type_));
        check_choice(text(&pattern.status), CONDITION_STATUSES, &path.child("status"), errors);
    }
}

fn validate_exit_codes(
    spec: &JobSpec,
    codes: &PodFailurePolicyOnExitCodesRequirement,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    check_choice(&codes.operator, OPERATORS, &path.child("operator"), errors);
    let pod = template::spec_of(&spec.template);
    let mut containers = pod.containers.iter().chain(pod.init_containers.iter().flatten());
    if let Some(name) = &codes.container_name
        && !containers.any(|container| container.name == *name)
    {
        let message = "must be one of the container or initContainer names in the pod template";
        errors.push(invalid(&path.child("containerName"), name, message));
    }
    let (values, values_path) = (&codes.values, path.child("values"));
    if values.is_empty() {
        errors.push(invalid(&values_path, Json(values), "at least one value is required"));
    } else if values.len() > MAX_EXIT_CODES {
        errors.push(too_many(&values_path, values.len(), MAX_EXIT_CODES));
    }
    for (position, code) in values.iter().enumerate() {
        let path = values_path.index(position);
        if codes.operator == "In" && *code == 0 {
            errors.push(invalid(&path, *code, "must not be 0 for the In operator"));
        }
        if values[..position].contains(code) {
            errors.push(duplicate(&path, *code));
        }
    }
    if !values.is_sorted() {
        errors.push(invalid(&values_path, Json(values), "must be ordered"));
    }
}

/// A policy as upstream's messages show it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownSuccessPolicy<'a> {
    rules: Vec<ShownSuccessRule<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownSuccessRule<'a> {
    succeeded_indexes: &'a Option<String>,
    succeeded_count: Option<i32>,
}

impl<'a> From<&'a SuccessPolicy> for ShownSuccessPolicy<'a> {
    fn from(policy: &'a SuccessPolicy) -> Self {
        let rules = policy.rules.iter().map(|rule| ShownSuccessRule {
            succeeded_indexes: &rule.succeeded_indexes,
            succeeded_count: rule.succeeded_count,
        });
        Self { rules: rules.collect() }
    }
}

fn validate_success_policy(spec: &JobSpec, policy: &SuccessPolicy, path: &Path<'_>, errors: &mut ErrorList) {
    let rules_path = path.child("rules");
    if policy.rules.is_empty() {
        let message = "at least one rules must be specified when the successPolicy is specified";
        errors.push(required(&rules_path, message));
    }
    if policy.rules.len() > MAX_RULES {
        errors.push(too_many(&rules_path, policy.rules.len(), MAX_RULES));
    }
    // Without completions the Job is refused anyway, and nothing can be compared with them.
    let Some(completions) = spec.completions else { return };
    for (position, rule) in policy.rules.iter().enumerate() {
        validate_success_rule(completions, rule, &rules_path.index(position), errors);
    }
}

fn validate_success_rule(completions: i32, rule: &SuccessPolicyRule, path: &Path<'_>, errors: &mut ErrorList) {
    if rule.succeeded_count.is_none() && rule.succeeded_indexes.is_none() {
        errors.push(required(path, "at least one of succeededCount or succeededIndexes must be specified"));
    }
    let mut total = 0;
    if let Some(text) = &rule.succeeded_indexes {
        let path = path.child("succeededIndexes");
        if text.len() > MAX_INDEXES_LENGTH {
            errors.push(too_long(&path, MAX_INDEXES_LENGTH));
        }
        match indexes::count(text, completions) {
            Ok(count) => total = count,
            Err(problem) => errors.push(invalid(&path, text, format!("error parsing succeededIndexes: {problem}"))),
        }
    }
    let Some(count) = rule.succeeded_count else { return };
    let path = path.child("succeededCount");
    check_not_negative(errors, &path, Some(count));
    if count > completions {
        let message = format!("must be less than or equal to {completions} (the number of specified completions)");
        errors.push(invalid(&path, count, message));
    }
    if rule.succeeded_indexes.is_some() && count > total {
        let what = "the number of indexes in the specified succeededIndexes field";
        errors.push(invalid(&path, count, format!("must be less than or equal to {total} ({what})")));
    }
}
