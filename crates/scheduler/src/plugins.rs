//! The plugins of the default profile, one file each, and their order.
//!
//! A filter looks at one Pod and one node. That makes it its own wake-up hint: when a node changes, the waiting Pods
//! that pass every filter *on that node now* are tried again, and no others. A plugin that looks beyond the node
//! (affinity between Pods, topology spread) will need to say which other changes may help; preemption follows the
//! filters in [`crate::schedule_one`].

mod balanced_allocation;
mod node_affinity;
mod node_name;
mod node_ports;
mod node_resources_fit;
mod node_unschedulable;
mod taint_toleration;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// The best score of one plugin.
pub const MAX_SCORE: i64 = 100;

/// A plugin that can exclude a node.
pub trait Filter: Sync {
    /// Whether the Pod can run on the node.
    ///
    /// # Errors
    /// Says why not.
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection>;
}

/// A plugin that ranks the nodes that passed the filters.
pub trait Score: Sync {
    /// How much this plugin counts beside the others.
    fn weight(&self) -> i64;

    /// Whether the Pod gives this plugin anything to rank by.
    fn applies_to(&self, _pod: &PodInfo) -> bool {
        true
    }

    /// The node's rank, larger is better, in the plugin's own measure.
    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64;

    /// Brings the ranks of all nodes into 0 to [`MAX_SCORE`].
    fn normalize(&self, _scores: &mut [i64]) {}
}

/// Why a node does not take a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    /// Worded as upstream, for the Pod's condition and Event.
    pub reasons: Vec<Cow<'static, str>>,
    /// Whether removing other Pods from the node could help.
    pub curable: bool,
}

impl Rejection {
    /// A rejection that no eviction cures.
    pub fn incurable(reason: &'static str) -> Self {
        Self { reasons: vec![Cow::Borrowed(reason)], curable: false }
    }
}

/// The filters in the order they are asked; the first rejection of a node counts.
pub const FILTERS: [&dyn Filter; 6] = [
    &node_unschedulable::NodeUnschedulable,
    &node_name::NodeName,
    &taint_toleration::TaintToleration,
    &node_affinity::NodeAffinity,
    &node_ports::NodePorts,
    &node_resources_fit::NodeResourcesFit,
];

/// The scoring plugins.
pub const SCORES: [&dyn Score; 4] = [
    &taint_toleration::TaintToleration,
    &node_affinity::NodeAffinity,
    &node_resources_fit::NodeResourcesFit,
    &balanced_allocation::BalancedAllocation,
];

/// Whether the Pod can run on the node.
///
/// # Errors
/// The first rejection.
pub fn filter(pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
    FILTERS.iter().try_for_each(|plugin| plugin.filter(pod, node))
}

/// Stretches ranks so that the largest becomes [`MAX_SCORE`]; `reverse` turns the order around.
fn normalize_by_largest(scores: &mut [i64], reverse: bool) {
    let largest = scores.iter().copied().max().unwrap_or_default();
    for score in scores {
        let share = if largest == 0 { 0 } else { MAX_SCORE * *score / largest };
        *score = if reverse { MAX_SCORE - share } else { share };
    }
}
