//! The cluster as one decision sees it.
//!
//! The loop decides while nothing else changes, so the snapshot is the cache's own state, kept up to date change by
//! change and lent to the decision: nothing is copied.

use std::collections::HashMap;
use std::sync::Arc;

use api::labels::Labels;

use crate::journal::{Journal, Memo};
use crate::node_info::NodeInfo;
use crate::plugins::inter_pod_affinity as affinity;
use crate::plugins::pod_topology_spread as spread;
use crate::pod_info::{NodeName, PodInfo};

/// The labels of namespaces by name.
pub type Namespaces = HashMap<String, Labels>;

/// All nodes with what is used of them, and what is known beside.
#[derive(Debug, Default)]
pub struct Snapshot {
    pub(crate) nodes: Vec<NodeInfo>,
    pub(crate) positions: HashMap<NodeName, usize>,
    /// How many nodes have an image.
    pub(crate) image_nodes: HashMap<String, usize>,
    /// How many placed Pods have affinity to Pods, and how many require some Pods to be away.
    pub(crate) with_affinity: usize,
    pub(crate) with_required_anti_affinity: usize,
    pub(crate) namespaces: Arc<Namespaces>,
    /// Waiting Pods by the node where room is made for them.
    pub(crate) nominated: HashMap<NodeName, Vec<Arc<PodInfo>>>,
    /// What changed, for the sums.
    pub(crate) journal: Journal,
    pub(crate) sums: Sums,
}

/// What plugins counted over all nodes, for Pods that are alike. Each plugin has its own place.
#[derive(Debug, Default)]
pub struct Sums {
    pub(crate) spread: Memo<spread::Alike, spread::Counts>,
    pub(crate) spread_score: Memo<spread::Alike, spread::Tallies>,
    pub(crate) affinity: Memo<affinity::Alike, affinity::Counts>,
    pub(crate) affinity_score: Memo<affinity::Alike, affinity::Scoring>,
}

impl Snapshot {
    /// The nodes, in no order.
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.position(name).map(|position| &self.nodes[position])
    }

    /// Where a node is among all.
    pub fn position(&self, name: &str) -> Option<usize> {
        self.positions.get(name).copied()
    }

    /// The labels of namespaces.
    pub fn namespaces(&self) -> &Namespaces {
        &self.namespaces
    }

    /// The same, to keep.
    pub fn shared_namespaces(&self) -> Arc<Namespaces> {
        Arc::clone(&self.namespaces)
    }

    /// How many nodes have an image.
    pub fn nodes_with_image(&self, image: &str) -> usize {
        self.image_nodes.get(image).copied().unwrap_or_default()
    }

    /// Whether any placed Pod has affinity to Pods.
    pub fn has_affinity(&self) -> bool {
        self.with_affinity > 0
    }

    /// Whether any placed Pod requires some Pods to be away.
    pub fn has_required_anti_affinity(&self) -> bool {
        self.with_required_anti_affinity > 0
    }

    /// The Pods that wait for room on a node.
    pub fn nominated(&self, node: &str) -> &[Arc<PodInfo>] {
        self.nominated.get(node).map(Vec::as_slice).unwrap_or_default()
    }
}
