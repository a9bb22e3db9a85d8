//! Cordoned nodes take no Pods, except those that tolerate the taint which says the same.

use api::core::v1::taints::{NO_SCHEDULE, tolerates};
use k8s_openapi::api::core::v1::Taint;

use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, Rejection, Way};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// See the module.
pub struct NodeUnschedulable;

impl Filter for NodeUnschedulable {
    fn name(&self) -> PluginName {
        PluginName::NodeUnschedulable
    }

    fn sees_pods(&self) -> bool {
        false
    }

    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if !node.facts.unschedulable {
            return Ok(());
        }
        let taint =
            Taint { key: "node.kubernetes.io/unschedulable".into(), effect: NO_SCHEDULE.into(), ..Taint::default() };
        if pod.facts.tolerations.iter().any(|toleration| tolerates(toleration, &taint)) {
            return Ok(());
        }
        Err(Rejection::incurable(self.name(), "node(s) were unschedulable"))
    }

    fn way(&self, _: &PodInfo, node: &NodeInfo) -> Option<Way> {
        Some(Way::act(100, format!("uncordon {}", node.facts.name)))
    }
}
