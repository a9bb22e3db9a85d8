//! What the last attempt to give a Pod a node found, node by node, kept for whoever asks why the Pod waits.
//!
//! Bounded twice: so many nodes per Pod, and so many in all; the Pods whose last attempt is longest ago are forgotten
//! first. A Pod that is gone is still remembered, one that got its node is not.

mod nearest;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use client::ObjectKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cycle_state::CycleState;
use crate::framework::{Remedy, Way};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::profile::{FilterSlot, Profile};
use crate::snapshot::Snapshot;

/// Nodes that are told of, per Pod.
const NODES_PER_POD: usize = 200;
/// Nodes that are told of in all, each Pod counting as one more.
const NODES_LIMIT: usize = 20_000;
/// How far away a node is where nothing is known to help.
const NO_WAY: i64 = 10_000;

/// An attempt that found no node.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// The Pod's.
    pub uid: String,
    /// When it was made.
    pub at: Timestamp,
    /// What the Pod's condition says.
    pub message: String,
    /// The node that nearly took the Pod, and what is missing there, in one sentence.
    pub nearest: Option<String>,
    /// What each node said, the nearest miss first.
    pub nodes: Vec<NodeVerdict>,
    /// How many nodes there are besides.
    pub omitted: usize,
}

/// What one node said: all that is in the way, not just the first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeVerdict {
    /// The node.
    pub node: String,
    /// What is in the way.
    pub obstacles: Vec<Obstacle>,
}

/// One plugin's rejection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Obstacle {
    /// Who rejects.
    pub plugin: Cow<'static, str>,
    /// Why, in upstream's words.
    pub reason: String,
    /// What would help.
    pub remedies: Vec<Remedy>,
    /// The smaller the nearer.
    #[serde(skip)]
    distance: i64,
}

impl Attempt {
    /// Asks every plugin of every node (up to a limit) once more, after an attempt that no node passed. Pure.
    pub fn explain(profile: &Profile, state: &CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Self {
        let looked_at = snapshot.nodes().iter().take(NODES_PER_POD);
        let verdicts = looked_at.map(|node| NodeVerdict::of(profile, state, pod, node));
        let mut nodes: Vec<NodeVerdict> = verdicts.collect();
        nodes.sort_by_cached_key(|verdict| (verdict.distance(), verdict.node.clone()));
        let omitted = snapshot.nodes().len() - nodes.len();
        Self { nearest: nodes.first().and_then(NodeVerdict::sentence), nodes, omitted, ..Self::nowhere(pod) }
    }

    /// An attempt that found Pods to go in its favour.
    pub fn makes_room(pod: &PodInfo, node: &str) -> Self {
        Self { nearest: Some(format!("room is being made on {node}")), ..Self::nowhere(pod) }
    }

    /// An attempt in which no node was asked at all.
    pub fn nowhere(pod: &PodInfo) -> Self {
        let uid = pod.uid.to_string();
        Self { uid, at: Timestamp::UNIX_EPOCH, message: String::new(), nearest: None, nodes: Vec::new(), omitted: 0 }
    }

    fn size(&self) -> usize {
        self.nodes.len() + 1
    }
}

impl NodeVerdict {
    fn of(profile: &Profile, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Self {
        let judges = profile.filters.iter().filter(|slot| state.judges(slot.name));
        let obstacles = judges.filter_map(|FilterSlot { name, plugin, .. }| {
            let rejection = plugin.filter(state, pod, node).err()?;
            let way = plugin.way(pod, node).unwrap_or(Way { remedies: Vec::new(), distance: NO_WAY });
            let Way { remedies, distance } = way;
            let plugin = name.as_str().into();
            Some(Obstacle { plugin, reason: rejection.message(), remedies, distance })
        });
        Self { node: node.facts.name.to_string(), obstacles: obstacles.collect() }
    }
}

/// What is remembered of all Pods. Cheap to clone, shared with whoever is asked.
#[derive(Debug, Clone, Default)]
pub struct Verdicts(Arc<Mutex<Kept>>);

#[derive(Debug, Default)]
struct Kept {
    attempts: HashMap<ObjectKey, (u64, Attempt)>,
    /// Which attempt was made when, the oldest first; those that another followed have no effect.
    order: VecDeque<(u64, ObjectKey)>,
    sequence: u64,
    nodes: usize,
}

impl Verdicts {
    /// The last attempt for a Pod of this name, if it is remembered.
    pub fn of(&self, namespace: &str, name: &str) -> Option<Attempt> {
        let key = ObjectKey::new(namespace, name);
        self.kept().attempts.get(&key).map(|(_, attempt)| attempt.clone())
    }

    pub(crate) fn keep(&self, key: &ObjectKey, attempt: Attempt) {
        let mut kept = self.kept();
        kept.forget(key);
        kept.sequence += 1;
        kept.nodes += attempt.size();
        let sequence = kept.sequence;
        kept.order.push_back((sequence, key.clone()));
        kept.attempts.insert(key.clone(), (sequence, attempt));
        kept.shrink();
    }

    pub(crate) fn forget(&self, key: &ObjectKey) {
        self.kept().forget(key);
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Kept> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget(&mut self, key: &ObjectKey) {
        if let Some((_, attempt)) = self.attempts.remove(key) {
            self.nodes -= attempt.size();
        }
    }

    fn shrink(&mut self) {
        // What another attempt followed is dropped as well once there is much of it.
        while self.nodes > NODES_LIMIT || self.order.len() > NODES_LIMIT {
            let Some((sequence, key)) = self.order.pop_front() else { return };
            if self.attempts.get(&key).is_some_and(|(latest, _)| *latest == sequence) {
                self.forget(&key);
            }
        }
    }
}
