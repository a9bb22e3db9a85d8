//! `nodeSelector` and required node affinity exclude nodes, preferred node affinity ranks them.

use super::{Filter, Rejection, Score, normalize_by_largest};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// See the module.
pub struct NodeAffinity;

impl Filter for NodeAffinity {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if pod.facts.node_affinity.excludes_by_name(&node.facts) {
            return Err(Rejection::incurable("node(s) didn't satisfy plugin(s) [NodeAffinity]"));
        }
        if pod.facts.node_affinity.allows(&node.facts) {
            return Ok(());
        }
        Err(Rejection::incurable("node(s) didn't match Pod's node affinity/selector"))
    }
}

impl Score for NodeAffinity {
    fn weight(&self) -> i64 {
        2
    }

    fn applies_to(&self, pod: &PodInfo) -> bool {
        pod.facts.node_affinity.has_preferences()
    }

    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        pod.facts.node_affinity.preference(&node.facts)
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize_by_largest(scores, false);
    }
}
