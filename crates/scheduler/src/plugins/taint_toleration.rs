//! Taints keep Pods away unless they are tolerated; `PreferNoSchedule` only ranks.

use api::core::v1::taints::{PREFER_NO_SCHEDULE, find_untolerated, repels, tolerates};
use k8s_openapi::api::core::v1::Taint;

use super::{Filter, Rejection, Score, normalize_by_largest};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// See the module.
pub struct TaintToleration;

impl Filter for TaintToleration {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if find_untolerated(&node.facts.taints, &pod.facts.tolerations, repels).is_none() {
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
        let untolerated = |taint: &&Taint| {
            taint.effect == PREFER_NO_SCHEDULE
                && !pod.facts.tolerations.iter().any(|toleration| tolerates(toleration, taint))
        };
        i64::try_from(node.facts.taints.iter().filter(untolerated).count()).unwrap_or(i64::MAX)
    }

    fn normalize(&self, scores: &mut [i64]) {
        normalize_by_largest(scores, true);
    }
}
