//! A Pod and the nodes in, a node or the reasons out. Pure: no clock, no I/O; randomness is passed in.

#[cfg(test)]
mod tests;
mod unfit;

use std::sync::Arc;

use crate::node_info::NodeInfo;
use crate::plugins::{self, SCORES};
use crate::pod_info::{NodeName, PodInfo};
use crate::volume_binding::VolumeNeeds;

pub use unfit::Unfit;

/// Where a Pod goes.
#[derive(Debug, PartialEq, Eq)]
pub enum Decision {
    /// To this node.
    Node(NodeName),
    /// Nowhere, there is no node at all.
    NoNodes,
    /// Nowhere, every node rejected it.
    Unfit(Unfit),
}

/// Decides. `volumes` is what the Pod's claims ask for, or why no node can help them. Among equally good nodes `random` picks one.
pub fn schedule_one(pod: &PodInfo, volumes: &Result<VolumeNeeds, String>, nodes: &[NodeInfo], random: u64) -> Decision {
    if nodes.is_empty() {
        return Decision::NoNodes;
    }
    let mut unfit = Unfit::new(nodes.len());
    let volumes = match volumes {
        Ok(volumes) => volumes,
        Err(message) => return Decision::Unfit(unfit.everywhere(message)),
    };
    let mut feasible = Vec::new();
    for node in nodes {
        match plugins::filter(pod, node).and_then(|()| volumes.plan(&node.facts)) {
            Ok(_) => feasible.push(node),
            Err(rejection) => unfit.add(rejection),
        }
    }
    match best(pod, &feasible, random) {
        Some(node) => Decision::Node(Arc::clone(&node.facts.name)),
        None => Decision::Unfit(unfit),
    }
}

fn best<'a>(pod: &PodInfo, feasible: &[&'a NodeInfo], random: u64) -> Option<&'a NodeInfo> {
    if let [] | [_] = feasible {
        return feasible.first().copied();
    }
    let totals = total_scores(pod, feasible);
    let largest = totals.iter().max()?;
    let best = || feasible.iter().zip(&totals).filter(|(_, total)| *total == largest);
    let count = best().count() as u64;
    let choice = usize::try_from(random % count.max(1)).unwrap_or_default();
    best().nth(choice).map(|(node, _)| *node)
}

fn total_scores(pod: &PodInfo, feasible: &[&NodeInfo]) -> Vec<i64> {
    let mut totals = vec![0; feasible.len()];
    for plugin in SCORES.iter().filter(|plugin| plugin.applies_to(pod)) {
        let mut scores: Vec<i64> = feasible.iter().map(|node| plugin.score(pod, node)).collect();
        plugin.normalize(&mut scores);
        for (total, score) in totals.iter_mut().zip(scores) {
            *total += score * plugin.weight();
        }
    }
    totals
}
