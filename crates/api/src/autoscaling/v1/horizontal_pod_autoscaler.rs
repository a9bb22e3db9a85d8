//! HorizontalPodAutoscalers of the older version: what it has no fields for stands in annotations.

use std::collections::BTreeMap;

use k8s_openapi::api::autoscaling::{v1, v2};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::autoscaling::v2::horizontal_pod_autoscaler::{DEFAULT_CPU_PERCENT, cpu_metric};
use crate::field::ErrorList;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

mod metrics;
#[cfg(test)]
mod tests;

const METRICS: &str = "autoscaling.alpha.kubernetes.io/metrics";
const CURRENT_METRICS: &str = "autoscaling.alpha.kubernetes.io/current-metrics";
const CONDITIONS: &str = "autoscaling.alpha.kubernetes.io/conditions";
const BEHAVIOR: &str = "autoscaling.alpha.kubernetes.io/behavior";

impl Kind for v1::HorizontalPodAutoscaler {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = &mut self.spec;
        omit_empty!(spec.scale_target_ref => api_version);
        spec.min_replicas.get_or_insert(1);
        self.status.get_or_insert_default();
    }

    fn validate(&self) -> ErrorList {
        to_v2(self).validate()
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(&to_v2(self), &to_v2(old))
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_status_update(&to_v2(self), &to_v2(old))
    }
}

/// Reads an annotation and takes it away.
fn take<T: DeserializeOwned>(meta: &mut ObjectMeta, key: &str) -> Option<T> {
    let text = meta.annotations.as_mut()?.remove(key)?;
    serde_json::from_str(&text).ok()
}

fn put<T: Serialize>(annotations: &mut BTreeMap<String, String>, key: &str, value: &T) {
    let text = serde_json::to_string(value).expect("API types always encode");
    annotations.insert(key.to_owned(), text);
}

/// The same object as the newer version has it.
pub fn to_v2(older: &v1::HorizontalPodAutoscaler) -> v2::HorizontalPodAutoscaler {
    let mut metadata = older.metadata.clone();
    let spec = older.spec.clone();
    let status = older.status.clone().unwrap_or_default();
    let others: Option<Vec<Value>> = take(&mut metadata, METRICS);
    let mut all: Vec<v2::MetricSpec> = others.iter().flatten().filter_map(metrics::spec_to_v2).collect();
    all.extend(spec.target_cpu_utilization_percentage.map(cpu_metric));
    if all.is_empty() {
        all.push(cpu_metric(DEFAULT_CPU_PERCENT));
    }
    let current: Option<Vec<Value>> = take(&mut metadata, CURRENT_METRICS);
    let current = current.map(|current| current.iter().filter_map(metrics::status_to_v2).collect());
    let cpu = status.current_cpu_utilization_percentage.map(|percent| vec![metrics::cpu_status(percent)]);
    let (conditions, behavior) = (take(&mut metadata, CONDITIONS), take(&mut metadata, BEHAVIOR));
    if metadata.annotations.as_ref().is_some_and(BTreeMap::is_empty) {
        metadata.annotations = None;
    }
    let target = spec.scale_target_ref;
    let mut newer = v2::HorizontalPodAutoscaler {
        metadata,
        spec: v2::HorizontalPodAutoscalerSpec {
            behavior,
            max_replicas: spec.max_replicas,
            metrics: Some(all),
            min_replicas: spec.min_replicas,
            scale_target_ref: v2::CrossVersionObjectReference {
                api_version: target.api_version,
                kind: target.kind,
                name: target.name,
            },
        },
        status: Some(v2::HorizontalPodAutoscalerStatus {
            conditions,
            current_metrics: current.or(cpu),
            current_replicas: Some(status.current_replicas),
            desired_replicas: status.desired_replicas,
            last_scale_time: status.last_scale_time,
            observed_generation: status.observed_generation,
        }),
    };
    newer.set_defaults();
    newer
}

/// The same object as the older version has it.
pub fn from_v2(newer: &v2::HorizontalPodAutoscaler) -> v1::HorizontalPodAutoscaler {
    let (spec, status) = (&newer.spec, newer.status.clone().unwrap_or_default());
    let mut metadata = newer.metadata.clone();
    let all = spec.metrics.as_deref().unwrap_or_default();
    let others: Vec<Value> =
        all.iter().filter(|metric| cpu_percent(metric).is_none()).map(metrics::spec_to_v1).collect();
    let current = status.current_metrics.as_deref().unwrap_or_default();
    let conditions = status.conditions.as_deref().unwrap_or_default();
    let annotations = metadata.annotations.get_or_insert_default();
    if !others.is_empty() {
        put(annotations, METRICS, &others);
    }
    if !current.is_empty() {
        put(annotations, CURRENT_METRICS, &current.iter().map(metrics::status_to_v1).collect::<Vec<_>>());
    }
    if !conditions.is_empty() {
        put(annotations, CONDITIONS, &conditions);
    }
    if let Some(behavior) = &spec.behavior {
        put(annotations, BEHAVIOR, behavior);
    }
    if annotations.is_empty() {
        metadata.annotations = None;
    }
    let target = spec.scale_target_ref.clone();
    v1::HorizontalPodAutoscaler {
        metadata,
        spec: v1::HorizontalPodAutoscalerSpec {
            max_replicas: spec.max_replicas,
            min_replicas: spec.min_replicas,
            scale_target_ref: v1::CrossVersionObjectReference {
                api_version: target.api_version,
                kind: target.kind,
                name: target.name,
            },
            target_cpu_utilization_percentage: all.iter().find_map(cpu_percent),
        },
        status: Some(v1::HorizontalPodAutoscalerStatus {
            current_cpu_utilization_percentage: current.iter().find_map(metrics::current_cpu),
            current_replicas: status.current_replicas.unwrap_or(0),
            desired_replicas: status.desired_replicas,
            last_scale_time: status.last_scale_time,
            observed_generation: status.observed_generation,
        }),
    }
}

/// The share of the CPU a metric asks for, which alone has a field in the older version.
fn cpu_percent(metric: &v2::MetricSpec) -> Option<i32> {
    let resource = metric.resource.as_ref().filter(|resource| resource.name == "cpu")?;
    resource.target.average_utilization
}
