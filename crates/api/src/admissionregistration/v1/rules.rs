//! Which requests a webhook or a policy is asked about.

use k8s_openapi::api::admissionregistration::v1::{MatchResources, NamedRuleWithOperations, RuleWithOperations};

use crate::field::{ErrorList, Json, Path, duplicate, extend_invalid, invalid, not_supported, required};
use crate::labels::{SelectorRules, validate_label_selector};
use crate::meta::text;
use crate::names::path_segment_name;
use crate::omit_empty::omit_empty;

pub(super) const FAILURE_POLICIES: &[&str] = &["Fail", "Ignore"];
pub(super) const MATCH_POLICIES: &[&str] = &["Equivalent", "Exact"];
const SCOPES: &[&str] = &["*", "Cluster", "Namespaced"];
const OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "DELETE", "UPDATE"];
/// What is deleted cannot be changed on its way in.
pub(super) const MUTABLE_OPERATIONS: &[&str] = &["*", "CONNECT", "CREATE", "UPDATE"];
const EVERYTHING: &str = "*";

/// A rule, with or without names.
struct Rule<'a> {
    operations: &'a [String],
    groups: &'a [String],
    versions: &'a [String],
    resources: &'a [String],
    scope: Option<&'a str>,
}

macro_rules! rule {
    ($rule:expr) => {
        Rule {
            operations: $rule.operations.as_deref().unwrap_or_default(),
            groups: $rule.api_groups.as_deref().unwrap_or_default(),
            versions: $rule.api_versions.as_deref().unwrap_or_default(),
            resources: $rule.resources.as_deref().unwrap_or_default(),
            scope: $rule.scope.as_deref(),
        }
    };
}

pub(super) fn default_rule(rule: &mut RuleWithOperations) {
    omit_empty!(rule => api_groups, api_versions, operations, resources);
    rule.scope.get_or_insert_with(|| EVERYTHING.to_owned());
}

pub(super) fn default_match_resources(resources: &mut MatchResources) {
    omit_empty!(resources => exclude_resource_rules, resource_rules);
    resources.match_policy.get_or_insert_with(|| "Equivalent".to_owned());
    resources.namespace_selector.get_or_insert_default();
    resources.object_selector.get_or_insert_default();
    let rules = resources.resource_rules.iter_mut().chain(&mut resources.exclude_resource_rules);
    for rule in rules.flatten() {
        omit_empty!(rule => api_groups, api_versions, operations, resource_names, resources);
        rule.scope.get_or_insert_with(|| EVERYTHING.to_owned());
    }
}

pub(super) fn validate_rule(rule: &RuleWithOperations, path: &Path<'_>, errors: &mut ErrorList) {
    check_rule(&rule!(rule), path, errors);
}

pub(super) fn validate_match_resources(resources: &MatchResources, path: &Path<'_>, errors: &mut ErrorList) {
    let policy_path = path.child("matchPolicy");
    match resources.match_policy.as_deref() {
        None => errors.push(required(&policy_path, "")),
        Some(policy) if !MATCH_POLICIES.contains(&policy) => {
            errors.push(not_supported(&policy_path, policy, MATCH_POLICIES));
        }
        Some(_) => {}
    }
    for (field, selector) in
        [("namespaceSelector", &resources.namespace_selector), ("objectSelector", &resources.object_selector)]
    {
        let path = path.child(field);
        if selector.is_none() {
            errors.push(required(&path, ""));
        }
        errors.extend(validate_label_selector(selector.as_ref(), SelectorRules::Strict, &path));
    }
    for (field, rules) in
        [("resourceRules", &resources.resource_rules), ("excludeResourceRules", &resources.exclude_resource_rules)]
    {
        let list_path = path.child(field);
        for (position, rule) in rules.iter().flatten().enumerate() {
            validate_named_rule(rule, &list_path.index(position), errors);
        }
    }
}

/// The constraints of a policy, which must say at least what kinds it is about.
pub(super) fn validate_constraints(constraints: Option<&MatchResources>, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(constraints) = constraints else {
        errors.push(required(path, ""));
        return;
    };
    validate_match_resources(constraints, path, errors);
    if constraints.resource_rules.as_ref().is_none_or(Vec::is_empty) {
        errors.push(required(&path.child("resourceRules"), ""));
    }
}

/// Operations that policies which change objects cannot be asked about.
pub(super) fn validate_mutable(resources: &MatchResources, path: &Path<'_>, errors: &mut ErrorList) {
    let path = path.child("resourceRules");
    let path = path.child("operations");
    let operations = resources.resource_rules.iter().flatten().flat_map(|rule| rule.operations.iter().flatten());
    for operation in operations.filter(|operation| !MUTABLE_OPERATIONS.contains(&operation.as_str())) {
        errors.push(not_supported(&path, operation, MUTABLE_OPERATIONS));
    }
}

