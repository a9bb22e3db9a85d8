//! Who goes from one node, and how bad that is.

use std::cmp::Reverse;
use std::sync::Arc;

use jiff::Timestamp;

use super::budgets::{Budget, split};
use super::no_victims;
use crate::cycle_state::CycleState;
use crate::framework::Rejection;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::profile::Profile;
use crate::snapshot::Snapshot;

/// The Pods that go from a node.
#[derive(Debug)]
pub(super) struct Victims {
    /// The most important first.
    pub(super) pods: Vec<Arc<PodInfo>>,
    /// How many of them a budget does not allow to go.
    pub(super) violations: usize,
}

/// The fewest Pods of lower priority without which the Pod fits on the node.
pub(super) fn select(
    profile: &Profile,
    state: &CycleState,
    pod: &PodInfo,
    node: &NodeInfo,
    budgets: &[Budget],
    snapshot: &Snapshot,
) -> Result<Victims, Rejection> {
    let lower = |other: &&Arc<PodInfo>| other.facts.priority < pod.facts.priority;
    let mut lower: Vec<Arc<PodInfo>> = node.usage.pods.iter().filter(lower).cloned().collect();
    if lower.is_empty() {
        return Err(no_victims());
    }
    let (mut state, mut node) = (state.clone(), node.clone());
    for other in &lower {
        profile.remove_pod(&mut state, pod, other, &mut node);
    }
    profile.filter_beside_nominated(&state, pod, &node, snapshot)?;
    lower.sort_by_key(importance);
    let (violating, others) = split(lower, budgets);
    let mut comes_back = |other: &Arc<PodInfo>| {
        profile.add_pod(&mut state, pod, other, &mut node);
        let fits = profile.filter_again_beside_nominated(&state, pod, &node, snapshot).is_ok();
        if !fits {
            profile.remove_pod(&mut state, pod, other, &mut node);
        }
        fits
    };
    let mut pods: Vec<Arc<PodInfo>> = violating.into_iter().filter(|other| !comes_back(other)).collect();
    let violations = pods.len();
    pods.extend(others.into_iter().filter(|other| !comes_back(other)));
    pods.sort_by_key(importance);
    Ok(Victims { pods, violations })
}

/// Smaller is more important: higher priority, then an earlier start.
fn importance(pod: &Arc<PodInfo>) -> (Reverse<i32>, Timestamp) {
    (Reverse(pod.facts.priority), started(pod))
}

/// A Pod that has not started yet starts last.
fn started(pod: &PodInfo) -> Timestamp {
    pod.started.unwrap_or(Timestamp::MAX)
}

impl Victims {
    /// Smaller is better: fewer violations of budgets, a less important most important victim, less priority in all,
    /// fewer victims, and a most important victim that started later.
    pub(super) fn loss(&self) -> (usize, i32, i64, usize, Reverse<Timestamp>) {
        let highest = self.pods.iter().map(|pod| pod.facts.priority).max().unwrap_or(i32::MIN);
        // Priorities can be negative, and yet more victims must weigh more.
        let sum = self.pods.iter().map(|pod| i64::from(pod.facts.priority) + i64::from(i32::MAX) + 1).sum();
        let earliest = self.pods.iter().filter(|pod| pod.facts.priority == highest).map(|pod| started(pod)).min();
        (self.violations, highest, sum, self.pods.len(), Reverse(earliest.unwrap_or(Timestamp::MAX)))
    }
}
