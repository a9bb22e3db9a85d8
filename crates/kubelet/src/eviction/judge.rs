//! What the node is short of, given what is seen of it and for how long. Pure.

use std::collections::BTreeMap;

use api::quantity::Quantity;
use jiff::Timestamp;

use super::{EvictionConfig, Signal, Threshold};

#[cfg(test)]
mod tests;

/// What is seen of one signal.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    /// What is left.
    pub available: Quantity,
    /// Of how much.
    pub capacity: Quantity,
}

/// What is seen of the node.
pub type Observations = BTreeMap<Signal, Observation>;

/// What is remembered between looks.
#[derive(Debug, Default, Clone)]
pub struct Memory {
    /// Since when thresholds are crossed.
    crossed_since: Vec<(Threshold, Timestamp)>,
    /// Thresholds whose grace period was over, until as much is free as has to be reclaimed.
    met: Vec<Threshold>,
    /// When conditions were last true.
    last_true: BTreeMap<&'static str, Timestamp>,
}

/// What follows from a look.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Judgement {
    /// Node conditions that are true.
    pub pressure: Vec<&'static str>,
    /// Thresholds for which Pods have to make way, the one to begin with first.
    pub met: Vec<Threshold>,
}

/// The Node condition that says that a threshold is crossed.
fn condition(signal: Signal) -> &'static str {
    match signal {
        Signal::MemoryAvailable => "MemoryPressure",
        Signal::PidAvailable => "PIDPressure",
        Signal::NodefsAvailable | Signal::NodefsInodesFree | Signal::ImagefsAvailable | Signal::ImagefsInodesFree => {
            "DiskPressure"
        }
    }
}

/// Judges.
pub fn judge(config: &EvictionConfig, memory: &mut Memory, seen: &Observations, now: Timestamp) -> Judgement {
    let mut crossed: Vec<Threshold> =
        config.thresholds.iter().copied().filter(|threshold| is_crossed(threshold, seen, false)).collect();
    for threshold in memory.met.drain(..) {
        if is_crossed(&threshold, seen, true) && !crossed.contains(&threshold) {
            crossed.push(threshold);
        }
    }
    let since = |threshold: &Threshold| {
        memory.crossed_since.iter().find(|(known, _)| known == threshold).map_or(now, |(_, since)| *since)
    };
    memory.crossed_since = crossed.iter().map(|threshold| (*threshold, since(threshold))).collect();
    for threshold in &crossed {
        memory.last_true.insert(condition(threshold.signal), now);
    }
    let lasts = |at: &Timestamp| now.duration_since(*at).unsigned_abs() < config.pressure_transition_period;
    memory.last_true.retain(|_, at| *at == now || lasts(at));
    let over = |(threshold, since): &(Threshold, Timestamp)| {
        now.duration_since(*since).unsigned_abs() >= threshold.grace_period
    };
    let mut met: Vec<Threshold> = memory.crossed_since.iter().filter(|one| over(one)).map(|one| one.0).collect();
    // Memory first: nothing else kills as suddenly.
    met.sort_by_key(|threshold| threshold.signal != Signal::MemoryAvailable);
    memory.met.clone_from(&met);
    Judgement { pressure: memory.last_true.keys().copied().collect(), met }
}

/// Whether a threshold is still crossed, or not as much is free yet as has to be reclaimed.
pub fn is_met(threshold: &Threshold, seen: &Observations) -> bool {
    is_crossed(threshold, seen, true)
}

fn is_crossed(threshold: &Threshold, seen: &Observations, reclaiming: bool) -> bool {
    let Some(observation) = seen.get(&threshold.signal) else { return false };
    let mut wanted = threshold.value.of(observation.capacity);
    if let (true, Some(more)) = (reclaiming, threshold.min_reclaim) {
        wanted += more.of(observation.capacity);
    }
    observation.available < wanted
}
