//! Taints keep Pods away unless they are tolerated; `PreferNoSchedule` only ranks.

use k8s_openapi::api::core::v1::{Taint, Toleration};

use super::{Filter, Rejection, Score, normalize_by_largest};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// See the module.
pub struct TaintToleration;

impl Filter for TaintToleration {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let binding = |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
        let mut binding = node.facts.taints.iter().filter(binding);
        if binding.all(|taint| tolerates(&pod.facts.tolerations, taint)) {
            return Ok(());
        }
        Err(Rejection::incurable("node(s) had untolerated taint(s)"))
    }
}

impl Score for TaintToleration {
    fn weight(&self) -> i64 {
        3
    }

    /// The number of preferences against the node; fewer is better, which [`Score::normalize`] turns around.
    fn score(&self, pod: &PodInfo, node: &NodeInfo) -> i64 {
        let untolerated =
            |taint: &&Taint| taint.effect == "PreferNoSchedule" && !tolerates(&pod.facts.tolerations, taint);
        i64::try_from(node.facts.taints.iter().filter(untolerated).count()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize_by_largest(scores, true);
    }
}

/// Whether one of the tolerations stands the taint.
pub fn tolerates(tolerations: &[Toleration], taint: &Taint) -> bool {
    tolerations.iter().any(|toleration| {
        let text = |field: &Option<String>| field.clone().unwrap_or_default();
        let (effect, key) = (text(&toleration.effect), text(&toleration.key));
        (effect.is_empty() || effect == taint.effect)
            && (key.is_empty() || key == taint.key)
            && match toleration.operator.as_deref() {
                None | Some("" | "Equal") => text(&toleration.value) == text(&taint.value),
                Some("Exists") => true,
                Some(_) => false,
            }
    })
}
