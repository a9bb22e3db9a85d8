//! How many Pods may be away at once, while some are thought away.

use std::sync::Arc;

use api::labels::Selector;
use client::Lister;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;

use crate::pod_info::PodInfo;

/// A PodDisruptionBudget.
#[derive(Debug, Clone)]
pub(super) struct Budget {
    namespace: String,
    selector: Selector,
    allowed: i32,
    /// Pods that are already counted as away.
    disrupted: Vec<String>,
}

impl Budget {
    pub(super) fn all(budgets: &Lister<PodDisruptionBudget>) -> Vec<Self> {
        budgets.all().iter().filter_map(|budget| Self::of(budget)).collect()
    }

    fn of(budget: &PodDisruptionBudget) -> Option<Self> {
        let selector = budget.spec.as_ref()?.selector.as_ref();
        let selector = Selector::from_label_selector(selector).ok().filter(|selector| !selector.is_everything())?;
        let status = budget.status.as_ref();
        let disrupted = status.and_then(|status| status.disrupted_pods.as_ref());
        Some(Self {
            namespace: budget.metadata.namespace.clone().unwrap_or_default(),
            selector,
            allowed: status.and_then(|status| status.disruptions_allowed).unwrap_or_default(),
            disrupted: disrupted.into_iter().flatten().map(|(name, _)| name.clone()).collect(),
        })
    }

    fn protects(&self, pod: &PodInfo) -> bool {
        !pod.facts.labels.is_empty()
            && self.namespace == pod.key.namespace
            && self.selector.matches(Some(&pod.facts.labels))
            && !self.disrupted.contains(&pod.key.name)
    }
}

/// Splits Pods that would go, one after the other, into those that some budget does not allow and the others.
pub(super) fn split(pods: Vec<Arc<PodInfo>>, budgets: &[Budget]) -> (Vec<Arc<PodInfo>>, Vec<Arc<PodInfo>>) {
    let mut allowed: Vec<i32> = budgets.iter().map(|budget| budget.allowed).collect();
    pods.into_iter().partition(|pod| {
        let mut violates = false;
        for (_, allowed) in budgets.iter().zip(&mut allowed).filter(|(budget, _)| budget.protects(pod)) {
            *allowed = allowed.saturating_sub(1);
            violates |= *allowed < 0;
        }
        violates
    })
}
