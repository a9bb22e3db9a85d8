//! What a HorizontalPodAutoscaler must be.

use k8s_openapi::api::autoscaling::v2::{
    CrossVersionObjectReference, HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerSpec,
};

use super::metrics;
use crate::field::{ErrorList, Path, extend_invalid, invalid, not_supported, required};
use crate::meta::text;
use crate::names::path_segment_name;
use crate::quantity::Quantity;

const SPEC: Path<'static> = Path::new("spec");
const MAX_PERIOD_SECONDS: i32 = 1800;
const MAX_WINDOW_SECONDS: i32 = 3600;

/// Checks a spec that may go down to so few replicas.
pub(super) fn validate_spec(spec: &HorizontalPodAutoscalerSpec, least: i32) -> ErrorList {
    let mut errors = ErrorList::new();
    let max_path = SPEC.child("maxReplicas");
    if let Some(min) = spec.min_replicas.filter(|min| *min < least) {
        let message = format!("must be greater than or equal to {least}");
        errors.push(invalid(&SPEC.child("minReplicas"), min, message));
    }
    if spec.max_replicas < 1 {
        errors.push(invalid(&max_path, spec.max_replicas, "must be greater than 0"));
    }
    if spec.min_replicas.is_some_and(|min| spec.max_replicas < min) {
        errors.push(invalid(&max_path, spec.max_replicas, "must be greater than or equal to `minReplicas`"));
    }
    let target_path = SPEC.child("scaleTargetRef");
    check_reference(&spec.scale_target_ref, &target_path, &mut errors);
    check_api_version(&spec.scale_target_ref, &target_path, &mut errors);
    metrics::validate(spec, &SPEC.child("metrics"), &mut errors);
    if let Some(behavior) = &spec.behavior {
        let path = SPEC.child("behavior");
        for (field, rules) in [("scaleUp", &behavior.scale_up), ("scaleDown", &behavior.scale_down)] {
            rules.iter().for_each(|rules| validate_rules(rules, &path.child(field), &mut errors));
        }
    }
    errors
}

pub(super) fn check_reference(reference: &CrossVersionObjectReference, path: &Path<'_>, errors: &mut ErrorList) {
    for (field, value) in [("kind", &reference.kind), ("name", &reference.name)] {
        if value.is_empty() {
            errors.push(required(&path.child(field), ""));
        } else {
            extend_invalid(errors, &path.child(field), value, path_segment_name(value, false));
        }
    }
}

/// What can be scaled is in a group, except ReplicationControllers.
fn check_api_version(reference: &CrossVersionObjectReference, path: &Path<'_>, errors: &mut ErrorList) {
    let (path, version) = (path.child("apiVersion"), text(&reference.api_version));
    let parts: Vec<&str> = version.split('/').collect();
    if parts.len() > 2 {
        errors.push(invalid(&path, version, format!("unexpected GroupVersion string: {version}")));
    } else if parts.len() == 1 && reference.kind != "ReplicationController" {
        errors.push(invalid(&path, version, "apiVersion must specify API group"));
    }
}

fn validate_rules(rules: &HPAScalingRules, path: &Path<'_>, errors: &mut ErrorList) {
    let window_path = path.child("stabilizationWindowSeconds");
    match rules.stabilization_window_seconds {
        Some(window @ ..0) => errors.push(invalid(&window_path, window, "must be greater than or equal to zero")),
        Some(window) if window > MAX_WINDOW_SECONDS => {
            errors.push(invalid(&window_path, window, format!("must be less than or equal to {MAX_WINDOW_SECONDS}")));
        }
        _ => {}
    }
    let choices = ["Disabled", "Max", "Min"];
    if let Some(policy) = rules.select_policy.as_deref().filter(|policy| !choices.contains(policy)) {
        errors.push(not_supported(&path.child("selectPolicy"), policy, &choices));
    }
    let policies = rules.policies.as_deref().unwrap_or_default();
    let policies_path = path.child("policies");
    if policies.is_empty() {
        errors.push(required(&policies_path, "must specify at least one Policy"));
    }
    for (position, policy) in policies.iter().enumerate() {
        validate_policy(policy, &policies_path.index(position), errors);
    }
    if let Some(tolerance) = rules.tolerance.as_ref().filter(|tolerance| Quantity::of(tolerance).is_negative()) {
        errors.push(invalid(&path.child("tolerance"), &tolerance.0, "must be greater than or equal to zero"));
    }
}

fn validate_policy(policy: &HPAScalingPolicy, path: &Path<'_>, errors: &mut ErrorList) {
    let kinds = ["Percent", "Pods"];
    if !kinds.contains(&policy.type_.as_str()) {
        errors.push(not_supported(&path.child("type"), &policy.type_, &kinds));
    }
    for (field, number) in [("value", policy.value), ("periodSeconds", policy.period_seconds)] {
        if number <= 0 {
            errors.push(invalid(&path.child(field), number, "must be greater than zero"));
        }
    }
    if policy.period_seconds > MAX_PERIOD_SECONDS {
        let message = format!("must be less than or equal to {MAX_PERIOD_SECONDS}");
        errors.push(invalid(&path.child("periodSeconds"), policy.period_seconds, message));
    }
}
