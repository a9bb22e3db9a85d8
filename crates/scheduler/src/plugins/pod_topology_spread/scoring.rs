//! How many Pods each domain has, for the constraints that rank nodes.

use std::collections::HashMap;

use super::count_on;
use super::counts::includes;
use crate::node_info::NodeInfo;
use crate::pod_info::{PodInfo, SpreadConstraint};
use crate::snapshot::Snapshot;

/// The label with a node's own name: such domains are counted node by node, when it is ranked.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Scoring {
    domains: Vec<Domains>,
    /// Nodes need all the labels to be ranked.
    all_labels: bool,
}

#[derive(Debug, Clone)]
struct Domains {
    constraint: SpreadConstraint,
    /// Of the nodes that are to be ranked.
    counts: HashMap<String, i64>,
    /// Domains of a label with few values weigh as much as those of one with many.
    weight: f64,
}

impl Scoring {
    pub(super) fn of(
        constraints: Vec<SpreadConstraint>,
        all_labels: bool,
        pod: &PodInfo,
        snapshot: &Snapshot,
        nodes: &[&NodeInfo],
    ) -> Self {
        let domains = |constraint| Domains { constraint, counts: HashMap::new(), weight: 0.0 };
        let mut scoring = Self { domains: constraints.into_iter().map(domains).collect(), all_labels };
        let ranked: Vec<&NodeInfo> = nodes.iter().copied().filter(|node| scoring.ranks(node)).collect();
        for domains in &mut scoring.domains {
            domains.prepare(&ranked);
        }
        for node in snapshot.nodes() {
            if scoring.ranks(node) {
                scoring.domains.iter_mut().for_each(|domains| domains.add(pod, node));
            }
        }
        scoring
    }

    /// Whether a node is in the domains that count.
    pub(super) fn ranks(&self, node: &NodeInfo) -> bool {
        let labelled = |domains: &Domains| node.facts.labels.contains_key(&*domains.constraint.topology_key);
        !self.all_labels || self.domains.iter().all(labelled)
    }

    /// How crowded a node's domains are; none where it is not ranked.
    #[allow(clippy::cast_possible_truncation)] // numbers of Pods
    pub(super) fn score(&self, pod: &PodInfo, node: &NodeInfo) -> Option<i64> {
        let score: f64 = self.domains.iter().filter_map(|domains| domains.score(pod, node)).sum();
        self.ranks(node).then(|| score.round() as i64)
    }
}

impl Domains {
    #[allow(clippy::cast_precision_loss)] // numbers of domains
    fn prepare(&mut self, ranked: &[&NodeInfo]) {
        let size = if self.is_per_node() {
            ranked.len()
        } else {
            for node in ranked {
                let value = node.facts.labels.get(&*self.constraint.topology_key);
                let value = value.map(String::as_str).unwrap_or_default();
                if !self.counts.contains_key(value) {
                    self.counts.insert(value.to_owned(), 0);
                }
            }
            self.counts.len()
        };
        self.weight = ((size + 2) as f64).ln();
    }

    fn is_per_node(&self) -> bool {
        &*self.constraint.topology_key == HOSTNAME
    }

    fn add(&mut self, pod: &PodInfo, node: &NodeInfo) {
        if self.is_per_node() || !includes(&self.constraint, pod, &node.facts) {
            return;
        }
        let value = node.facts.labels.get(&*self.constraint.topology_key).map(String::as_str).unwrap_or_default();
        if let Some(count) = self.counts.get_mut(value) {
            *count += count_on(node, &self.constraint, pod);
        }
    }

    #[allow(clippy::cast_precision_loss)] // numbers of Pods
    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> Option<f64> {
        let value = node.facts.labels.get(&*self.constraint.topology_key)?;
        let count = if self.is_per_node() {
            count_on(node, &self.constraint, pod)
        } else {
            self.counts.get(value).copied().unwrap_or_default()
        };
        Some(count as f64 * self.weight + (self.constraint.max_skew - 1) as f64)
    }
}
