//! What the replicas shall follow.

use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscalerSpec, MetricIdentifier, MetricSpec, MetricTarget};

use super::validation::check_reference;
use crate::core::v1::resource_list::validate_container_resource_name;
use crate::field::{ErrorList, Path, extend_invalid, forbidden, invalid, not_supported, required};
use crate::labels::{SelectorRules, validate_label_selector};
use crate::names::{dns1123_label, path_segment_name};
use crate::quantity::Quantity;

const SOURCES: &[&str] = &["ContainerResource", "External", "Object", "Pods", "Resource"];

pub(super) fn validate(spec: &HorizontalPodAutoscalerSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let metrics = spec.metrics.as_deref().unwrap_or_default();
    for (position, metric) in metrics.iter().enumerate() {
        validate_metric(metric, &path.index(position), errors);
    }
    let outside = metrics.iter().any(|metric| matches!(metric.type_.as_str(), "Object" | "External"));
    if spec.min_replicas == Some(0) && !outside {
        let message = "must specify at least one Object or External metric to support scaling to zero replicas";
        errors.push(forbidden(path, message));
    }
}

fn validate_metric(metric: &MetricSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let type_path = path.child("type");
    if metric.type_.is_empty() {
        errors.push(required(&type_path, "must specify a metric source type"));
    }
    let known = SOURCES.contains(&metric.type_.as_str());
    if !known {
        errors.push(not_supported(&type_path, &metric.type_, SOURCES));
    }
    let sources = [
        ("object", metric.object.is_some()),
        ("external", metric.external.is_some()),
        ("pods", metric.pods.is_some()),
        ("resource", metric.resource.is_some()),
        ("containerResource", metric.container_resource.is_some()),
    ];
    let present: Vec<&str> = sources.into_iter().filter(|(_, there)| *there).map(|(field, _)| field).collect();
    if let Some(first) = present.first() {
        validate_source(metric, first, &path.child(first), errors);
    }
    let mut expected = metric.type_.clone();
    if let Some(first) = expected.get_mut(..1) {
        first.make_ascii_lowercase();
    }
    if !known {
        errors.push(not_supported(&type_path, &metric.type_, SOURCES));
    } else if !present.contains(&expected.as_str()) {
        errors.push(required(&path.child(&expected), "must populate information for the given metric source"));
    }
    if present.len() != 1 {
        for field in present.into_iter().filter(|field| *field != expected) {
            errors.push(forbidden(&path.child(field), "must populate the given metric source only"));
        }
    }
}

fn validate_source(metric: &MetricSpec, field: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let target_path = path.child("target");
    let average_path = target_path.child("averageValue");
    if let Some(object) = metric.object.as_ref().filter(|_| field == "object") {
        check_reference(&object.described_object, &path.child("describedObject"), errors);
        validate_identifier(&object.metric, &path.child("metric"), errors);
        validate_target(&object.target, &target_path, errors);
        if object.target.value.is_none() && object.target.average_value.is_none() {
            errors.push(required(&average_path, "must set either a target value or averageValue"));
        }
    } else if let Some(external) = metric.external.as_ref().filter(|_| field == "external") {
        validate_identifier(&external.metric, &path.child("metric"), errors);
        validate_target(&external.target, &target_path, errors);
        match (&external.target.value, &external.target.average_value) {
            (None, None) => {
                let message = "must set either a target value for metric or a per-pod target";
                errors.push(required(&average_path, message));
            }
            (Some(_), Some(_)) => {
                let message = "may not set both a target value for metric and a per-pod target";
                errors.push(forbidden(&target_path.child("value"), message));
            }
            _ => {}
        }
    } else if let Some(pods) = metric.pods.as_ref().filter(|_| field == "pods") {
        validate_identifier(&pods.metric, &path.child("metric"), errors);
        validate_target(&pods.target, &target_path, errors);
        if pods.target.average_value.is_none() {
            errors.push(required(&average_path, "must specify a positive target averageValue"));
        }
    } else if let Some(resource) = &metric.resource {
        validate_resource(&resource.name, None, &resource.target, path, errors);
    } else if let Some(resource) = &metric.container_resource {
        validate_resource(&resource.name, Some(&resource.container), &resource.target, path, errors);
    }
}

fn validate_resource(
    name: &str,
    container: Option<&str>,
    target: &MetricTarget,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let name_path = path.child("name");
    match (name, container) {
        ("", _) => errors.push(required(&name_path, "must specify a resource name")),
        (name, Some(_)) => errors.extend(validate_container_resource_name(name, &name_path)),
        (_, None) => {}
    }
    let container_path = path.child("container");
    match container {
        Some("") => errors.push(required(&container_path, "must specify a container")),
        Some(container) => extend_invalid(errors, &container_path, container, dns1123_label(container)),
        None => {}
    }
    let target_path = path.child("target");
    validate_target(target, &target_path, errors);
    match (target.average_utilization, &target.average_value) {
        (None, None) => {
            let message = "must set either a target raw value or a target utilization";
            errors.push(required(&target_path.child("averageUtilization"), message));
        }
        (Some(_), Some(_)) => {
            let message = "may not set both a target raw value and a target utilization";
            errors.push(forbidden(&target_path.child("averageValue"), message));
        }
        _ => {}
    }
}

fn validate_target(target: &MetricTarget, path: &Path<'_>, errors: &mut ErrorList) {
    let type_path = path.child("type");
    let kinds = ["Utilization", "Value", "AverageValue"];
    if target.type_.is_empty() {
        errors.push(required(&type_path, "must specify a metric target type"));
    }
    if !kinds.contains(&target.type_.as_str()) {
        errors.push(invalid(&type_path, &target.type_, "must be either Utilization, Value, or AverageValue"));
    }
    for (field, amount) in [("value", &target.value), ("averageValue", &target.average_value)] {
        if let Some(amount) = amount.as_ref().filter(|amount| Quantity::of(amount) <= Quantity::ZERO) {
            errors.push(invalid(&path.child(field), &amount.0, "must be positive"));
        }
    }
    if let Some(percent) = target.average_utilization.filter(|percent| *percent < 1) {
        errors.push(invalid(&path.child("averageUtilization"), percent, "must be greater than 0"));
    }
}

fn validate_identifier(identifier: &MetricIdentifier, path: &Path<'_>, errors: &mut ErrorList) {
    let name_path = path.child("name");
    if identifier.name.is_empty() {
        errors.push(required(&name_path, "must specify a metric name"));
    } else {
        extend_invalid(errors, &name_path, &identifier.name, path_segment_name(&identifier.name, false));
    }
    let selector_path = path.child("selector");
    errors.extend(validate_label_selector(identifier.selector.as_ref(), SelectorRules::Strict, &selector_path));
}