fn validate_named_rule(rule: &NamedRuleWithOperations, path: &Path<'_>, errors: &mut ErrorList) {
    let list_path = path.child("resourceNames");
    let names = rule.resource_names.as_deref().unwrap_or_default();
    for (position, name) in names.iter().enumerate() {
        extend_invalid(errors, &list_path.index(position), name, path_segment_name(name, false));
        if names[..position].contains(name) {
            errors.push(duplicate(&list_path.index(position), name));
        }
    }
    check_rule(&rule!(rule), path, errors);
}

fn check_rule(rule: &Rule<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    let alone = |values: &[String], path: &Path<'_>, what: &str, errors: &mut ErrorList| {
        if values.is_empty() {
            errors.push(required(path, ""));
        } else if values.len() > 1 && has_everything(values) {
            errors.push(invalid(path, Json(&values), format!("if '*' is present, must not specify other {what}")));
        }
    };
    let list_path = path.child("operations");
    alone(rule.operations, &list_path, "operations", errors);
    for (position, operation) in rule.operations.iter().enumerate() {
        if !OPERATIONS.contains(&operation.as_str()) {
            errors.push(not_supported(&list_path.index(position), operation, OPERATIONS));
        }
    }
    alone(rule.groups, &path.child("apiGroups"), "API groups", errors);
    let list_path = path.child("apiVersions");
    alone(rule.versions, &list_path, "API versions", errors);
    for (position, _) in rule.versions.iter().enumerate().filter(|(_, version)| version.is_empty()) {
        errors.push(required(&list_path.index(position), ""));
    }
    check_resources(rule.resources, &path.child("resources"), errors);
    if let Some(scope) = rule.scope.filter(|scope| !SCOPES.contains(scope)) {
        errors.push(not_supported(&path.child("scope"), scope, SCOPES));
    }
}

fn has_everything(values: &[String]) -> bool {
    values.iter().any(|value| value == EVERYTHING)
}

/// Resources and subresources: `x`, `x/y`, `x/*`, `*/y`, `*`, `*/*`; none may be within another.
fn check_resources(resources: &[String], path: &Path<'_>, errors: &mut ErrorList) {
    if resources.is_empty() {
        errors.push(required(path, ""));
    }
    let (mut with_any_part, mut parts_of_any): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    // As upstream has it: the last resource without a part decides.
    let mut plain = false;
    for (position, resource) in resources.iter().enumerate() {
        let path = path.index(position);
        if resource.is_empty() {
            errors.push(required(&path, ""));
            continue;
        }
        let Some((name, part)) = resource.split_once('/') else {
            plain = resource != EVERYTHING;
            continue;
        };
        if with_any_part.contains(&name) {
            let message = format!("if '{name}/*' is present, must not specify {resource}");
            errors.push(invalid(&path, resource, message));
        }
        if parts_of_any.contains(&part) {
            let message = format!("if '*/{part}' is present, must not specify {resource}");
            errors.push(invalid(&path, resource, message));
        }
        if part == EVERYTHING {
            with_any_part.push(name);
        }
        if name == EVERYTHING {
            parts_of_any.push(part);
        }
    }
    if resources.len() > 1 && resources.iter().any(|resource| resource == "*/*") {
        errors.push(invalid(path, Json(&resources), "if '*/*' is present, must not specify other resources"));
    }
    if plain && has_everything(resources) {
        let message = "if '*' is present, must not specify other resources without subresources";
        errors.push(invalid(path, Json(&resources), message));
    }
}

/// Whether a webhook or a policy lets a request pass when it cannot be asked.
pub(super) fn validate_failure_policy(policy: Option<&str>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(policy) = policy.filter(|policy| !FAILURE_POLICIES.contains(policy)) {
        errors.push(not_supported(&path.child("failurePolicy"), policy, FAILURE_POLICIES));
    }
}

/// The same for policies, which must say.
pub(super) fn require_failure_policy(policy: Option<&str>, path: &Path<'_>, errors: &mut ErrorList) {
    if policy.is_none() {
        errors.push(required(&path.child("failurePolicy"), ""));
    }
    validate_failure_policy(policy, path, errors);
}

/// A string that must be one of a few, or is missing.
pub(super) fn validate_choice(value: &Option<String>, path: &Path<'_>, choices: &[&str], errors: &mut ErrorList) {
    match text(value) {
        "" => errors.push(required(path, "")),
        value if !choices.contains(&value) => errors.push(not_supported(path, value, choices)),
        _ => {}
    }
}
