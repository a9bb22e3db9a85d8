//! Nodes and what is used of them, kept up to date change by change.
//!
//! One loop owns the cache; plugins read its [`Snapshot`] in place. A Pod that was given a node counts as *assumed* from
//! the decision on; the watch confirms it, or a failed binding forgets it.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use api::labels::Labels;

use crate::journal::Placement as Noted;
use crate::node_info::{NodeFacts, NodeInfo, Usage};
use crate::pod_info::{NodeName, PodInfo, Uid};
use crate::snapshot::Snapshot;

/// A Pod that uses a node.
#[derive(Debug)]
struct Placement {
    pod: Arc<PodInfo>,
    node: NodeName,
    /// Nobody but us says so yet.
    assumed: bool,
}

/// All nodes, and all Pods that use one.
#[derive(Debug, Default)]
pub struct Cache {
    snapshot: Snapshot,
    /// What Pods use of nodes that are not (or no longer) known.
    unknown: HashMap<NodeName, Usage>,
    placements: HashMap<Uid, Placement>,
    /// The nodes where room is made for waiting Pods.
    nominations: HashMap<Uid, NodeName>,
}

impl Cache {
    /// What decisions are made from.
    pub fn snapshot(&self) -> &Snapshot {
        &self.snapshot
    }

    /// A node by name.
    pub fn node(&self, name: &str) -> Option<&NodeInfo> {
        self.snapshot.node(name)
    }

    /// Adds or replaces a node's facts. Returns those it had before.
    pub fn set_node(&mut self, facts: Arc<NodeFacts>) -> Option<Arc<NodeFacts>> {
        self.count_images(&facts, 1);
        if let Some(position) = self.snapshot.position(&facts.name) {
            let moves = |old: &NodeFacts| old.labels != facts.labels || old.taints != facts.taints;
            if moves(&self.snapshot.nodes[position].facts) {
                self.snapshot.journal.begin_anew();
            }
            let old = std::mem::replace(&mut self.snapshot.nodes[position].facts, facts);
            self.count_images(&old, -1);
            return Some(old);
        }
        let mut usage = self.unknown.remove(&facts.name).unwrap_or_default();
        let snapshot = &mut self.snapshot;
        usage.awaited = snapshot.nominated.contains_key(&facts.name);
        snapshot.positions.insert(Arc::clone(&facts.name), snapshot.nodes.len());
        snapshot.nodes.push(NodeInfo { facts, usage });
        snapshot.journal.begin_anew();
        None
    }

    /// Forgets a node; Pods that use it are remembered in case it comes back.
    pub fn remove_node(&mut self, name: &str) {
        let snapshot = &mut self.snapshot;
        let Some(position) = snapshot.positions.remove(name) else { return };
        let node = snapshot.nodes.swap_remove(position);
        snapshot.journal.begin_anew();
        if let Some(moved) = snapshot.nodes.get(position) {
            snapshot.positions.insert(Arc::clone(&moved.facts.name), position);
        }
        self.count_images(&node.facts, -1);
        if !node.usage.pods.is_empty() {
            self.unknown.insert(Arc::clone(&node.facts.name), node.usage);
        }
    }

    fn count_images(&mut self, facts: &NodeFacts, change: isize) {
        for image in facts.images.keys() {
            let count = self.snapshot.image_nodes.entry(image.clone()).or_default();
            *count = count.saturating_add_signed(change);
            if *count == 0 {
                self.snapshot.image_nodes.remove(image);
            }
        }
    }

    /// Sets a namespace's labels. Returns whether they changed.
    pub fn set_namespace(&mut self, name: &str, labels: Labels) -> bool {
        if self.snapshot.namespaces.get(name) == Some(&labels) {
            return false;
        }
        Arc::make_mut(&mut self.snapshot.namespaces).insert(name.to_owned(), labels);
        self.snapshot.journal.begin_anew();
        true
    }

    /// Forgets a namespace.
    pub fn remove_namespace(&mut self, name: &str) {
        Arc::make_mut(&mut self.snapshot.namespaces).remove(name);
        self.snapshot.journal.begin_anew();
    }

    /// Keeps the room that is made on a node for a waiting Pod, or no longer.
    pub fn nominate(&mut self, pod: &Arc<PodInfo>, node: Option<&NodeName>) {
        self.forget_nomination(&pod.uid);
        let Some(node) = node else { return };
        self.nominations.insert(Arc::clone(&pod.uid), Arc::clone(node));
        self.snapshot.nominated.entry(Arc::clone(node)).or_default().push(Arc::clone(pod));
        self.note_awaited(node);
    }

