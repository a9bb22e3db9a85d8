//! A Pod and the cluster in, a node or the reasons out. Pure: no clock, no I/O; randomness is passed in.

#[cfg(test)]
mod tests;
mod unfit;

use crate::cycle_state::CycleState;
use crate::node_info::NodeInfo;
use crate::pod_info::{NodeName, PodInfo};
use crate::profile::{Narrowed, Profile};
use crate::snapshot::Snapshot;

pub use unfit::Unfit;

/// Up to so many nodes are all looked at.
const MIN_FEASIBLE_NODES: usize = 100;
/// The smallest share of a large cluster's nodes that is enough.
const MIN_FEASIBLE_PERCENTAGE: usize = 5;

/// Where a Pod goes.
#[derive(Debug)]
pub enum Decision {
    /// To this node.
    Node {
        /// The node.
        node: NodeName,
        /// What the plugins know of the Pod.
        state: CycleState,
    },
    /// Nowhere, there is no node at all.
    NoNodes,
    /// Nowhere, every node rejected it.
    Unfit {
        /// Why.
        unfit: Unfit,
        /// What the plugins know of the Pod.
        state: CycleState,
    },
}

/// What varies from one decision to the next.
#[derive(Debug, Clone, Copy, Default)]
pub struct Turn {
    /// Where the search for nodes begins, so that all nodes get their share.
    pub start: usize,
    /// Picks among equally good nodes.
    pub random: u64,
}

/// Decides. Returns how many nodes were looked at, too: the next search begins behind them.
pub fn schedule_one(profile: &Profile, pod: &PodInfo, snapshot: &Snapshot, turn: Turn) -> (Decision, usize) {
    if snapshot.nodes().is_empty() {
        return (Decision::NoNodes, 0);
    }
    let mut state = CycleState::default();
    let mut unfit = Unfit::new(snapshot.nodes().len());
    let narrowed = match profile.pre_filter(&mut state, pod, snapshot) {
        Ok(narrowed) => narrowed,
        Err(rejection) => return (Decision::Unfit { unfit: unfit.everywhere(&rejection), state }, 0),
    };
    let mut search = Search { profile, pod, snapshot, state: &state, unfit: &mut unfit, feasible: Vec::new(), seen: 0 };
    if !search.nominated() {
        match &narrowed {
            None => search.all(turn.start),
            Some(narrowed) => search.named(narrowed),
        }
    }
    let (feasible, seen) = (search.feasible, search.seen);
    match best(profile, &mut state, pod, snapshot, &feasible, turn.random) {
        Some(node) => (Decision::Node { node: node.facts.name.clone(), state }, seen),
        None => (Decision::Unfit { unfit, state }, seen),
    }
}

/// The search for nodes that take the Pod.
struct Search<'a, 's> {
    profile: &'a Profile,
    pod: &'a PodInfo,
    snapshot: &'a Snapshot,
    state: &'s CycleState,
    unfit: &'s mut Unfit,
    feasible: Vec<&'a NodeInfo>,
    seen: usize,
}

impl Search<'_, '_> {
    /// Tries the node where room was made for the Pod, which spares the look at others.
    fn nominated(&mut self) -> bool {
        let node = self.pod.nominated_node.as_ref().and_then(|node| self.snapshot.node(node));
        let fits =
            |node: &&NodeInfo| self.profile.filter_beside_nominated(self.state, self.pod, node, self.snapshot).is_ok();
        let node = node.filter(fits);
        self.feasible.extend(node);
        node.is_some()
    }

    /// Looks at nodes until enough are found.
    fn all(&mut self, start: usize) {
        let count = self.snapshot.nodes().len();
        let enough = enough(count, self.profile);
        for step in 0..count {
            self.look_at((start + step) % count);
            self.seen += 1;
            if self.feasible.len() >= enough {
                break;
            }
        }
    }

    /// Looks at the only nodes in question.
    fn named(&mut self, narrowed: &Narrowed) {
        for name in &narrowed.names {
            if let Some(position) = self.snapshot.position(name) {
                self.look_at(position);
            }
        }
        self.unfit.narrowed(narrowed);
    }

    fn look_at(&mut self, position: usize) {
        let node = &self.snapshot.nodes()[position];
        match self.profile.filter_beside_nominated(self.state, self.pod, node, self.snapshot) {
            Ok(()) => self.feasible.push(node),
            Err(rejection) => self.unfit.add(position, &rejection),
        }
    }
}

/// How many feasible nodes are enough: the larger the cluster, the smaller the share.
fn enough(nodes: usize, profile: &Profile) -> usize {
    if nodes < MIN_FEASIBLE_NODES {
        return nodes;
    }
    let percentage = match profile.percentage_of_nodes_to_score {
        Some(percentage) => percentage as usize,
        None => 50_usize.saturating_sub(nodes / 125).max(MIN_FEASIBLE_PERCENTAGE),
    };
    if percentage >= 100 {
        return nodes;
    }
    (nodes * percentage / 100).max(MIN_FEASIBLE_NODES)
}

fn best<'a>(
    profile: &Profile,
    state: &mut CycleState,
    pod: &PodInfo,
    snapshot: &Snapshot,
    feasible: &[&'a NodeInfo],
    random: u64,
) -> Option<&'a NodeInfo> {
    if let [] | [_] = feasible {
        return feasible.first().copied();
    }
    let totals = total_scores(profile, state, pod, snapshot, feasible);
    let largest = totals.iter().max()?;
    let best = || feasible.iter().zip(&totals).filter(|(_, total)| *total == largest);
    let count = best().count() as u64;
    let choice = usize::try_from(random % count.max(1)).unwrap_or_default();
    best().nth(choice).map(|(node, _)| *node)
}

fn total_scores(
    profile: &Profile,
    state: &mut CycleState,
    pod: &PodInfo,
    snapshot: &Snapshot,
    feasible: &[&NodeInfo],
) -> Vec<i64> {
    let mut totals = vec![0; feasible.len()];
    let mut scores = Vec::with_capacity(feasible.len());
    for (weight, plugin) in &profile.scores {
        if !plugin.pre_score(state, pod, snapshot, feasible) {
            continue;
        }
        scores.clear();
        scores.extend(feasible.iter().map(|node| plugin.score(state, pod, node, snapshot)));
        plugin.normalize(state, feasible, &mut scores);
        for (total, score) in totals.iter_mut().zip(&scores) {
            *total += score * weight;
        }
    }
    totals
}
