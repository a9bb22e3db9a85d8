//! Metrics in the form the annotations of the older version have them: targets stand beside names, not below.

use k8s_openapi::api::autoscaling::v2;
use serde_json::{Map, Value, json};

/// Where a source's parts stand in both forms: the source, and what its name is called in the older one.
const SOURCES: &[(&str, &str)] = &[
    ("object", "metricName"),
    ("pods", "metricName"),
    ("external", "metricName"),
    ("resource", "name"),
    ("containerResource", "name"),
];

/// Moves a member, if it is there.
fn copy(from: &Value, key: &str, to: &mut Map<String, Value>, as_key: &str) {
    if let Some(value) = from.get(key).filter(|value| !value.is_null()) {
        to.insert(as_key.to_owned(), value.clone());
    }
}

/// What a source's selector is called in the older form.
fn selector_key(source: &str) -> &'static str {
    if source == "external" { "metricSelector" } else { "selector" }
}

/// What the plain value is called, and what the values per Pod: they begin with `target` or `current`.
fn value_keys(source: &str, prefix: &str) -> (String, String) {
    let average = if source == "object" { "averageValue".to_owned() } else { format!("{prefix}AverageValue") };
    (format!("{prefix}Value"), average)
}

fn to_older(metric: &Value, values_key: &str, prefix: &str) -> Value {
    let mut out = Map::new();
    copy(metric, "type", &mut out, "type");
    for (source, name_key) in SOURCES {
        let Some(from) = metric.get(*source) else { continue };
        let mut to = Map::new();
        copy(from, "name", &mut to, "name");
        copy(from, "container", &mut to, "container");
        copy(from, "describedObject", &mut to, "target");
        if let Some(identifier) = from.get("metric") {
            copy(identifier, "name", &mut to, name_key);
            copy(identifier, "selector", &mut to, selector_key(source));
        }
        if let Some(values) = from.get(values_key) {
            let (value, average) = value_keys(source, prefix);
            copy(values, "value", &mut to, &value);
            copy(values, "averageValue", &mut to, &average);
            copy(values, "averageUtilization", &mut to, &format!("{prefix}AverageUtilization"));
        }
        out.insert((*source).to_owned(), to.into());
    }
    out.into()
}

fn to_newer(metric: &Value, values_key: &str, prefix: &str) -> Value {
    let mut out = Map::new();
    copy(metric, "type", &mut out, "type");
    for (source, name_key) in SOURCES {
        let Some(from) = metric.get(*source) else { continue };
        let (mut to, mut values, mut identifier) = (Map::new(), Map::new(), Map::new());
        let (value, average) = value_keys(source, prefix);
        copy(from, &value, &mut values, "value");
        copy(from, &average, &mut values, "averageValue");
        copy(from, &format!("{prefix}AverageUtilization"), &mut values, "averageUtilization");
        copy(from, "container", &mut to, "container");
        copy(from, "target", &mut to, "describedObject");
        if *name_key == "name" {
            copy(from, "name", &mut to, "name");
        } else {
            copy(from, name_key, &mut identifier, "name");
            copy(from, selector_key(source), &mut identifier, "selector");
            to.insert("metric".to_owned(), identifier.into());
        }
        if values_key == "target" {
            values.insert("type".to_owned(), target_type(&values).into());
        }
        to.insert(values_key.to_owned(), values.into());
        out.insert((*source).to_owned(), to.into());
    }
    out.into()
}

fn target_type(values: &Map<String, Value>) -> &'static str {
    if values.contains_key("averageUtilization") {
        "Utilization"
    } else if values.contains_key("averageValue") {
        "AverageValue"
    } else {
        "Value"
    }
}

pub(super) fn spec_to_v1(metric: &v2::MetricSpec) -> Value {
    to_older(&json!(metric), "target", "target")
}

pub(super) fn spec_to_v2(metric: &Value) -> Option<v2::MetricSpec> {
    serde_json::from_value(to_newer(metric, "target", "target")).ok()
}

pub(super) fn status_to_v1(metric: &v2::MetricStatus) -> Value {
    to_older(&json!(metric), "current", "current")
}

pub(super) fn status_to_v2(metric: &Value) -> Option<v2::MetricStatus> {
    serde_json::from_value(to_newer(metric, "current", "current")).ok()
}

/// What Pods use of the CPU, if that is what a metric is.
pub(super) fn current_cpu(metric: &v2::MetricStatus) -> Option<i32> {
    metric.resource.as_ref().filter(|resource| resource.name == "cpu")?.current.average_utilization
}

/// That as a metric.
pub(super) fn cpu_status(percent: i32) -> v2::MetricStatus {
    let current = v2::MetricValueStatus { average_utilization: Some(percent), ..v2::MetricValueStatus::default() };
    let resource = v2::ResourceMetricStatus { name: "cpu".to_owned(), current };
    v2::MetricStatus { type_: "Resource".to_owned(), resource: Some(resource), ..v2::MetricStatus::default() }
}
