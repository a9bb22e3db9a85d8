//! A kubelet's identity writes its own Node, its own Lease, and the Pods bound to it.

use api::Object;
use api::core::v1::pod::{MIRROR_ANNOTATION, api_reference};
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
        if attributes.operation == Operation::Create && attributes.is("pods", "") {
            return check_mirror(attributes, node, object).await;
        }
        refusal(attributes, node, object).map_or(Ok(()), |reason| Err(attributes.forbidden(object, reason)))
    }
}

/// A node creates Pods only to mirror its static ones: its own, owned by its Node, and in need of nothing else.
async fn check_mirror(attributes: &Attributes<'_>, node: &str, object: &dyn Object) -> Result<(), Error> {
    let Some(pod) = object.as_any().downcast_ref::<Pod>() else { return Ok(()) };
    if let Some(reason) = mirror_refusal(pod, node) {
        return Err(attributes.forbidden(object, reason));
    }
    let found = attributes.server.typed::<Node>("nodes", "", node).await?;
    let uid = found.and_then(|node| node.metadata.uid).ok_or_else(|| {
        let reason = format!("error looking up node {node} to verify uid: node {node:?} not found");
        attributes.forbidden(object, reason)
    })?;
    let named = pod.metadata.owner_references.iter().flatten().next().map(|owner| owner.uid.as_str());
    if named != Some(uid.as_str()) {
        let named = named.unwrap_or_default();
        return Err(attributes.forbidden(object, format!("node {node} UID mismatch: expected {named} got {uid}")));
    }
    Ok(())
}

/// Why a Pod is no mirror that this node may create, as far as the Pod itself tells.
fn mirror_refusal(pod: &Pod, node: &str) -> Option<String> {
    if !is_mirror(pod) {
        return Some(format!(
            "pod does not have {MIRROR_ANNOTATION:?} annotation, node {node:?} can only create mirror pods"
        ));
    }
    if pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) != Some(node) {
        return Some(format!("node {node:?} can only create pods with spec.nodeName set to itself"));
    }
    let only = |what: &str| Some(format!("node {node:?} can only create pods with {what} set to itself"));
    let owner = match pod.metadata.owner_references.as_deref().unwrap_or_default() {
        [owner] => owner,
        [] => return only("an owner reference"),
        _ => return only("a single owner reference"),
    };
    if owner.api_version != "v1" || owner.kind != "Node" || owner.name != node {
        return only("an owner reference");
    }
    if owner.controller != Some(true) {
        return only("a controller owner reference");
    }
    if owner.block_owner_deletion == Some(true) {
        return Some(format!("node {node:?} must not set blockOwnerDeletion on an owner reference"));
    }
    api_reference(pod).map(|resource| format!("node {node:?} can not create pods that reference {resource:?}"))
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_mirrors_of_their_own_may_be_created_by_nodes() {
        let check = |change: &dyn Fn(&mut serde_json::Value), expected: Option<&str>| {
            let mut pod = json!({
                "metadata": {
                    "name": "web-n1",
                    "annotations": { (MIRROR_ANNOTATION): "1" },
                    "ownerReferences":
                        [{ "apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "u", "controller": true }],
                },
                "spec": { "nodeName": "n1", "containers": [{ "name": "c" }] },
            });
            change(&mut pod);
            let pod: Pod = serde_json::from_value(pod).unwrap();
            assert_eq!(mirror_refusal(&pod, "n1").as_deref(), expected);
        };
        check(&|_| {}, None);
        check(
            &|pod| pod["metadata"]["annotations"] = json!({}),
            Some(
                "pod does not have \"kubernetes.io/config.mirror\" annotation, node \"n1\" can only create mirror pods",
            ),
        );
        check(
            &|pod| pod["spec"]["nodeName"] = json!("n2"),
            Some("node \"n1\" can only create pods with spec.nodeName set to itself"),
        );
        let owned = "node \"n1\" can only create pods with an owner reference set to itself";
        check(&|pod| pod["metadata"]["ownerReferences"] = json!([]), Some(owned));
        check(&|pod| pod["metadata"]["ownerReferences"][0]["kind"] = json!("Pod"), Some(owned));
        check(
            &|pod| pod["metadata"]["ownerReferences"][0]["controller"] = json!(false),
            Some("node \"n1\" can only create pods with a controller owner reference set to itself"),
        );
        check(
            &|pod| pod["metadata"]["ownerReferences"][0]["blockOwnerDeletion"] = json!(true),
            Some("node \"n1\" must not set blockOwnerDeletion on an owner reference"),
        );
        check(
            &|pod| pod["spec"]["serviceAccountName"] = json!("x"),
            Some("node \"n1\" can not create pods that reference \"serviceaccounts\""),
        );
    }
}
