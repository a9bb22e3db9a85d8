//! What nearness to the Pods on each node is worth.

use api::labels::Labels;

use super::InterPodAffinity;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::{Namespaces, Snapshot};
use crate::topology::TopologyCounts;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Scoring(TopologyCounts);

impl Scoring {
    pub(super) fn of(plugin: &InterPodAffinity, pod: &PodInfo, snapshot: &Snapshot) -> Self {
        let mut scoring = Self::default();
        let has_preferences = !pod.facts.pod_affinity.preferred.is_empty();
        let others_count =
            snapshot.has_affinity() && (has_preferences || !plugin.ignore_preferred_terms_of_existing_pods);
        if !has_preferences && !others_count {
            return scoring;
        }
        for node in snapshot.nodes() {
            let pods = if has_preferences { &node.usage.pods } else { &node.usage.with_affinity };
            for other in pods {
                scoring.add(plugin, pod, other, node, snapshot.namespaces());
            }
        }
        scoring
    }

    fn add(
        &mut self,
        plugin: &InterPodAffinity,
        pod: &PodInfo,
        other: &PodInfo,
        node: &NodeInfo,
        namespaces: &Namespaces,
    ) {
        let labels = &node.facts.labels;
        for (weight, term) in &pod.facts.pod_affinity.preferred {
            if term.matches(other, namespaces) {
                self.0.add(&term.topology_key, labels, *weight);
            }
        }
        let others = &other.facts.pod_affinity;
        if plugin.hard_pod_affinity_weight > 0 {
            for term in others.required.iter().filter(|term| term.matches(pod, namespaces)) {
                self.0.add(&term.topology_key, labels, plugin.hard_pod_affinity_weight);
            }
        }
        for (weight, term) in &others.preferred {
            if term.matches(pod, namespaces) {
                self.0.add(&term.topology_key, labels, *weight);
            }
        }
    }

    /// Whether all nodes are worth the same.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What a node is worth.
    pub(super) fn sum_at(&self, node: &Labels) -> i64 {
        self.0.sum_at(node)
    }
}
