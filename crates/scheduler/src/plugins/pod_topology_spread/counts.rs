//! How many Pods each domain has, for the constraints that exclude nodes.

use std::collections::HashMap;
use std::sync::Arc;

use api::core::v1::taints::{find_untolerated, repels};
use api::labels::Labels;

use super::{Alike, count_on, counts};
use crate::journal::Placement;
use crate::node_info::NodeFacts;
use crate::pod_info::{PodInfo, SpreadConstraint};
use crate::snapshot::Snapshot;

/// See the module. A clone shares what was counted and keeps its own changes.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    domains: Arc<Vec<Domains>>,
    changes: Vec<Changed>,
}

#[derive(Debug, Clone)]
struct Domains {
    constraint: SpreadConstraint,
    /// The Pod itself is counted.
    counts_itself: i64,
    counts: HashMap<String, i64>,
    /// The two domains with the fewest Pods: one of them is the emptiest also when another one changes.
    lowest: [Option<(String, i64)>; 2],
}

/// A domain that has more or fewer Pods, in thought.
#[derive(Debug, Clone)]
struct Changed {
    constraint: usize,
    value: String,
    by: i64,
}

/// What a node would do to the evenness.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing bad.
    Even,
    /// Some domain would have too many Pods.
    Uneven,
    /// It lacks a label.
    NoDomain,
}

impl Counts {
    pub(super) fn of(constraints: Vec<SpreadConstraint>, pod: &PodInfo, snapshot: &Snapshot) -> Self {
        snapshot.sums.spread.get(
            &snapshot.journal,
            |alike| alike.is(pod, &constraints, true),
            || (Alike::of(pod, &constraints, true), Self::make(constraints.clone(), pod, snapshot)),
            |counts, placement| counts.update(pod, placement),
        )
    }

    fn make(constraints: Vec<SpreadConstraint>, pod: &PodInfo, snapshot: &Snapshot) -> Self {
        let domains = |constraint: SpreadConstraint| Domains {
            counts_itself: i64::from(constraint.selector.matches(Some(&pod.facts.labels))),
            constraint,
            counts: HashMap::new(),
            lowest: [None, None],
        };
        let mut domains: Vec<Domains> = constraints.into_iter().map(domains).collect();
        for node in snapshot.nodes() {
            if !has_all_labels(&domains, &node.facts.labels) {
                continue;
            }
            for domains in domains.iter_mut().filter(|domains| includes(&domains.constraint, pod, &node.facts)) {
                let count = count_on(node, &domains.constraint, pod);
                domains.add(&node.facts.labels, count);
            }
        }
        domains.iter_mut().for_each(Domains::find_lowest);
        Self { domains: Arc::new(domains), changes: Vec::new() }
    }

    /// A Pod came or went.
    fn update(&mut self, pod: &PodInfo, Placement { pod: other, node, by }: &Placement) {
        if !has_all_labels(&self.domains, &node.labels) {
            return;
        }
        for domains in Arc::make_mut(&mut self.domains) {
            if counts(other, &domains.constraint, pod) && includes(&domains.constraint, pod, node) {
                domains.change(&node.labels, *by);
            }
        }
    }

    /// A Pod is added or removed in thought.
    pub(super) fn change(&mut self, pod: &PodInfo, other: &PodInfo, node: &NodeFacts, by: i64) {
        if other.key.namespace != pod.key.namespace || !has_all_labels(&self.domains, &node.labels) {
            return;
        }
        for (position, Domains { constraint, .. }) in self.domains.iter().enumerate() {
            let Some(value) = node.labels.get(&*constraint.topology_key) else { continue };
            if constraint.selector.matches(Some(&other.facts.labels)) && includes(constraint, pod, node) {
                self.changes.push(Changed { constraint: position, value: value.clone(), by });
            }
        }
    }

    pub(super) fn verdict(&self, node: &Labels) -> Verdict {
        for (position, domains) in self.domains.iter().enumerate() {
            let Some(value) = node.get(&*domains.constraint.topology_key) else { return Verdict::NoDomain };
            let skew = self.count(position, value) + domains.counts_itself - self.minimum(position);
            if skew > domains.constraint.max_skew {
                return Verdict::Uneven;
            }
        }
        Verdict::Even
    }

    fn count(&self, position: usize, value: &str) -> i64 {
        let counted = self.domains[position].counts.get(value).copied().unwrap_or_default();
        let changes = self.changes.iter().filter(|changed| changed.constraint == position && changed.value == value);
        counted + changes.map(|changed| changed.by).sum::<i64>()
    }

    /// The number of Pods in the emptiest domain. All changes are on one node, thus in one domain.
    fn minimum(&self, position: usize) -> i64 {
        let domains = &self.domains[position];
        if domains.counts.len() < domains.constraint.min_domains {
            return 0;
        }
        let changed = self.changes.iter().find(|changed| changed.constraint == position);
        let changed = changed.map(|changed| changed.value.as_str());
        let mut others = domains.lowest.iter().flatten().filter(|(value, _)| Some(value.as_str()) != changed);
        let others = others.next().map(|(_, count)| *count);
        let changed = changed.map(|value| self.count(position, value));
        others.into_iter().chain(changed).min().unwrap_or(i64::from(i32::MAX))
    }
}

impl Domains {
    fn add(&mut self, node: &Labels, count: i64) {
        let Some(value) = node.get(&*self.constraint.topology_key) else { return };
        match self.counts.get_mut(value) {
            Some(sum) => *sum += count,
            None => drop(self.counts.insert(value.clone(), count)),
        }
    }

    /// The same, with the emptiest ones kept.
    fn change(&mut self, node: &Labels, by: i64) {
        self.add(node, by);
        let value = node.get(&*self.constraint.topology_key);
        let is_low = || self.lowest.iter().flatten().any(|(low, _)| Some(low) == value);
        if by < 0 || is_low() {
            self.find_lowest();
        }
    }

    fn find_lowest(&mut self) {
        let mut lowest: [Option<(&String, i64)>; 2] = [None, None];
        for (value, count) in &self.counts {
            let below = |other: Option<(&String, i64)>| other.is_none_or(|(_, other)| *count < other);
            if below(lowest[0]) {
                lowest = [Some((value, *count)), lowest[0]];
            } else if below(lowest[1]) {
                lowest[1] = Some((value, *count));
            }
        }
        self.lowest = lowest.map(|one| one.map(|(value, count)| (value.clone(), count)));
    }
}

fn has_all_labels(domains: &[Domains], node: &Labels) -> bool {
    domains.iter().all(|domains| node.contains_key(&*domains.constraint.topology_key))
}

/// Whether a node counts as part of a domain.
pub(super) fn includes(constraint: &SpreadConstraint, pod: &PodInfo, node: &NodeFacts) -> bool {
    (!constraint.honors_node_affinity || pod.facts.node_affinity.allows(node))
        && (!constraint.honors_node_taints || find_untolerated(&node.taints, &pod.facts.tolerations, repels).is_none())
}
