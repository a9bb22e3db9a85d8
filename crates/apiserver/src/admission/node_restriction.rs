//! A kubelet's identity writes its own Node, its own Lease, and the Pods bound to it.

use api::Object;
use api::core::v1::pod::MIRROR_ANNOTATION;
use api::k8s_openapi::api::core::v1::{Node, Pod};
use async_trait::async_trait;

use super::service_account::is_mirror;
use super::{Attributes, Operation, Plugin};
use crate::error::Error;

const HEARTBEATS: &str = "kube-node-lease";

/// The plugin.
pub struct NodeRestriction;

#[async_trait]
impl Plugin for NodeRestriction {
    async fn validate(&self, attributes: &Attributes<'_>, object: &dyn Object) -> Result<(), Error> {
        let Some(node) = attributes.user.node_name() else { return Ok(()) };
        refusal(attributes, node, object).map_or(Ok(()), |reason| Err(attributes.forbidden(object, reason)))
    }
}

/// Why a node may not do this.
fn refusal(attributes: &Attributes<'_>, node: &str, object: &dyn Object) -> Option<String> {
    let resource = (attributes.resource.gvk().group, attributes.resource.info.plural);
    match (resource, attributes.subresource) {
        (("", "pods"), subresource) => pod_refusal(attributes, subresource, node, object),
        (("", "nodes"), _) => node_refusal(attributes, node, object),
        (("coordination.k8s.io", "leases"), _) => {
            let own = attributes.namespace == HEARTBEATS && name_of(object) == node;
            let text = "can only access node lease with the same name as the requesting node";
            (!own).then(|| text.to_owned())
        }
        _ => None,
    }
}

fn pod_refusal(attributes: &Attributes<'_>, subresource: &str, node: &str, object: &dyn Object) -> Option<String> {
    let pod = |object: &dyn Object| object.as_any().downcast_ref::<Pod>().cloned();
    let pod = pod(attributes.old.unwrap_or(object))?;
    let mine = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
    let bound_elsewhere = |verb: &str| {
        (!mine).then(|| format!("node {node:?} can only {verb} for pods with spec.nodeName set to itself"))
    };
    match (attributes.operation, subresource) {
        (Operation::Create, "") if !is_mirror(&pod) => Some(format!(
            "pod does not have {MIRROR_ANNOTATION:?} annotation, node {node:?} can only create mirror pods"
        )),
        (Operation::Create, "") => {
            (!mine).then(|| format!("node {node:?} can only create pods with spec.nodeName set to itself"))
        }
        (Operation::Delete, "") => {
            (!mine).then(|| format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
        }
        (_, "status") => bound_elsewhere("update pod status"),
        (_, "eviction") => bound_elsewhere("evict pods"),
        _ => Some(format!("unexpected operation on pods by node {node:?}")),
    }
}

fn node_refusal(attributes: &Attributes<'_>, node: &str, object: &dyn Object) -> Option<String> {
    if name_of(object) != node {
        return Some(format!("node {node:?} is not allowed to modify node {:?}", name_of(object)));
    }
    let taints = |object: &dyn Object| {
        let node = object.as_any().downcast_ref::<Node>()?;
        node.spec.as_ref()?.taints.clone()
    };
    let changes = attributes.operation == Operation::Update
        && attributes.old.is_some_and(|old| taints(old).unwrap_or_default() != taints(object).unwrap_or_default());
    changes.then(|| format!("node {node:?} is not allowed to modify taints"))
}

fn name_of(object: &dyn Object) -> &str {
    object.metadata().name.as_deref().unwrap_or_default()
}
