//! Taints keep Pods away unless they are tolerated; `PreferNoSchedule` only ranks.

use api::core::v1::taints::{PREFER_NO_SCHEDULE, find_untolerated, repels, tolerates};
use k8s_openapi::api::core::v1::Taint;

use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, Rejection, Remedy, Score, Way, normalize_by_largest};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

/// See the module.
pub struct TaintToleration;

impl Filter for TaintToleration {
    fn name(&self) -> PluginName {
        PluginName::TaintToleration
    }

    fn sees_pods(&self) -> bool {
        false
    }

    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if find_untolerated(&node.facts.taints, &pod.facts.tolerations, repels).is_none() {
            return Ok(());
        }
        Err(Rejection::incurable(self.name(), "node(s) had untolerated taint(s)"))
    }

    fn way(&self, pod: &PodInfo, node: &NodeInfo) -> Option<Way> {
        let untolerated = |taint: &&Taint| {
            let tolerations = &pod.facts.tolerations;
            repels(taint) && !tolerations.iter().any(|toleration| tolerates(toleration, taint))
        };
        let act = |Taint { key, value, effect, .. }: &Taint| {
            let value = value.as_ref().filter(|value| !value.is_empty());
            let value = value.map(|value| format!("={value}")).unwrap_or_default();
            Remedy::Do(format!("tolerate taint {key}{value}:{effect}"))
        };
        let remedies: Vec<Remedy> = node.facts.taints.iter().filter(untolerated).map(act).collect();
        Some(Way { distance: 100 * i64::try_from(remedies.len()).unwrap_or(i64::MAX / 100), remedies })
    }
}

impl Score for TaintToleration {
    /// Without such taints all nodes rank alike.
    fn pre_score(&self, _: &mut CycleState, _: &PodInfo, _: &Snapshot, nodes: &[&NodeInfo]) -> bool {
        nodes.iter().any(|node| node.facts.taints.iter().any(|taint| taint.effect == PREFER_NO_SCHEDULE))
    }

    /// The number of preferences against the node; fewer is better, which [`Score::normalize`] turns around.
    fn score(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo, _: &Snapshot) -> i64 {
        let untolerated = |taint: &&Taint| {
            taint.effect == PREFER_NO_SCHEDULE
                && !pod.facts.tolerations.iter().any(|toleration| tolerates(toleration, taint))
        };
        i64::try_from(node.facts.taints.iter().filter(untolerated).count()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, _: &CycleState, _: &[&NodeInfo], scores: &mut [i64]) {
        normalize_by_largest(scores, true);
    }
}
