//! Nodes rank higher when CPU and memory would be used to a similar share.

use super::{MAX_SCORE, Score};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// See the module.
pub struct BalancedAllocation;

impl Score for BalancedAllocation {
    fn weight(&self) -> i64 {
        1
    }

    /// A Pod that asks for nothing shifts no balance.
    fn applies_to(&self, pod: &PodInfo) -> bool {
        let wanted = &pod.facts.requests.exact;
        wanted.cpu_milli > 0 || wanted.memory_bytes > 0
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // shares between 0 and 1
    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let (wanted, used, allowed) = (&pod.facts.requests.exact, &node.usage.requested, &node.facts.allocatable);
        let share = |requested: i64, allowed: i64| (allowed > 0).then(|| (requested as f64 / allowed as f64).min(1.0));
        let cpu = share(wanted.cpu_milli.saturating_add(used.cpu_milli), allowed.cpu_milli);
        let memory = share(wanted.memory_bytes.saturating_add(used.memory_bytes), allowed.memory_bytes);
        // The standard deviation of two values is half their distance.
        let deviation = match (cpu, memory) {
            (Some(cpu), Some(memory)) => (cpu - memory).abs() / 2.0,
            _ => 0.0,
        };
        ((1.0 - deviation) * MAX_SCORE as f64) as i64
    }
}
