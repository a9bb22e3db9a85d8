//! A Pod that names its node goes nowhere else.

use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, PreFilter, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

/// See the module.
pub struct NodeName;

impl Filter for NodeName {
    fn name(&self) -> PluginName {
        PluginName::NodeName
    }

    fn sees_pods(&self) -> bool {
        false
    }

    fn pre_filter(&self, _: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> Result<PreFilter, Rejection> {
        Ok(if pod.facts.node_name.is_none() { PreFilter::Skip } else { PreFilter::Nodes })
    }

    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if pod.facts.node_name.as_ref().is_none_or(|name| *name == node.facts.name) {
            return Ok(());
        }
        Err(Rejection::incurable(self.name(), "node(s) didn't match the requested node name"))
    }
}
