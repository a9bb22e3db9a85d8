//! Cordoned nodes take no Pods, except those that tolerate the taint which says the same.

use k8s_openapi::api::core::v1::Taint;

use super::taint_toleration::tolerates;
use super::{Filter, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// See the module.
pub struct NodeUnschedulable;

impl Filter for NodeUnschedulable {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if !node.facts.unschedulable {
            return Ok(());
        }
        let taint =
            Taint { key: "node.kubernetes.io/unschedulable".into(), effect: "NoSchedule".into(), ..Taint::default() };
        if tolerates(&pod.facts.tolerations, &taint) {
            return Ok(());
        }
        Err(Rejection::incurable("node(s) were unschedulable"))
    }
}
