//! What a plugin is.
//!
//! Upstream's extension points, grouped by what belongs together: a [`Filter`] prepares what it needs for one Pod
//! (PreFilter), keeps that true while Pods are added and removed in thought (AddPod, RemovePod), judges nodes (Filter)
//! and says which events could change its mind (a queueing hint); a [`Score`] prepares (PreScore), ranks (Score) and
//! brings its ranks to a common measure (NormalizeScore). PostFilter is preemption alone, Reserve and PreBind are volume
//! binding alone and Bind is the binding, so these are functions; nothing built in waits for a permit.

mod names;
mod rejection;
mod remedy;

use std::collections::BTreeSet;

use crate::cluster_event::ClusterEvent;
use crate::cycle_state::CycleState;
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

pub use names::{PluginName, PluginSet};
pub use rejection::Rejection;
pub use remedy::{Remedy, Way};

/// The best score of one plugin.
pub const MAX_SCORE: i64 = 100;

/// What a filter has to say of a Pod before it sees nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PreFilter {
    /// The filter has nothing to judge for this Pod.
    Skip,
    /// It judges each node.
    Nodes,
    /// Only these nodes come into question, by name.
    Only(BTreeSet<String>),
}

/// Whose change can change a filter's mind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// It looks at the node alone, so asking it again about a changed node is the hint.
    Node,
    /// It looks beyond, and has a [`Filter::hint`].
    Cluster,
}

/// A plugin that can exclude a node.
pub trait Filter: Send + Sync {
    /// Its name.
    fn name(&self) -> PluginName;

    /// Whose change can change its mind.
    fn scope(&self) -> Scope {
        Scope::Node
    }

    /// Whether Pods that come to a node or leave it can change its mind about that node.
    fn sees_pods(&self) -> bool {
        true
    }

    /// Prepares for a Pod.
    ///
    /// # Errors
    /// Why no node can take the Pod.
    fn pre_filter(
        &self,
        _state: &mut CycleState,
        _pod: &PodInfo,
        _snapshot: &Snapshot,
    ) -> Result<PreFilter, Rejection> {
        Ok(PreFilter::Nodes)
    }

    /// Whether the Pod can run on the node.
    ///
    /// # Errors
    /// Says why not.
    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection>;

    /// What would make a node that it rejects take the Pod, as far as it is concerned and knows.
    fn way(&self, _pod: &PodInfo, _node: &NodeInfo) -> Option<Way> {
        None
    }

    /// `added` is now on the node, in thought.
    fn add_pod(&self, _state: &mut CycleState, _pod: &PodInfo, _added: &PodInfo, _node: &NodeInfo) {}

    /// `removed` is no longer on the node, in thought.
    fn remove_pod(&self, _state: &mut CycleState, _pod: &PodInfo, _removed: &PodInfo, _node: &NodeInfo) {}

    /// Whether a Pod that was rejected could pass after the event; for [`Scope::Cluster`].
    fn hint(&self, _pod: &PodInfo, _event: &ClusterEvent<'_>, _snapshot: &Snapshot) -> bool {
        false
    }
}

/// A plugin that ranks the nodes that passed the filters.
pub trait Score: Send + Sync {
    /// Prepares for a Pod and the nodes that passed. Returns whether there is anything to rank by.
    fn pre_score(&self, _state: &mut CycleState, _pod: &PodInfo, _snapshot: &Snapshot, _nodes: &[&NodeInfo]) -> bool {
        true
    }

    /// The node's rank, larger is better, in the plugin's own measure.
    fn score(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo, snapshot: &Snapshot) -> i64;

    /// Brings the ranks of all nodes into 0 to [`MAX_SCORE`].
    fn normalize(&self, _state: &CycleState, _nodes: &[&NodeInfo], _scores: &mut [i64]) {}
}

/// Stretches ranks so that the largest becomes [`MAX_SCORE`]; `reverse` turns the order around.
pub fn normalize_by_largest(scores: &mut [i64], reverse: bool) {
    let largest = scores.iter().copied().max().unwrap_or_default();
    for score in scores {
        let share = if largest == 0 { 0 } else { MAX_SCORE * *score / largest };
        *score = if reverse { MAX_SCORE - share } else { share };
    }
}
