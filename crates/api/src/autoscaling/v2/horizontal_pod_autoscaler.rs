//! HorizontalPodAutoscalers.

use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec, MetricSpec, MetricTarget,
    ResourceMetricSource,
};

use crate::core::v1::resource_list::canonicalize_one;
use crate::field::{ErrorList, Path, check_not_negative};
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

mod metrics;
#[cfg(test)]
mod tests;
mod validation;

/// How much of the requested CPU Pods use when nothing else is said.
pub const DEFAULT_CPU_PERCENT: i32 = 80;

impl Kind for HorizontalPodAutoscaler {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        default_spec(&mut self.spec);
        let status = self.status.get_or_insert_default();
        omit_empty!(status => conditions, current_replicas);
        status.current_metrics.get_or_insert_default();
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        errors.extend(validation::validate_spec(&self.spec, 1));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        let was_zero = old.spec.min_replicas == Some(0);
        errors.extend(validation::validate_spec(&self.spec, i32::from(!was_zero)));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        let path = Path::new("status");
        if let Some(status) = &self.status {
            check_not_negative(&mut errors, &path.child("currentReplicas"), status.current_replicas);
            check_not_negative(&mut errors, &path.child("desiredReplicas"), Some(status.desired_replicas));
        }
        errors
    }
}

fn default_spec(spec: &mut HorizontalPodAutoscalerSpec) {
    omit_empty!(spec => metrics);
    omit_empty!(spec.scale_target_ref => api_version);
    spec.min_replicas.get_or_insert(1);
    spec.metrics.get_or_insert_with(|| vec![cpu_metric(DEFAULT_CPU_PERCENT)]);
    for metric in spec.metrics.iter_mut().flatten() {
        for amount in
            target_of(metric).into_iter().flat_map(|target| [&mut target.value, &mut target.average_value]).flatten()
        {
            canonicalize_one(amount, false);
        }
    }
    if let Some(behavior) = &mut spec.behavior {
        default_rules(behavior.scale_up.get_or_insert_default(), &[("Pods", 4), ("Percent", 100)], Some(0));
        default_rules(behavior.scale_down.get_or_insert_default(), &[("Percent", 100)], None);
    }
}

fn default_rules(rules: &mut HPAScalingRules, policies: &[(&str, i32)], window: Option<i32>) {
    rules.select_policy.get_or_insert_with(|| "Max".to_owned());
    rules.stabilization_window_seconds = rules.stabilization_window_seconds.or(window);
    let policy =
        |(kind, value): &(&str, i32)| HPAScalingPolicy { type_: (*kind).to_owned(), value: *value, period_seconds: 15 };
    rules.policies.get_or_insert_with(|| policies.iter().map(policy).collect());
}

/// The metric that keeps Pods at a share of the CPU they request.
pub fn cpu_metric(percent: i32) -> MetricSpec {
    let target =
        MetricTarget { type_: "Utilization".to_owned(), average_utilization: Some(percent), ..MetricTarget::default() };
    MetricSpec {
        type_: "Resource".to_owned(),
        resource: Some(ResourceMetricSource { name: "cpu".to_owned(), target }),
        ..MetricSpec::default()
    }
}

/// The target of whatever a metric is of.
fn target_of(metric: &mut MetricSpec) -> Option<&mut MetricTarget> {
    let object = metric.object.as_mut().map(|source| &mut source.target);
    let external = metric.external.as_mut().map(|source| &mut source.target);
    let pods = metric.pods.as_mut().map(|source| &mut source.target);
    let resource = metric.resource.as_mut().map(|source| &mut source.target);
    let container = metric.container_resource.as_mut().map(|source| &mut source.target);
    object.or(external).or(pods).or(resource).or(container)
}
