//! How many Pods matter to the required terms, per domain.

use std::sync::Arc;

use api::labels::Labels;

use super::Alike;
use crate::journal::Placement;
use crate::pod_info::PodInfo;
use crate::snapshot::{Namespaces, Snapshot};
use crate::topology::TopologyCounts;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Placed Pods that require the Pod to be away.
    pub(super) repelled: TopologyCounts,
    /// Placed Pods that all its affinity terms mean.
    wanted: TopologyCounts,
    /// Placed Pods that one of its anti-affinity terms means.
    unwanted: TopologyCounts,
    /// For what is added and removed in thought.
    namespaces: Arc<Namespaces>,
    /// The Pod is among those that it wants to be near to.
    wants_itself: bool,
}

impl Counts {
    pub(super) fn of(pod: &PodInfo, snapshot: &Snapshot) -> Self {
        let affinity = &pod.facts.pod_affinity;
        let looks_at_all = !affinity.required.is_empty() || !affinity.required_anti.is_empty();
        if !looks_at_all && !snapshot.has_required_anti_affinity() {
            return Self::default();
        }
        snapshot.sums.affinity.get(
            &snapshot.journal,
            |alike| alike.is(pod, None),
            || (Alike::of(pod, None), Self::make(pod, snapshot, looks_at_all)),
            |counts, Placement { pod: other, node, by }| {
                counts.own();
                counts.count(pod, other, &node.labels, snapshot.namespaces(), *by);
            },
        )
    }

    fn make(pod: &PodInfo, snapshot: &Snapshot, looks_at_all: bool) -> Self {
        let affinity = &pod.facts.pod_affinity;
        let namespaces = snapshot.namespaces();
        let mut counts = Self {
            wants_itself: affinity.required.iter().all(|term| term.matches(pod, namespaces)),
            ..Self::default()
        };
        for node in snapshot.nodes() {
            let pods = if looks_at_all { &node.usage.pods } else { &node.usage.with_affinity };
            for other in pods {
                counts.count(pod, other, &node.facts.labels, namespaces, 1);
            }
        }
        counts.namespaces = snapshot.shared_namespaces();
        counts
    }

    fn own(&mut self) {
        [&mut self.repelled, &mut self.wanted, &mut self.unwanted].into_iter().for_each(TopologyCounts::own);
    }

    /// A Pod is added or removed in thought.
    pub(super) fn change(&mut self, pod: &PodInfo, other: &PodInfo, node: &Labels, change: i64) {
        let namespaces = Arc::clone(&self.namespaces);
        self.count(pod, other, node, &namespaces, change);
    }

    fn count(&mut self, pod: &PodInfo, other: &PodInfo, node: &Labels, namespaces: &Namespaces, change: i64) {
        for term in &other.facts.pod_affinity.required_anti {
            if term.matches(pod, namespaces) {
                self.repelled.add(&term.topology_key, node, change);
            }
        }
        let affinity = &pod.facts.pod_affinity;
        // A Pod is near only if all terms mean it.
        if !affinity.required.is_empty() && affinity.required.iter().all(|term| term.matches(other, namespaces)) {
            for term in &affinity.required {
                self.wanted.add(&term.topology_key, node, change);
            }
        }
        for term in &affinity.required_anti {
            if term.matches(other, namespaces) {
                self.unwanted.add(&term.topology_key, node, change);
            }
        }
    }

    /// Whether the Pods it wants to be near to are near the node. The first of a group that wants itself may go to any
    /// node with the labels.
    pub(super) fn attracted_to(&self, pod: &PodInfo, node: &Labels) -> bool {
        let terms = &pod.facts.pod_affinity.required;
        let mut near = true;
        for term in terms {
            let Some(value) = node.get(&*term.topology_key) else { return false };
            near &= self.wanted.get(&term.topology_key, value) > 0;
        }
        near || (self.wants_itself && self.wanted.total() == 0)
    }

    /// Whether Pods it must be far from are near the node.
    pub(super) fn averse_to(&self, pod: &PodInfo, node: &Labels) -> bool {
        pod.facts.pod_affinity.required_anti.iter().any(|term| {
            node.get(&*term.topology_key).is_some_and(|value| self.unwanted.get(&term.topology_key, value) > 0)
        })
    }
}
