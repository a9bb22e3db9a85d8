//! Topology spread constraints, parsed.

use std::sync::Arc;

use api::labels::{Labels, Operator, Selector};
use k8s_openapi::api::core::v1::TopologySpreadConstraint;

use super::pod_affinity::with_own_values;

/// How evenly Pods are to be spread over the values of a node label.
#[derive(Debug, Clone, PartialEq)]
pub struct SpreadConstraint {
    /// By how much the number of Pods in one domain may exceed that in the emptiest.
    pub max_skew: i64,
    /// The label; nodes with the same value are one domain.
    pub topology_key: Arc<str>,
    /// Whether nodes that would exceed it are excluded, or only rank lower.
    pub when_unsatisfiable: WhenUnsatisfiable,
    /// With fewer domains than this the emptiest counts as having no Pod.
    pub min_domains: usize,
    /// The Pods that are counted.
    pub selector: Selector,
    /// Whether nodes the Pod may not go to by its affinity are no domains.
    pub honors_node_affinity: bool,
    /// Whether nodes with taints the Pod does not tolerate are no domains.
    pub honors_node_taints: bool,
}

/// What becomes of nodes that would exceed the skew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenUnsatisfiable {
    /// They are excluded.
    DoNotSchedule,
    /// They rank lower.
    ScheduleAnyway,
}

impl SpreadConstraint {
    /// The constraint of a Pod with these labels.
    pub fn of(labels: &Labels, constraint: &TopologySpreadConstraint) -> Self {
        let selector = Selector::from_label_selector(constraint.label_selector.as_ref()).unwrap_or(Selector::Nothing);
        let hard = constraint.when_unsatisfiable == "DoNotSchedule";
        Self {
            max_skew: i64::from(constraint.max_skew),
            topology_key: Arc::from(constraint.topology_key.as_str()),
            when_unsatisfiable: if hard { WhenUnsatisfiable::DoNotSchedule } else { WhenUnsatisfiable::ScheduleAnyway },
            min_domains: constraint.min_domains.and_then(|count| usize::try_from(count).ok()).unwrap_or(1),
            selector: with_own_values(selector, labels, Operator::In, constraint.match_label_keys.as_deref()),
            honors_node_affinity: constraint.node_affinity_policy.as_deref() != Some("Ignore"),
            honors_node_taints: constraint.node_taints_policy.as_deref() == Some("Honor"),
        }
    }
}

/// The constraints of a Pod.
pub(super) fn constraints(labels: &Labels, constraints: &[TopologySpreadConstraint]) -> Vec<SpreadConstraint> {
    constraints.iter().map(|constraint| SpreadConstraint::of(labels, constraint)).collect()
}
