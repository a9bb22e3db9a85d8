//! What Pods ask for must fit what the node allows; emptier nodes rank higher.

use std::borrow::Cow;

use super::{Filter, MAX_SCORE, Rejection, Score};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// See the module.
pub struct NodeResourcesFit;

impl Filter for NodeResourcesFit {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let mut shortage = Shortage { reasons: Vec::new(), curable: true };
        let pods = i64::try_from(node.usage.pods.len()).unwrap_or(i64::MAX);
        if pods >= node.facts.allowed_pods {
            shortage.reasons.push(Cow::Borrowed("Too many pods"));
        }
        let (wanted, used, allowed) = (&pod.facts.requests.exact, &node.usage.requested, &node.facts.allocatable);
        shortage.check(wanted.cpu_milli, used.cpu_milli, allowed.cpu_milli, || "Insufficient cpu".into());
        shortage.check(wanted.memory_bytes, used.memory_bytes, allowed.memory_bytes, || "Insufficient memory".into());
        shortage.check(
            wanted.ephemeral_storage_bytes,
            used.ephemeral_storage_bytes,
            allowed.ephemeral_storage_bytes,
            || "Insufficient ephemeral-storage".into(),
        );
        for (name, wanted) in &wanted.extended {
            let (used, allowed) = (used.extended_amount(name), allowed.extended_amount(name));
            shortage.check(*wanted, used, allowed, || format!("Insufficient {name}").into());
        }
        shortage.verdict()
    }
}

/// Everything that is short, not just the first.
struct Shortage {
    reasons: Vec<Cow<'static, str>>,
    curable: bool,
}

impl Shortage {
    fn check(&mut self, wanted: i64, used: i64, allowed: i64, reason: impl FnOnce() -> Cow<'static, str>) {
        if wanted > 0 && wanted > allowed.saturating_sub(used) {
            self.reasons.push(reason());
            // Even an empty node would be too small.
            self.curable &= wanted <= allowed;
        }
    }

    fn verdict(self) -> Result<(), Rejection> {
        if self.reasons.is_empty() {
            return Ok(());
        }
        Err(Rejection { reasons: self.reasons, curable: self.curable })
    }
}

impl Score for NodeResourcesFit {
    fn weight(&self) -> i64 {
        1
    }

    /// The mean share of CPU and memory left free.
    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let (wanted, used, allowed) = (&pod.facts.requests.assumed, &node.usage.assumed, &node.facts.allocatable);
        let shares = [
            free_share(wanted.cpu_milli.saturating_add(used.cpu_milli), allowed.cpu_milli),
            free_share(wanted.memory_bytes.saturating_add(used.memory_bytes), allowed.memory_bytes),
        ];
        let counted = shares.iter().flatten().count();
        if counted == 0 { 0 } else { shares.iter().flatten().sum::<i64>() / counted as i64 }
    }
}

/// None for a resource the node does not have.
fn free_share(requested: i64, allowed: i64) -> Option<i64> {
    (allowed > 0).then(|| {
        let free = i128::from((allowed - requested).max(0));
        i64::try_from(free * i128::from(MAX_SCORE) / i128::from(allowed)).unwrap_or(MAX_SCORE)
    })
}
