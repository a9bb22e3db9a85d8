//! Nodes rank higher when their resources would be used to similar shares.

use crate::cycle_state::CycleState;
use crate::framework::{MAX_SCORE, Score};
use crate::node_info::NodeInfo;
use crate::plugins::node_resources_fit::ResourceWeight;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

/// See the module.
#[derive(Debug, Clone)]
pub struct BalancedAllocation {
    /// The resources that are compared. Their weights do not matter.
    pub resources: Vec<ResourceWeight>,
}

impl Default for BalancedAllocation {
    fn default() -> Self {
        Self { resources: ResourceWeight::cpu_and_memory() }
    }
}

impl Score for BalancedAllocation {
    /// A Pod that asks for none of them shifts no balance.
    fn pre_score(&self, _: &mut CycleState, pod: &PodInfo, _: &Snapshot, _: &[&NodeInfo]) -> bool {
        self.resources.iter().any(|resource| pod.facts.requests.exact.amount(&resource.name) > 0)
    }

    #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)] // shares between 0 and 1
    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        let shares = || self.resources.iter().filter_map(|resource| share(&resource.name, pod, node));
        let count = shares().count().max(1) as f64;
        let mean = shares().sum::<f64>() / count;
        let deviation = (shares().map(|share| (share - mean).powi(2)).sum::<f64>() / count).sqrt();
        ((1.0 - deviation) * MAX_SCORE as f64) as i64
    }
}

/// The share of a resource that would be used; none where the node has none or the Pod wants none of an extended one.
#[allow(clippy::cast_precision_loss)] // a share
fn share(resource: &str, pod: &PodInfo, node: &NodeInfo) -> Option<f64> {
    let (wanted, allowed) = (pod.facts.requests.exact.amount(resource), node.facts.allocatable.amount(resource));
    if allowed == 0 || (wanted == 0 && resource.contains('/')) {
        return None;
    }
    let requested = wanted.saturating_add(node.usage.requested.amount(resource));
    Some((requested as f64 / allowed as f64).min(1.0))
}
