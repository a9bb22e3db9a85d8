//! A Pod that names its node goes nowhere else.

use super::{Filter, Rejection};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;

/// See the module.
pub struct NodeName;

impl Filter for NodeName {
    fn filter(&self, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        if pod.facts.node_name.as_ref().is_none_or(|name| *name == node.facts.name) {
            return Ok(());
        }
        Err(Rejection::incurable("node(s) didn't match the requested node name"))
    }
}
