//! Pods of a kind are spread evenly over the values of node labels.

mod alike;
mod counts;
mod defaults;
mod scoring;
#[cfg(test)]
mod tests;

use crate::cluster_event::ClusterEvent;
use crate::cycle_state::CycleState;
use crate::framework::{Filter, MAX_SCORE, PluginName, PreFilter, Rejection, Scope, Score};
use crate::node_info::NodeInfo;
use crate::pod_info::{PodInfo, SpreadConstraint, WhenUnsatisfiable};
use crate::snapshot::Snapshot;

pub use alike::Alike;
pub use counts::Counts;
pub use defaults::{Defaults, Workloads};
pub use scoring::{Scoring, Tallies};

/// See the module.
#[derive(Clone)]
pub struct PodTopologySpread {
    /// The constraints of Pods that have none themselves.
    pub defaults: Defaults,
    /// What groups such Pods.
    pub workloads: Workloads,
}

impl PodTopologySpread {
    /// The constraints of a Pod of one sort, its own or the default ones, and whether nodes need all the labels.
    fn constraints(&self, pod: &PodInfo, when: WhenUnsatisfiable) -> (Vec<SpreadConstraint>, bool) {
        let of_sort = |constraints: &[SpreadConstraint]| {
            constraints.iter().filter(|constraint| constraint.when_unsatisfiable == when).cloned().collect::<Vec<_>>()
        };
        if !pod.facts.spread.is_empty() {
            return (of_sort(&pod.facts.spread), true);
        }
        let constraints = of_sort(self.defaults.constraints());
        (self.workloads.for_pod(pod, constraints), !self.defaults.are_systems())
    }
}

impl Filter for PodTopologySpread {
    fn name(&self) -> PluginName {
        PluginName::PodTopologySpread
    }

    fn scope(&self) -> Scope {
        Scope::Cluster
    }

    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Result<PreFilter, Rejection> {
        let (constraints, _) = self.constraints(pod, WhenUnsatisfiable::DoNotSchedule);
        if constraints.is_empty() {
            return Ok(PreFilter::Skip);
        }
        state.pod_topology_spread = Counts::of(constraints, pod, snapshot);
        Ok(PreFilter::Nodes)
    }

    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        match state.pod_topology_spread.verdict(&node.facts.labels) {
            counts::Verdict::Even => Ok(()),
            counts::Verdict::Uneven => {
                Err(Rejection::curable(self.name(), "node(s) didn't match pod topology spread constraints"))
            }
            counts::Verdict::NoDomain => {
                let reason = "node(s) didn't match pod topology spread constraints (missing required label)";
                Err(Rejection::incurable(self.name(), reason))
            }
        }
    }

    fn add_pod(&self, state: &mut CycleState, pod: &PodInfo, added: &PodInfo, node: &NodeInfo) {
        state.pod_topology_spread.change(pod, added, &node.facts, 1);
    }

    fn remove_pod(&self, state: &mut CycleState, pod: &PodInfo, removed: &PodInfo, node: &NodeInfo) {
        state.pod_topology_spread.change(pod, removed, &node.facts, -1);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        let (constraints, _) = self.constraints(pod, WhenUnsatisfiable::DoNotSchedule);
        let counted = |other: &PodInfo| {
            other.key.namespace == pod.key.namespace
                && constraints.iter().any(|constraint| constraint.selector.matches(Some(&other.facts.labels)))
        };
        if event.pods().any(counted) {
            return true;
        }
        if let ClusterEvent::NodeChanged { old: Some(old), node } = event
            && old.labels == node.facts.labels
            && old.taints == node.facts.taints
        {
            return false;
        }
        // A domain that appears or ends moves the minimum.
        event
            .node_labels()
            .any(|labels| constraints.iter().all(|constraint| labels.contains_key(&*constraint.topology_key)))
    }
}

impl Score for PodTopologySpread {
    fn pre_score(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot, nodes: &[&NodeInfo]) -> bool {
        let (constraints, all_labels) = self.constraints(pod, WhenUnsatisfiable::ScheduleAnyway);
        if constraints.is_empty() {
            return false;
        }
        state.pod_topology_spread_score = Scoring::of(constraints, all_labels, pod, snapshot, nodes);
        true
    }

    fn score(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        state.pod_topology_spread_score.score(pod, node).unwrap_or_default()
    }

    /// The fewer Pods there are, the better; nodes in no domain come last.
    fn normalize(&self, state: &CycleState, nodes: &[&NodeInfo], scores: &mut [i64]) {
        let scoring = &state.pod_topology_spread_score;
        let ranked = || nodes.iter().zip(&*scores).filter(|(node, _)| scoring.ranks(node)).map(|(_, score)| *score);
        let (Some(least), Some(most)) = (ranked().min(), ranked().max()) else { return scores.fill(0) };
        for (node, score) in nodes.iter().zip(scores) {
            *score = match most {
                _ if !scoring.ranks(node) => 0,
                0 => MAX_SCORE,
                most => MAX_SCORE * (most + least - *score) / most,
            };
        }
    }
}

/// How many Pods on a node are like this one.
fn count_on(node: &NodeInfo, constraint: &SpreadConstraint, pod: &PodInfo) -> i64 {
    let pods = node.usage.pods.iter().filter(|other| counts(other, constraint, pod));
    i64::try_from(pods.count()).unwrap_or(i64::MAX)
}

/// Whether a Pod is one of those that this one is spread among.
fn counts(other: &PodInfo, constraint: &SpreadConstraint, pod: &PodInfo) -> bool {
    other.terminating.is_none()
        && other.key.namespace == pod.key.namespace
        && constraint.selector.matches(Some(&other.facts.labels))
}
