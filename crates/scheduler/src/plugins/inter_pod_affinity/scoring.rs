//! What nearness to the Pods on each node is worth.

use api::labels::Labels;

use super::{Alike, InterPodAffinity};
use crate::journal::Placement;
use crate::pod_info::PodInfo;
use crate::snapshot::{Namespaces, Snapshot};
use crate::topology::TopologyCounts;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Scoring(TopologyCounts);

impl Scoring {
    pub(super) fn of(plugin: &InterPodAffinity, pod: &PodInfo, snapshot: &Snapshot) -> Self {
        let has_preferences = !pod.facts.pod_affinity.preferred.is_empty();
        let others_count =
            snapshot.has_affinity() && (has_preferences || !plugin.ignore_preferred_terms_of_existing_pods);
        if !has_preferences && !others_count {
            return Self::default();
        }
        snapshot.sums.affinity_score.get(
            &snapshot.journal,
            |alike| alike.is(pod, Some(plugin)),
            || (Alike::of(pod, Some(plugin)), Self::make(plugin, pod, snapshot, has_preferences)),
            |scoring, Placement { pod: other, node, by }| {
                scoring.0.own();
                scoring.add(plugin, pod, other, &node.labels, snapshot.namespaces(), *by);
            },
        )
    }

    fn make(plugin: &InterPodAffinity, pod: &PodInfo, snapshot: &Snapshot, has_preferences: bool) -> Self {
        let mut scoring = Self::default();
        for node in snapshot.nodes() {
            let pods = if has_preferences { &node.usage.pods } else { &node.usage.with_affinity };
            for other in pods {
                scoring.add(plugin, pod, other, &node.facts.labels, snapshot.namespaces(), 1);
            }
        }
        scoring
    }

    fn add(
        &mut self,
        plugin: &InterPodAffinity,
        pod: &PodInfo,
        other: &PodInfo,
        labels: &Labels,
        namespaces: &Namespaces,
        by: i64,
    ) {
        for (weight, term) in &pod.facts.pod_affinity.preferred {
            if term.matches(other, namespaces) {
                self.0.add(&term.topology_key, labels, by * *weight);
            }
        }
        let others = &other.facts.pod_affinity;
        if plugin.hard_pod_affinity_weight > 0 {
            for term in others.required.iter().filter(|term| term.matches(pod, namespaces)) {
                self.0.add(&term.topology_key, labels, by * plugin.hard_pod_affinity_weight);
            }
        }
        for (weight, term) in &others.preferred {
            if term.matches(pod, namespaces) {
                self.0.add(&term.topology_key, labels, by * *weight);
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
