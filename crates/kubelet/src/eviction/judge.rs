//! What the node is short of, given what is seen of it and for how long. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

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
    /// When a grace period or a condition's time is over, if nothing changes.
    pub changes_after: Option<Duration>,
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
        memory.last_true.insert(threshold.signal.condition(), now);
    }
    let left = |since: Timestamp, period: Duration| period.saturating_sub(now.duration_since(since).unsigned_abs());
    let lasts = |at: Timestamp| left(at, config.pressure_transition_period);
    memory.last_true.retain(|_, at| *at == now || !lasts(*at).is_zero());
    let grace = |(threshold, since): &(Threshold, Timestamp)| left(*since, threshold.grace_period);
    let over = memory.crossed_since.iter().filter(|one| grace(one).is_zero());
    let mut met: Vec<Threshold> = over.map(|one| one.0).collect();
    // Memory first: nothing else kills as suddenly.
    met.sort_by_key(|threshold| !threshold.signal.is_of_memory());
    memory.met.clone_from(&met);
    let conditions_end = memory.last_true.values().map(|at| lasts(*at));
    let changes = memory.crossed_since.iter().map(grace).chain(conditions_end);
    let changes_after = changes.filter(|period| !period.is_zero()).min();
    Judgement { pressure: memory.last_true.keys().copied().collect(), met, changes_after }
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
