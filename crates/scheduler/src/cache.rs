//! Nodes and what is used of them, kept up to date change by change.
//!
//! One loop owns the cache, so the plugins read it in place and there is no snapshot to copy. A Pod that was given a
//! node counts as *assumed* from the decision on; the watch confirms it, or a failed binding forgets it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use crate::node_info::{NodeFacts, NodeInfo, Usage};
use crate::pod_info::{NodeName, PodInfo, Uid};

/// A Pod that uses a node.
#[derive(Debug)]
struct Placement {
    node: NodeName,
    /// Nobody but us says so yet.
    assumed: bool,
}

/// All nodes, and all Pods that use one.
#[derive(Debug, Default)]
pub struct Cache {
    nodes: Vec<NodeInfo>,
    positions: HashMap<NodeName, usize>,
    /// What Pods use of nodes that are not (or no longer) known.
    unknown: HashMap<NodeName, Usage>,
    placements: HashMap<Uid, Placement>,
}

impl Cache {
    /// The nodes, in no order.
    pub fn nodes(&self) -> &[NodeInfo] {
        &self.nodes
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.positions.get(name).map(|position| &self.nodes[*position])
    }

    /// Adds or replaces a node's facts. Returns whether they changed.
    pub fn set_node(&mut self, facts: Arc<NodeFacts>) -> bool {
        if let Some(position) = self.positions.get(&facts.name) {
            let node = &mut self.nodes[*position];
            let changed = node.facts != facts;
            node.facts = facts;
            return changed;
        }
        let usage = self.unknown.remove(&facts.name).unwrap_or_default();
        self.positions.insert(Arc::clone(&facts.name), self.nodes.len());
        self.nodes.push(NodeInfo { facts, usage });
        true
    }

    /// Forgets a node; Pods that use it are remembered in case it comes back.
    pub fn remove_node(&mut self, name: &str) {
        let Some(position) = self.positions.remove(name) else { return };
        let node = self.nodes.swap_remove(position);
        if let Some(moved) = self.nodes.get(position) {
            self.positions.insert(Arc::clone(&moved.facts.name), position);
        }
        if !node.usage.pods.is_empty() {
            self.unknown.insert(Arc::clone(&node.facts.name), node.usage);
        }
    }

    /// Counts a Pod on the node it was just given.
    pub fn assume(&mut self, pod: Arc<PodInfo>, node: &NodeName) {
        self.place(pod, node, true);
    }

    /// Counts a Pod on the node the API names. Returns the node it left, if it was counted elsewhere.
    pub fn set_pod(&mut self, pod: Arc<PodInfo>, node: &NodeName) -> Option<NodeName> {
        let left = self.placements.get(&pod.uid).map(|placement| Arc::clone(&placement.node));
        self.place(pod, node, false);
        left.filter(|left| left != node)
    }

    /// Counts a Pod no more. Returns the node that has room now.
    pub fn remove_pod(&mut self, uid: &str) -> Option<NodeName> {
        let placement = self.placements.remove(uid)?;
        if let Some(usage) = self.usage(&placement.node) {
            usage.remove(uid);
        }
        if self.unknown.get(&placement.node).is_some_and(|usage| usage.pods.is_empty()) {
            self.unknown.remove(&placement.node);
        }
        Some(placement.node)
    }

    /// The binding failed. Returns the node that has room now; none when the API confirmed the Pod meanwhile.
    pub fn forget(&mut self, uid: &str) -> Option<NodeName> {
        if self.placements.get(uid).is_some_and(|placement| placement.assumed) {
            return self.remove_pod(uid);
        }
        None
    }

    /// Whether a Pod is counted.
    pub fn has_pod(&self, uid: &str) -> bool {
        self.placements.contains_key(uid)
    }

    fn place(&mut self, pod: Arc<PodInfo>, node: &NodeName, assumed: bool) {
        self.remove_pod(&pod.uid);
        self.placements.insert(Arc::clone(&pod.uid), Placement { node: Arc::clone(node), assumed });
        match self.positions.get(node) {
            Some(position) => self.nodes[*position].usage.add(pod),
            None => self.unknown.entry(Arc::clone(node)).or_default().add(pod),
        }
    }

    fn usage(&mut self, node: &NodeName) -> Option<&mut Usage> {
        match self.positions.get(node) {
            Some(position) => Some(&mut self.nodes[*position].usage),
            None => self.unknown.get_mut(node),
        }
    }
}
