//! Pods that must or would like to be near other Pods, or far from them; and Pods that others want so.

mod alike;
mod counts;
mod scoring;
#[cfg(test)]
mod tests;

use crate::cluster_event::ClusterEvent;
use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, PreFilter, Rejection, Scope, Score};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

pub use alike::Alike;
pub use counts::Counts;
pub use scoring::Scoring;

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InterPodAffinity {
    /// What the required affinity of placed Pods to the Pod counts in ranking.
    pub hard_pod_affinity_weight: i64,
    /// Whether preferences of placed Pods count only when the Pod has some itself.
    pub ignore_preferred_terms_of_existing_pods: bool,
}

impl Default for InterPodAffinity {
    fn default() -> Self {
        Self { hard_pod_affinity_weight: 1, ignore_preferred_terms_of_existing_pods: false }
    }
}

impl Filter for InterPodAffinity {
    fn name(&self) -> PluginName {
        PluginName::InterPodAffinity
    }

    fn scope(&self) -> Scope {
        Scope::Cluster
    }

    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Result<PreFilter, Rejection> {
        state.inter_pod_affinity = Counts::of(pod, snapshot);
        let affinity = &pod.facts.pod_affinity;
        let asks = !affinity.required.is_empty() || !affinity.required_anti.is_empty();
        Ok(if asks || state.inter_pod_affinity.repelled.total() > 0 { PreFilter::Nodes } else { PreFilter::Skip })
    }

    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let counts = &state.inter_pod_affinity;
        if !counts.attracted_to(pod, &node.facts.labels) {
            return Err(Rejection::incurable(self.name(), "node(s) didn't match pod affinity rules"));
        }
        if counts.averse_to(pod, &node.facts.labels) {
            return Err(Rejection::curable(self.name(), "node(s) didn't match pod anti-affinity rules"));
        }
        if counts.repelled.any_positive_at(&node.facts.labels) {
            let reason = "node(s) didn't satisfy existing pods anti-affinity rules";
            return Err(Rejection::curable(self.name(), reason));
        }
        Ok(())
    }

    fn add_pod(&self, state: &mut CycleState, pod: &PodInfo, added: &PodInfo, node: &NodeInfo) {
        state.inter_pod_affinity.change(pod, added, &node.facts.labels, 1);
    }

    fn remove_pod(&self, state: &mut CycleState, pod: &PodInfo, removed: &PodInfo, node: &NodeInfo) {
        state.inter_pod_affinity.change(pod, removed, &node.facts.labels, -1);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>, snapshot: &Snapshot) -> bool {
        let affinity = &pod.facts.pod_affinity;
        let mut terms = affinity.required.iter().chain(&affinity.required_anti);
        let wanted = |other: &PodInfo| affinity.required.iter().any(|term| term.matches(other, snapshot.namespaces()));
        match event {
            ClusterEvent::PodAdded(other) => wanted(other),
            ClusterEvent::PodUpdated { .. } => {
                let mut pods = event.pods();
                pods.any(|other| terms.any(|term| term.matches(other, snapshot.namespaces())))
            }
            ClusterEvent::PodDeleted { pod: other, .. } => {
                let repels = |one: &PodInfo, other: &PodInfo| {
                    let mut terms = one.facts.pod_affinity.required_anti.iter();
                    terms.any(|term| term.matches(other, snapshot.namespaces()))
                };
                repels(pod, other) || repels(other, pod)
            }
            ClusterEvent::NodeChanged { old, node } => {
                let labels = &node.facts.labels;
                if old.is_some_and(|old| old.labels == *labels) {
                    return false;
                }
                // A node without the label is in no domain: near to nobody, and far from all.
                affinity.required.iter().all(|term| labels.contains_key(&*term.topology_key))
            }
            ClusterEvent::NamespaceChanged => terms.any(|term| term.selects_namespaces()),
            ClusterEvent::NodeDeleted(_) | ClusterEvent::StorageChanged => false,
        }
    }
}

impl Score for InterPodAffinity {
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot, _: &[&NodeInfo]) -> bool {
        state.inter_pod_affinity_score = Scoring::of(self, pod, snapshot);
        !state.inter_pod_affinity_score.is_empty()
    }

    fn score(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        state.inter_pod_affinity_score.sum_at(&node.facts.labels)
    }

    /// From the least wanted node, or indifference, to the most wanted.
    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // shares of 100
    fn normalize(&self, _: &CycleState, _: &[&NodeInfo], scores: &mut [i64]) {
        let least = scores.iter().copied().min().unwrap_or_default();
        let most = scores.iter().copied().max().unwrap_or_default();
        for score in scores {
            let share = if most > least { (*score - least) as f64 / (most - least) as f64 } else { 0.0 };
            *score = (crate::framework::MAX_SCORE as f64 * share) as i64;
        }
    }
}
