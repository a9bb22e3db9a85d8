//! A host port can be had once per node.

use std::borrow::Cow;

use super::{Filter, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// See the module.
pub struct NodePorts;

impl Filter for NodePorts {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if !pod.facts.host_ports.iter().any(|port| node.usage.holds_port(port)) {
            return Ok(());
        }
        let reason = Cow::Borrowed("node(s) didn't have free ports for the requested pod ports");
        Err(Rejection { reasons: vec![reason], curable: true })
    }
}
