//! Pods say where their node stands: they get its zone and region as labels when they get the node.

use api::Object;
use api::k8s_openapi::api::core::v1::{Node, Pod};
use api::labels::Labels;
use async_trait::async_trait;

use super::{Attributes, Operation, Plugin};
use crate::error::Error;

/// The labels that are copied.
const TOPOLOGY: [&str; 2] = ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"];

/// The plugin.
pub struct PodTopologyLabels;

#[async_trait]
impl Plugin for PodTopologyLabels {
    async fn admit(&self, attributes: &Attributes<'_>, object: &mut dyn Object) -> Result<(), Error> {
        let gets_node = match attributes.operation {
            Operation::Create => attributes.is("pods", ""),
            Operation::Update => attributes.is("pods", "binding"),
            Operation::Delete => false,
        };
        let Some(pod) = object.as_any_mut().downcast_mut::<Pod>().filter(|_| gets_node) else { return Ok(()) };
        let node = pod.spec.as_ref().and_then(|spec| spec.node_name.clone()).filter(|node| !node.is_empty());
        let Some(node) = node else { return Ok(()) };
        // A node nobody knows yet stands nowhere.
        let node = attributes.server.typed::<Node>("nodes", "", &node).await?;
        if let Some(labels) = node.and_then(|node| node.metadata.labels) {
            copy(&labels, &mut pod.metadata.labels);
        }
        Ok(())
    }
}

fn copy(node: &Labels, pod: &mut Option<Labels>) {
    for (name, value) in TOPOLOGY.iter().filter_map(|name| node.get_key_value(*name)) {
        pod.get_or_insert_default().insert(name.clone(), value.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn zone_and_region_are_copied_and_nothing_else() {
        let node = labels(&[("topology.kubernetes.io/zone", "z"), ("topology.kubernetes.io/region", "r"), ("a", "b")]);
        let mut pod = Some(labels(&[("app", "x"), ("topology.kubernetes.io/zone", "elsewhere")]));
        copy(&node, &mut pod);
        let wanted =
            labels(&[("app", "x"), ("topology.kubernetes.io/zone", "z"), ("topology.kubernetes.io/region", "r")]);
        assert_eq!(pod, Some(wanted));
        let mut pod = None;
        copy(&labels(&[("a", "b")]), &mut pod);
        assert_eq!(pod, None);
    }
}
