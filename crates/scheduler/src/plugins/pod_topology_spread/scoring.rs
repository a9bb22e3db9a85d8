//! How many Pods each domain has, for the constraints that rank nodes.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::counts::includes;
use super::{Alike, count_on, counts};
use crate::journal::Placement;
use crate::node_info::{NodeFacts, NodeInfo};
use crate::pod_info::{PodInfo, SpreadConstraint};
use crate::snapshot::Snapshot;

/// The label with a node's own name: such domains are counted node by node, when it is ranked.
const HOSTNAME: &str = "kubernetes.io/hostname";

/// How many Pods each domain has, constraint by constraint.
pub type Tallies = Arc<Vec<HashMap<String, i64>>>;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct Scoring {
    constraints: Vec<SpreadConstraint>,
    tallies: Tallies,
    /// Per constraint. Domains of a label with few values weigh as much as those of one with many.
    weights: Vec<f64>,
    /// Nodes need all the labels to be ranked.
    all_labels: bool,
}

impl Scoring {
    pub(super) fn of(
        constraints: Vec<SpreadConstraint>,
        all_labels: bool,
        pod: &PodInfo,
        snapshot: &Snapshot,
        nodes: &[&NodeInfo],
    ) -> Self {
        let tallies = snapshot.sums.spread_score.get(
            &snapshot.journal,
            |alike| alike.is(pod, &constraints, all_labels),
            || (Alike::of(pod, &constraints, all_labels), tally(&constraints, all_labels, pod, snapshot)),
            |tallies, placement| update(tallies, &constraints, all_labels, pod, placement),
        );
        let mut scoring = Self { constraints, tallies, weights: Vec::new(), all_labels };
        let ranked: Vec<&NodeInfo> = nodes.iter().copied().filter(|node| scoring.ranks(node)).collect();
        scoring.weights = scoring.constraints.iter().map(|constraint| weight(constraint, &ranked)).collect();
        scoring
    }

    /// Whether a node is in the domains that count.
    pub(super) fn ranks(&self, node: &NodeInfo) -> bool {
        ranks(&self.constraints, self.all_labels, &node.facts)
    }

    /// How crowded a node's domains are; none where it is not ranked.
    #[allow(clippy::cast_possible_truncation)] // numbers of Pods
    pub(super) fn score(&self, pod: &PodInfo, node: &NodeInfo) -> Option<i64> {
        let weighed = self.constraints.iter().zip(&*self.tallies).zip(&self.weights);
        let scores = weighed.filter_map(|((constraint, tally), weight)| {
            let count = count(constraint, tally, pod, node)?;
            Some(count * weight + (constraint.max_skew - 1) as f64)
        });
        let score: f64 = scores.sum();
        self.ranks(node).then(|| score.round() as i64)
    }
}

fn ranks(constraints: &[SpreadConstraint], all_labels: bool, node: &NodeFacts) -> bool {
    !all_labels || constraints.iter().all(|constraint| node.labels.contains_key(&*constraint.topology_key))
}

fn is_per_node(constraint: &SpreadConstraint) -> bool {
    &*constraint.topology_key == HOSTNAME
}

fn value<'a>(constraint: &SpreadConstraint, node: &'a NodeFacts) -> &'a str {
    node.labels.get(&*constraint.topology_key).map(String::as_str).unwrap_or_default()
}

/// The Pods in each domain of all nodes.
fn tally(constraints: &[SpreadConstraint], all_labels: bool, pod: &PodInfo, snapshot: &Snapshot) -> Tallies {
    let mut tallies = vec![HashMap::new(); constraints.len()];
    for node in snapshot.nodes().iter().filter(|node| ranks(constraints, all_labels, &node.facts)) {
        for (constraint, tally) in constraints.iter().zip(&mut tallies) {
            if !is_per_node(constraint) && includes(constraint, pod, &node.facts) {
                add(tally, value(constraint, &node.facts), count_on(node, constraint, pod));
            }
        }
    }
    Arc::new(tallies)
}

/// A Pod came or went.
fn update(
    tallies: &mut Tallies,
    constraints: &[SpreadConstraint],
    all_labels: bool,
    pod: &PodInfo,
    Placement { pod: other, node, by }: &Placement,
) {
    if !ranks(constraints, all_labels, node) {
        return;
    }
    for (constraint, tally) in constraints.iter().zip(Arc::make_mut(tallies)) {
        if !is_per_node(constraint) && includes(constraint, pod, node) && counts(other, constraint, pod) {
            add(tally, value(constraint, node), *by);
        }
    }
}

fn add(tally: &mut HashMap<String, i64>, value: &str, count: i64) {
    match tally.get_mut(value) {
        Some(sum) => *sum += count,
        None => drop(tally.insert(value.to_owned(), count)),
    }
}

/// What a constraint's domains weigh: the more there are among the ranked nodes, the more.
#[allow(clippy::cast_precision_loss)] // numbers of domains
fn weight(constraint: &SpreadConstraint, ranked: &[&NodeInfo]) -> f64 {
    let size = if is_per_node(constraint) {
        ranked.len()
    } else {
        ranked.iter().map(|node| value(constraint, &node.facts)).collect::<HashSet<&str>>().len()
    };
    ((size + 2) as f64).ln()
}

#[allow(clippy::cast_precision_loss)] // numbers of Pods
fn count(constraint: &SpreadConstraint, tally: &HashMap<String, i64>, pod: &PodInfo, node: &NodeInfo) -> Option<f64> {
    let value = node.facts.labels.get(&*constraint.topology_key)?;
    let count = if is_per_node(constraint) {
        count_on(node, constraint, pod)
    } else {
        tally.get(value).copied().unwrap_or_default()
    };
    Some(count as f64)
}
