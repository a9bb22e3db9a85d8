//! A host port can be had once per node.

use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, PreFilter, Rejection, Way};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

/// See the module.
pub struct NodePorts;

impl Filter for NodePorts {
    fn name(&self) -> PluginName {
        PluginName::NodePorts
    }

    fn pre_filter(&self, _: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> Result<PreFilter, Rejection> {
        Ok(if pod.facts.host_ports.is_empty() { PreFilter::Skip } else { PreFilter::Nodes })
    }

    fn filter(&self, _: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if !pod.facts.host_ports.iter().any(|port| node.usage.holds_port(port)) {
            return Ok(());
        }
        Err(Rejection::curable(self.name(), "node(s) didn't have free ports for the requested pod ports"))
    }

    fn way(&self, pod: &PodInfo, node: &NodeInfo) -> Option<Way> {
        let held = pod.facts.host_ports.iter().filter(|port| node.usage.holds_port(port));
        let held: Vec<String> = held.map(|port| format!("{}/{}", port.port, port.protocol)).collect();
        Some(Way::act(300, format!("free host port {} of {}", held.join(", "), node.facts.name)))
    }
}
