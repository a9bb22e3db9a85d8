//! What Pods ask for must fit what the node allows; nodes rank by how much of it would be used.

mod shortage;
mod strategy;

use std::borrow::Cow;

use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, Rejection, Score, Way};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

pub use strategy::{ResourceWeight, ScoringStrategy, Shape, StrategyType};

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct NodeResourcesFit {
    /// Extended resources that somebody else looks after, by full name or by the part before the slash.
    pub ignored_resources: Vec<String>,
    /// The same, by the part before the slash.
    pub ignored_resource_groups: Vec<String>,
    /// How nodes rank.
    pub strategy: ScoringStrategy,
}

impl Filter for NodeResourcesFit {
    fn name(&self) -> PluginName {
        PluginName::NodeResourcesFit
    }

    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let mut shortage = Shortage(None);
        let pods = i64::try_from(node.usage.pods.len()).unwrap_or(i64::MAX);
        if pods >= node.facts.allowed_pods {
            shortage.add("Too many pods".into(), true);
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
        for (name, wanted) in wanted.extended.iter().filter(|(name, _)| !self.ignores(name)) {
            let (used, allowed) = (used.extended_amount(name), allowed.extended_amount(name));
            shortage.check(*wanted, used, allowed, || format!("Insufficient {name}").into());
        }
        shortage.0.map_or(Ok(()), Err)
    }

    fn way(&self, pod: &PodInfo, node: &NodeInfo) -> Option<Way> {
        Some(self.shortages(pod, node))
    }
}

impl NodeResourcesFit {
    fn ignores(&self, resource: &str) -> bool {
        let group = resource.split_once('/').map(|(group, _)| group);
        self.ignored_resources.iter().any(|ignored| ignored == resource)
            || group.is_some_and(|group| self.ignored_resource_groups.iter().any(|ignored| ignored == group))
    }
}

/// Everything that is short, not just the first.
struct Shortage(Option<Rejection>);

impl Shortage {
    fn check(&mut self, wanted: i64, used: i64, allowed: i64, reason: impl FnOnce() -> Cow<'static, str>) {
        if wanted > 0 && wanted > allowed.saturating_sub(used) {
            // Even an empty node would be too small.
            self.add(reason(), wanted <= allowed);
        }
    }

    fn add(&mut self, reason: Cow<'static, str>, curable: bool) {
        match &mut self.0 {
            None => self.0 = Some(Rejection { curable, ..Rejection::incurable(PluginName::NodeResourcesFit, reason) }),
            Some(rejection) => {
                rejection.more.push(reason);
                rejection.curable &= curable;
            }
        }
    }
}

impl Score for NodeResourcesFit {
    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        self.strategy.score(pod, node)
    }
}
