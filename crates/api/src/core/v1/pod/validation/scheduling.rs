//! Where a Pod may run: affinities, topology spread, gates.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::{
    NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, PodAffinityTerm, PodSpec,
    TopologySpreadConstraint, WeightedPodAffinityTerm,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use super::{SPEC, check_label, check_optional_choice, check_qualified_name, check_subdomain};
use crate::field::{ErrorList, Path, duplicate, extend_invalid, forbidden, invalid, required};
use crate::labels::{SelectorRules, validate_label_selector};
use crate::names;

const REQUIRED: &str = "requiredDuringSchedulingIgnoredDuringExecution";
const PREFERRED: &str = "preferredDuringSchedulingIgnoredDuringExecution";

/// Whether the values of a node selector must be label values. Preferences may hold any.
#[derive(Clone, Copy, PartialEq)]
enum Values {
    Checked,
    Any,
}

pub(super) fn validate_affinity(spec: &PodSpec, errors: &mut ErrorList) {
    let Some(affinity) = &spec.affinity else { return };
    let path = SPEC.child("affinity");
    if let Some(node) = &affinity.node_affinity {
        validate_node_affinity(node, &path.child("nodeAffinity"), errors);
    }
    if let Some(pod) = &affinity.pod_affinity {
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod.preferred_during_scheduling_ignored_during_execution.as_deref();
        validate_pod_terms(required, preferred, &path.child("podAffinity"), errors);
    }
    if let Some(pod) = &affinity.pod_anti_affinity {
        let required = pod.required_during_scheduling_ignored_during_execution.as_deref();
        let preferred = pod.preferred_during_scheduling_ignored_during_execution.as_deref();
        validate_pod_terms(required, preferred, &path.child("podAntiAffinity"), errors);
    }
}

fn validate_node_affinity(affinity: &NodeAffinity, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(selector) = &affinity.required_during_scheduling_ignored_during_execution {
        validate_node_selector(selector, &path.child(REQUIRED), errors);
    }
    let list_path = path.child(PREFERRED);
    let terms = affinity.preferred_during_scheduling_ignored_during_execution.iter().flatten();
    for (position, term) in terms.enumerate() {
        let path = list_path.index(position);
        validate_weight(term.weight, &path, errors);
        validate_node_term(&term.preference, Values::Any, &path.child("preference"), errors);
    }
}

fn validate_weight(weight: i32, path: &Path<'_>, errors: &mut ErrorList) {
    if !(1..=100).contains(&weight) {
        errors.push(invalid(&path.child("weight"), weight, "must be in the range 1-100"));
    }
}

pub(crate) fn validate_node_selector(selector: &NodeSelector, path: &Path<'_>, errors: &mut ErrorList) {
    let list_path = path.child("nodeSelectorTerms");
    if selector.node_selector_terms.is_empty() {
        errors.push(required(&list_path, "must have at least one node selector term"));
    }
    for (position, term) in selector.node_selector_terms.iter().enumerate() {
        validate_node_term(term, Values::Checked, &list_path.index(position), errors);
    }
}

fn validate_node_term(term: &NodeSelectorTerm, values: Values, path: &Path<'_>, errors: &mut ErrorList) {
    let list_path = path.child("matchExpressions");
    for (position, expression) in term.match_expressions.iter().flatten().enumerate() {
        validate_expression(expression, values, &list_path.index(position), errors);
    }
    let list_path = path.child("matchFields");
    for (position, field) in term.match_fields.iter().flatten().enumerate() {
        validate_node_field(field, &list_path.index(position), errors);
    }
}

