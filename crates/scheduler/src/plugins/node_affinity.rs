//! `nodeSelector` and required node affinity exclude nodes, preferred node affinity ranks them. A profile can add an
//! affinity to that of all its Pods.

use std::sync::Arc;

use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, PreFilter, Rejection, Score, Way, normalize_by_largest};
use crate::node_info::NodeInfo;
use crate::pod_info::{self, PodInfo};
use crate::snapshot::Snapshot;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct NodeAffinity {
    /// What the profile adds.
    pub added: Option<Arc<pod_info::NodeAffinity>>,
}

impl Filter for NodeAffinity {
    fn name(&self) -> PluginName {
        PluginName::NodeAffinity
    }

    fn sees_pods(&self) -> bool {
        false
    }

    /// Terms that name their nodes spare the look at all others: DaemonSets pin their Pods this way.
    fn pre_filter(&self, _: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> Result<PreFilter, Rejection> {
        let affinity = &pod.facts.node_affinity;
        if self.added.is_none() && !affinity.requires_something() {
            return Ok(PreFilter::Skip);
        }
        Ok(affinity.only_nodes().map_or(PreFilter::Nodes, |names| PreFilter::Only(names.clone())))
    }

    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if self.added.as_ref().is_some_and(|added| !added.allows(&node.facts)) {
            let reason = "node(s) didn't match scheduler-enforced node affinity";
            return Err(Rejection::incurable(self.name(), reason));
        }
        if pod.facts.node_affinity.allows(&node.facts) {
            return Ok(());
        }
        Err(Rejection::incurable(self.name(), "node(s) didn't match Pod's node affinity/selector"))
    }

    /// Labels that a `nodeSelector` asks for can be given; what terms ask for cannot be said in a word.
    fn way(&self, pod: &PodInfo, node: &NodeInfo) -> Option<Way> {
        let added = self.added.as_ref().is_none_or(|added| added.allows(&node.facts));
        let missing = pod.facts.node_affinity.missing_labels(&node.facts).filter(|_| added)?;
        Some(Way::act(200, format!("label {} {}", node.facts.name, missing.join(" "))))
    }
}

impl Score for NodeAffinity {
    fn pre_score(&self, _: &mut CycleState, pod: &PodInfo, _: &Snapshot, _: &[&NodeInfo]) -> bool {
        pod.facts.node_affinity.has_preferences() || self.added.as_ref().is_some_and(|added| added.has_preferences())
    }

    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        let added = self.added.as_ref().map_or(0, |added| added.preference(&node.facts));
        pod.facts.node_affinity.preference(&node.facts) + added
    }

    fn normalize(&self, _: &CycleState, _: &[&NodeInfo], scores: &mut [i64]) {
        normalize_by_largest(scores, false);
    }
}
