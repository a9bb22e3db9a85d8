//! PodDisruptionBudgets.

use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use crate::field::{ErrorList, Json, Path, check_not_negative, invalid, not_supported};
use crate::int_or_percent;
use crate::labels::{SelectorRules, validate_label_selector};
use crate::meta::{Scope, validate_plain_meta, validate_plain_meta_update};
use crate::names::path_segment_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

/// Pods that are not ready may always be evicted.
pub const ALWAYS_ALLOW: &str = "AlwaysAllow";
/// Pods that are not ready may be evicted when enough others are.
pub const IF_HEALTHY_BUDGET: &str = "IfHealthyBudget";

const SPEC: Path<'static> = Path::new("spec");
const STATUS: Path<'static> = Path::new("status");

impl Kind for PodDisruptionBudget {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        self.spec.get_or_insert_default();
        let status = self.status.get_or_insert_default();
        omit_empty!(status => conditions, disrupted_pods, observed_generation);
        for count in [
            &mut status.current_healthy,
            &mut status.desired_healthy,
            &mut status.disruptions_allowed,
            &mut status.expected_pods,
        ] {
            count.get_or_insert(0);
        }
    }

    fn validate(&self) -> ErrorList {
        let mut errors: ErrorList = self.spec.iter().flat_map(validate_spec).collect();
        errors.extend(validate_plain_meta(&self.metadata, Scope::Namespaced, path_segment_name));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let _ = old; // what may change, may change in any way
        self.spec.iter().flat_map(validate_spec).collect()
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let mut errors = ErrorList::new();
        if let Some(status) = &self.status {
            for (field, count) in [
                ("disruptionsAllowed", status.disruptions_allowed),
                ("currentHealthy", status.current_healthy),
                ("desiredHealthy", status.desired_healthy),
                ("expectedPods", status.expected_pods),
            ] {
                check_not_negative(&mut errors, &STATUS.child(field), count);
            }
        }
        errors.extend(validate_plain_meta_update(&self.metadata, &old.metadata));
        errors
    }
}

/// A spec as upstream's messages show it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Shown<'a> {
    min_available: &'a Option<IntOrString>,
    selector: &'a Option<LabelSelector>,
    max_unavailable: &'a Option<IntOrString>,
    unhealthy_pod_eviction_policy: &'a Option<String>,
}

fn validate_spec(spec: &PodDisruptionBudgetSpec) -> ErrorList {
    let mut errors = ErrorList::new();
    if spec.min_available.is_some() && spec.max_unavailable.is_some() {
        let shown = Shown {
            min_available: &spec.min_available,
            selector: &spec.selector,
            max_unavailable: &spec.max_unavailable,
            unhealthy_pod_eviction_policy: &spec.unhealthy_pod_eviction_policy,
        };
        errors.push(invalid(&SPEC, Json(&shown), "minAvailable and maxUnavailable cannot be both set"));
    }
    for (field, amount) in [("minAvailable", &spec.min_available), ("maxUnavailable", &spec.max_unavailable)] {
        if let Some(amount) = amount {
            let path = SPEC.child(field);
            int_or_percent::check(&mut errors, &path, amount);
            int_or_percent::check_at_most_all(&mut errors, &path, amount);
        }
    }
    let path = SPEC.child("selector");
    errors.extend(validate_label_selector(spec.selector.as_ref(), SelectorRules::Strict, &path));
    let policies = [ALWAYS_ALLOW, IF_HEALTHY_BUDGET];
    let policy = spec.unhealthy_pod_eviction_policy.as_deref();
    if let Some(policy) = policy.filter(|policy| !policies.contains(policy)) {
        errors.push(not_supported(&SPEC.child("unhealthyPodEvictionPolicy"), policy, &policies));
    }
    errors
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_budget_is_one_amount() {
        let budget = |spec: Value| -> PodDisruptionBudget {
            let metadata = json!({"name": "b", "namespace": "n"});
            serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap()
        };
        for (spec, expected) in [
            (json!({"minAvailable": "50%"}), ""),
            (
                json!({"minAvailable": "150%"}),
                "spec.minAvailable: Invalid value: \"150%\": must not be greater than 100%",
            ),
            (
                json!({"minAvailable": 1, "maxUnavailable": 1}),
                "spec: Invalid value: {\"MinAvailable\":1,\"Selector\":null,\"MaxUnavailable\":1,\
                 \"UnhealthyPodEvictionPolicy\":null}: minAvailable and maxUnavailable cannot be both set",
            ),
            (
                json!({"unhealthyPodEvictionPolicy": "Odd"}),
                "spec.unhealthyPodEvictionPolicy: Unsupported value: \"Odd\": supported values: \"AlwaysAllow\", \
                 \"IfHealthyBudget\"",
            ),
        ] {
            let problems: Vec<String> = budget(spec).validate().iter().map(ToString::to_string).collect();
            assert_eq!(problems.join("; "), expected);
        }
    }
}
