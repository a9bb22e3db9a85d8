//! How much more of what a node would have to have.

use api::quantity::Quantity;

use super::NodeResourcesFit;
use crate::framework::{Remedy, Way};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

impl NodeResourcesFit {
    /// Everything that is short on the node, in words. Pure.
    pub(super) fn shortages(&self, pod: &PodInfo, node: &NodeInfo) -> Way {
        let mut way = Way { remedies: Vec::new(), distance: 0 };
        if node.usage.pods.len() as i64 >= node.facts.allowed_pods {
            way.add("room for one more Pod".to_owned(), 1, node.facts.allowed_pods);
        }
        let (wanted, used, allowed) = (&pod.facts.requests.exact, &node.usage.requested, &node.facts.allocatable);
        let mut check = |wanted: i64, used: i64, allowed: i64, words: &dyn Fn(i64) -> String| {
            let short = wanted.saturating_add(used).saturating_sub(allowed);
            if wanted > 0 && short > 0 {
                way.add(words(short), short, allowed);
            }
        };
        check(wanted.cpu_milli, used.cpu_milli, allowed.cpu_milli, &|short| format!("{} more CPU", milli(short)));
        check(wanted.memory_bytes, used.memory_bytes, allowed.memory_bytes, &|short| {
            format!("{} more memory", bytes(short))
        });
        let storage = wanted.ephemeral_storage_bytes;
        check(storage, used.ephemeral_storage_bytes, allowed.ephemeral_storage_bytes, &|short| {
            format!("{} more ephemeral-storage", bytes(short))
        });
        for (name, wanted) in wanted.extended.iter().filter(|(name, _)| !self.ignores(name)) {
            let (used, allowed) = (used.extended_amount(name), allowed.extended_amount(name));
            check(*wanted, used, allowed, &|short| format!("{short} more {name}"));
        }
        way
    }
}

impl Way {
    /// One more thing that is short, by so much of so much.
    fn add(&mut self, words: String, short: i64, allowed: i64) {
        self.remedies.push(Remedy::Needs(words));
        let thousandths = i128::from(short) * 1000 / i128::from(allowed.max(1));
        let distance = i64::try_from(thousandths).unwrap_or(i64::MAX).clamp(1, 5_000);
        self.distance = self.distance.saturating_add(distance);
    }
}

/// `200m`, or `2` for whole CPUs.
fn milli(amount: i64) -> String {
    if amount % 1000 == 0 { (amount / 1000).to_string() } else { format!("{amount}m") }
}

/// In the largest unit that loses nothing; what is less than a kibibyte is rounded up.
fn bytes(amount: i64) -> String {
    let kibibytes = amount / 1024 + i64::from(amount % 1024 != 0);
    Quantity::parse(&format!("{kibibytes}Ki")).unwrap_or_default().to_string()
}