    fn note_awaited(&mut self, node: &NodeName) {
        let awaited = self.snapshot.nominated.contains_key(node);
        if let Some(usage) = self.usage(node) {
            usage.awaited = awaited;
        }
    }

    /// Keeps no room for a Pod any more. Returns the node where there was some.
    pub fn forget_nomination(&mut self, uid: &str) -> Option<NodeName> {
        let node = self.nominations.remove(uid)?;
        if let Some(pods) = self.snapshot.nominated.get_mut(&node) {
            pods.retain(|pod| *pod.uid != *uid);
            if pods.is_empty() {
                self.snapshot.nominated.remove(&node);
            }
        }
        self.note_awaited(&node);
        Some(node)
    }

    /// The node where room is made for a Pod.
    pub fn nomination(&self, uid: &str) -> Option<&NodeName> {
        self.nominations.get(uid)
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

    /// Counts a Pod no more. Returns it as it was counted, and the node that has room now.
    pub fn remove_pod(&mut self, uid: &str) -> Option<(Arc<PodInfo>, NodeName)> {
        let placement = self.placements.get(uid)?;
        let (pod, node) = (Arc::clone(&placement.pod), Arc::clone(&placement.node));
        self.note(&pod, &node, -1);
        self.take_away(uid)
    }

    /// Tells the sums, if the node is known.
    fn note(&mut self, pod: &Arc<PodInfo>, node: &NodeName, by: i64) {
        let snapshot = &mut self.snapshot;
        let Some(facts) = snapshot.node(node).map(|node| Arc::clone(&node.facts)) else { return };
        snapshot.journal.note(Noted { pod: Arc::clone(pod), node: facts, by });
    }

    fn take_away(&mut self, uid: &str) -> Option<(Arc<PodInfo>, NodeName)> {
        let placement = self.placements.remove(uid)?;
        self.count_affinity(&placement.pod, -1);
        if let Some(usage) = self.usage(&placement.node) {
            usage.remove(uid);
        }
        if self.unknown.get(&placement.node).is_some_and(|usage| usage.pods.is_empty()) {
            self.unknown.remove(&placement.node);
        }
        Some((placement.pod, placement.node))
    }

    fn count_affinity(&mut self, pod: &PodInfo, change: isize) {
        let affinity = &pod.facts.pod_affinity;
        let snapshot = &mut self.snapshot;
        if !affinity.is_empty() {
            snapshot.with_affinity = snapshot.with_affinity.saturating_add_signed(change);
        }
        if !affinity.required_anti.is_empty() {
            snapshot.with_required_anti_affinity = snapshot.with_required_anti_affinity.saturating_add_signed(change);
        }
    }

    /// The binding failed. Returns the node that has room now; none when the API confirmed the Pod meanwhile.
    pub fn forget(&mut self, uid: &str) -> Option<(Arc<PodInfo>, NodeName)> {
        if self.placements.get(uid).is_some_and(|placement| placement.assumed) {
            return self.remove_pod(uid);
        }
        None
    }

    /// Whether a Pod is counted.
    pub fn has_pod(&self, uid: &str) -> bool {
        self.placements.contains_key(uid)
    }

    /// A Pod as it is counted.
    pub fn pod(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.placements.get(uid).map(|placement| &placement.pod)
    }

    /// The node a Pod is counted on.
    pub fn node_of(&self, uid: &str) -> Option<NodeName> {
        self.placements.get(uid).map(|placement| Arc::clone(&placement.node))
    }

    fn place(&mut self, pod: Arc<PodInfo>, node: &NodeName, assumed: bool) {
        // That the API confirms what was assumed moves no sum.
        let moved =
            self.placements.get(&pod.uid).is_none_or(|known| known.node != *node || !known.pod.counts_like(&pod));
        if moved {
            self.remove_pod(&pod.uid);
            self.note(&pod, node, 1);
        } else {
            self.take_away(&pod.uid);
        }
        self.count_affinity(&pod, 1);
        let placement = Placement { pod: Arc::clone(&pod), node: Arc::clone(node), assumed };
        self.placements.insert(Arc::clone(&pod.uid), placement);
        match self.snapshot.position(node) {
            Some(position) => self.snapshot.nodes[position].usage.add(pod),
            None => self.unknown.entry(Arc::clone(node)).or_default().add(pod),
        }
    }

    fn usage(&mut self, node: &NodeName) -> Option<&mut Usage> {
        match self.snapshot.position(node) {
            Some(position) => Some(&mut self.snapshot.nodes[position].usage),
            None => self.unknown.get_mut(node),
        }
    }
}