fn validate_expression(requirement: &NodeSelectorRequirement, rule: Values, path: &Path<'_>, errors: &mut ErrorList) {
    let values_path = path.child("values");
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.is_empty() => {
            errors.push(required(&values_path, "must be specified when `operator` is 'In' or 'NotIn'"));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            errors.push(forbidden(&values_path, "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"));
        }
        "Gt" | "Lt" if values.len() != 1 => {
            errors.push(required(&values_path, "must be specified single value when `operator` is 'Lt' or 'Gt'"));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
        other => errors.push(invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    check_qualified_name(&requirement.key, &path.child("key"), errors);
    if rule == Values::Checked {
        for (position, value) in values.iter().enumerate() {
            extend_invalid(errors, &values_path.index(position), value, names::label_value(value));
        }
    }
}

fn validate_node_field(requirement: &NodeSelectorRequirement, path: &Path<'_>, errors: &mut ErrorList) {
    let values_path = path.child("values");
    let values = requirement.values.as_deref().unwrap_or_default();
    match requirement.operator.as_str() {
        "In" | "NotIn" if values.len() != 1 => {
            let message = "must be only one value when `operator` is 'In' or 'NotIn' for node field selector";
            errors.push(required(&values_path, message));
        }
        "In" | "NotIn" => {}
        other => errors.push(invalid(&path.child("operator"), other, "not a valid selector operator")),
    }
    if requirement.key != "metadata.name" {
        errors.push(invalid(&path.child("key"), &requirement.key, "not a valid field selector key"));
        return;
    }
    for (position, value) in values.iter().enumerate() {
        check_subdomain(value, &values_path.index(position), errors);
    }
}

fn validate_pod_terms(
    required: Option<&[PodAffinityTerm]>,
    preferred: Option<&[WeightedPodAffinityTerm]>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let list_path = path.child(REQUIRED);
    for (position, term) in required.into_iter().flatten().enumerate() {
        validate_pod_term(term, &list_path.index(position), errors);
    }
    let list_path = path.child(PREFERRED);
    for (position, term) in preferred.into_iter().flatten().enumerate() {
        let path = list_path.index(position);
        validate_weight(term.weight, &path, errors);
        validate_pod_term(&term.pod_affinity_term, &path.child("podAffinityTerm"), errors);
    }
}

fn validate_pod_term(term: &PodAffinityTerm, path: &Path<'_>, errors: &mut ErrorList) {
    let (labels, namespaces) = (term.label_selector.as_ref(), term.namespace_selector.as_ref());
    errors.extend(validate_label_selector(labels, SelectorRules::Strict, &path.child("labelSelector")));
    errors.extend(validate_label_selector(namespaces, SelectorRules::Strict, &path.child("namespaceSelector")));
    for namespace in term.namespaces.iter().flatten() {
        check_label(namespace, &path.child("namespace"), errors);
    }
    validate_label_keys(term, path, errors);
    let key_path = path.child("topologyKey");
    if term.topology_key.is_empty() {
        errors.push(required(&key_path, "can not be empty"));
    }
    check_qualified_name(&term.topology_key, &key_path, errors);
}

fn validate_label_keys(term: &PodAffinityTerm, path: &Path<'_>, errors: &mut ErrorList) {
    let matching = term.match_label_keys.as_deref().unwrap_or_default();
    let differing = term.mismatch_label_keys.as_deref().unwrap_or_default();
    let selector = term.label_selector.as_ref();
    let keys_path = path.child("matchLabelKeys");
    check_label_keys(matching, selector, &keys_path, errors);
    check_label_keys(differing, selector, &path.child("mismatchLabelKeys"), errors);
    check_merged_keys(matching, selector, path, errors);
    for (position, key) in matching.iter().enumerate().filter(|(_, key)| differing.contains(key)) {
        errors.push(invalid(&keys_path.index(position), key, "exists in both matchLabelKeys and mismatchLabelKeys"));
    }
}

fn check_label_keys(keys: &[String], selector: Option<&LabelSelector>, path: &Path<'_>, errors: &mut ErrorList) {
    if keys.is_empty() {
        return;
    }
    if selector.is_none() {
        errors.push(forbidden(path, "must not be specified when labelSelector is not set"));
        return;
    }
    for (position, key) in keys.iter().enumerate() {
        check_qualified_name(key, &path.index(position), errors);
    }
}

/// The server has put the keys into the selector already, so a second requirement on one is the user's.
fn check_merged_keys(keys: &[String], selector: Option<&LabelSelector>, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(selector) = selector else { return };
    let mut seen: HashSet<&String> = selector.match_labels.iter().flatten().map(|(key, _)| key).collect();
    for expression in selector.match_expressions.iter().flatten() {
        let merged = keys.iter().rposition(|key| *key == expression.key);
        if let Some(position) = merged.filter(|_| seen.contains(&expression.key)) {
            let message = "exists in both matchLabelKeys and labelSelector";
            errors.push(invalid(&path.index(position), &expression.key, message));
        }
        seen.insert(&expression.key);
    }
}

pub(super) fn validate_gates(spec: &PodSpec, errors: &mut ErrorList) {
    let list_path = SPEC.child("readinessGates");
    for (position, gate) in spec.readiness_gates.iter().flatten().enumerate() {
        let path = list_path.index(position);
        check_qualified_name(&gate.condition_type, &path.child("conditionType"), errors);
    }
    let list_path = SPEC.child("schedulingGates");
    let mut names = HashSet::new();
    for (position, gate) in spec.scheduling_gates.iter().flatten().enumerate() {
        let path = list_path.index(position);
        check_qualified_name(&gate.name, &path, errors);
        if !names.insert(&gate.name) {
            errors.push(duplicate(&path, &gate.name));
        }
    }
}

pub(super) fn validate_spread(spec: &PodSpec, errors: &mut ErrorList) {
    let constraints = spec.topology_spread_constraints.as_deref().unwrap_or_default();
    let list_path = SPEC.child("topologySpreadConstraints");
    for (position, constraint) in constraints.iter().enumerate() {
        validate_constraint(constraint, &constraints[position + 1..], &list_path.index(position), errors);
    }
}

fn validate_constraint(
    constraint: &TopologySpreadConstraint,
    following: &[TopologySpreadConstraint],
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let positive = "must be greater than zero";
    if constraint.max_skew <= 0 {
        errors.push(invalid(&path.child("maxSkew"), constraint.max_skew, positive));
    }
    if constraint.topology_key.is_empty() {
        errors.push(required(&path.child("topologyKey"), "can not be empty"));
    }
    let action = constraint.when_unsatisfiable.as_str();
    let actions = ["DoNotSchedule", "ScheduleAnyway"];
    check_optional_choice(Some(action), &actions, &path.child("whenUnsatisfiable"), errors);
    let same = |other: &TopologySpreadConstraint| {
        other.topology_key == constraint.topology_key && other.when_unsatisfiable == action
    };
    if following.iter().any(same) {
        let shown = format!("{{{}, {action}}}", constraint.topology_key);
        errors.push(duplicate(&path.child("{topologyKey, whenUnsatisfiable}"), shown));
    }
    if let Some(domains) = constraint.min_domains {
        let path = path.child("minDomains");
        if domains <= 0 {
            errors.push(invalid(&path, domains, positive));
        }
        if action != "DoNotSchedule" {
            let message = format!("can only use minDomains if whenUnsatisfiable=DoNotSchedule, not {action}");
            errors.push(invalid(&path, domains, message));
        }
    }
    let policies = ["Honor", "Ignore"];
    check_optional_choice(
        constraint.node_affinity_policy.as_deref(),
        &policies,
        &path.child("nodeAffinityPolicy"),
        errors,
    );
    check_optional_choice(constraint.node_taints_policy.as_deref(), &policies, &path.child("nodeTaintsPolicy"), errors);
    let (keys, selector) =
        (constraint.match_label_keys.as_deref().unwrap_or_default(), constraint.label_selector.as_ref());
    let keys_path = path.child("matchLabelKeys");
    check_label_keys(keys, selector, &keys_path, errors);
    check_merged_keys(keys, selector, &keys_path, errors);
    errors.extend(validate_label_selector(selector, SelectorRules::Strict, &path.child("labelSelector")));
}
