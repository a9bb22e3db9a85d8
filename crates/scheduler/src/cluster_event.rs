//! What happens in the cluster that could help Pods no node took.

use api::labels::Labels;

use crate::node_info::{NodeFacts, NodeInfo};
use crate::pod_info::PodInfo;

/// See the module. Told after the cache knows of it.
#[derive(Debug, Clone, Copy)]
pub enum ClusterEvent<'a> {
    /// A Pod is on a node now.
    PodAdded(&'a PodInfo),
    /// A Pod on this node changed its labels or asks for less.
    PodUpdated { old: &'a PodInfo, new: &'a PodInfo, node: Option<&'a NodeInfo> },
    /// A Pod left this node, or room is no longer kept for it there.
    PodDeleted { pod: &'a PodInfo, node: Option<&'a NodeInfo> },
    /// A node appeared or changed.
    NodeChanged { old: Option<&'a NodeFacts>, node: &'a NodeInfo },
    /// A node is gone.
    NodeDeleted(&'a NodeFacts),
    /// A namespace has other labels.
    NamespaceChanged,
    /// Claims, volumes, or what is said of them changed.
    StorageChanged,
}

impl<'a> ClusterEvent<'a> {
    /// The node that may take more than before.
    pub fn node(&self) -> Option<&'a NodeInfo> {
        match *self {
            Self::PodUpdated { node, .. } | Self::PodDeleted { node, .. } => node,
            Self::NodeChanged { node, .. } => Some(node),
            Self::PodAdded(_) | Self::NodeDeleted(_) | Self::NamespaceChanged | Self::StorageChanged => None,
        }
    }

    /// The Pods that appeared, changed or went, as they were and are.
    pub fn pods(&self) -> impl Iterator<Item = &'a PodInfo> {
        let (one, two) = match *self {
            Self::PodAdded(pod) | Self::PodDeleted { pod, .. } => (Some(pod), None),
            Self::PodUpdated { old, new, .. } => (Some(old), Some(new)),
            _ => (None, None),
        };
        one.into_iter().chain(two)
    }

    /// The labels a node has or had.
    pub fn node_labels(&self) -> impl Iterator<Item = &'a Labels> {
        let (one, two) = match *self {
            Self::NodeChanged { old, node } => (old.map(|old| &old.labels), Some(&node.facts.labels)),
            Self::NodeDeleted(node) => (Some(&node.labels), None),
            _ => (None, None),
        };
        one.into_iter().chain(two)
    }
}
