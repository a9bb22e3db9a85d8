//! A kubelet's identity writes its own Node, its own Lease, and the Pods bound to it.

use std::collections::{BTreeMap, BTreeSet};

use api::Object;
use api::core::v1::pod::{MIRROR_ANNOTATION, api_reference};
use api::k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim, Pod};
use async_trait::async_trait;

use super::service_account::is_mirror;
use super::{Attributes, Operation, Plugin};
use crate::error::Error;

const HEARTBEATS: &str = "kube-node-lease";
/// Labels of Kubernetes that kubelets set.
const KUBELET_LABELS: [&str; 11] = [
    "beta.kubernetes.io/arch",
    "beta.kubernetes.io/instance-type",
    "beta.kubernetes.io/os",
    "failure-domain.beta.kubernetes.io/region",
    "failure-domain.beta.kubernetes.io/zone",
    "kubernetes.io/arch",
    "kubernetes.io/hostname",
    "kubernetes.io/os",
    "node.kubernetes.io/instance-type",
    "topology.kubernetes.io/region",
    "topology.kubernetes.io/zone",
];

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
        (("", "nodes"), _) => node_refusal(attributes.old, node, object),
        (("", "persistentvolumeclaims"), "status") => claim_refusal(attributes.old, node, object),
        (("", "persistentvolumeclaims"), _) => Some("may only update PVC status".to_owned()),
        (("coordination.k8s.io", "leases"), _) if attributes.namespace != HEARTBEATS => {
            Some(format!("can only access leases in the {HEARTBEATS:?} system namespace"))
        }
        (("coordination.k8s.io", "leases"), _) => (name_of(object) != node)
            .then(|| "can only access node lease with the same name as the requesting node".to_owned()),
        (("storage.k8s.io", "csinodes"), _) => (name_of(object) != node)
            .then(|| "can only access CSINode with the same name as the requesting node".to_owned()),
        _ => None,
    }
}

fn pod_refusal(attributes: &Attributes<'_>, subresource: &str, node: &str, object: &dyn Object) -> Option<String> {
    let (old, new) = (attributes.old.and_then(pod_of), pod_of(object));
    let mine = old.or(new)?.spec.as_ref().and_then(|spec| spec.node_name.as_deref()) == Some(node);
    match (attributes.operation, subresource) {
        (Operation::Delete, "") => {
            (!mine).then(|| format!("node {node:?} can only delete pods with spec.nodeName set to itself"))
        }
        (operation, "") => {
            let operation = shown(operation);
            Some(format!("unexpected operation {operation:?}, node {node:?} can only create and delete mirror pods"))
        }
        (Operation::Update, "status") if !mine => {
            Some(format!("node {node:?} can only update pod status for pods with spec.nodeName set to itself"))
        }
        (Operation::Update, "status") => pod_status_refusal(node, old?, new?),
        (operation, "status") => Some(format!("unexpected operation {:?}", shown(operation))),
        (_, "eviction") => (!mine).then(|| format!("node {node} can only evict pods with spec.nodeName set to itself")),
        (_, other) => Some(format!("unexpected pod subresource {other:?}, only 'status' and 'eviction' are allowed")),
    }
}

fn pod_of(object: &dyn Object) -> Option<&Pod> {
    object.as_any().downcast_ref()
}

/// An operation as upstream names it.
const fn shown(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "CREATE",
        Operation::Update => "UPDATE",
        Operation::Delete => "DELETE",
    }
}

/// A status says how a Pod is, not what it belongs to.
fn pod_status_refusal(node: &str, old: &Pod, new: &Pod) -> Option<String> {
    if old.metadata.labels.clone().unwrap_or_default() != new.metadata.labels.clone().unwrap_or_default() {
        return Some(format!("node {node:?} cannot update labels through pod status"));
    }
    let claims = |pod: &Pod| -> Vec<(String, Option<String>)> {
        let statuses = pod.status.iter().flat_map(|status| status.resource_claim_statuses.iter().flatten());
        statuses.map(|status| (status.name.clone(), status.resource_claim_name.clone())).collect()
    };
    (claims(old) != claims(new)).then(|| format!("node {node:?} cannot update resource claim statues"))
}

/// A node tells how far a claim has grown, and nothing else.
fn claim_refusal(old: Option<&dyn Object>, node: &str, object: &dyn Object) -> Option<String> {
    let plain = |object: &dyn Object| {
        let mut claim = object.as_any().downcast_ref::<PersistentVolumeClaim>()?.clone();
        claim.metadata.resource_version = None;
        claim.metadata.managed_fields = None;
        if let Some(status) = &mut claim.status {
            status.capacity = None;
            status.conditions = None;
            status.allocated_resources = None;
            status.allocated_resource_statuses = None;
        }
        Some(claim)
    };
    let (old, new) = (plain(old?)?, plain(object)?);
    (old != new).then(|| {
        format!("node {node:?} is not allowed to update fields other than status.capacity and status.conditions")
    })
}

fn node_refusal(old: Option<&dyn Object>, own: &str, object: &dyn Object) -> Option<String> {
    if name_of(object) != own {
        return Some(format!("node {own:?} is not allowed to modify node {:?}", name_of(object)));
    }
    let node = |object: &dyn Object| object.as_any().downcast_ref::<Node>().cloned();
    let new = node(object)?;
    let source = |node: &Node| node.spec.as_ref().and_then(|spec| spec.config_source.clone());
    let Some(old) = old.and_then(node) else {
        if source(&new).is_some() {
            return Some(format!("node {own:?} is not allowed to create pods with a non-nil configSource"));
        }
        let labels = forbidden_labels(&new, &Node::default());
        return (!labels.is_empty())
            .then(|| format!("node {own:?} is not allowed to set the following labels: {}", labels.join(", ")));
    };
    if source(&new).is_some() && source(&new) != source(&old) {
        return Some(format!("node {own:?} is not allowed to update configSource to a new non-nil configSource"));
    }
    let taints = |node: &Node| node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    if taints(&new) != taints(&old) {
        return Some(format!("node {own:?} is not allowed to modify taints"));
    }
    let labels = forbidden_labels(&new, &old);
    (!labels.is_empty()).then(|| format!("is not allowed to modify labels: {}", labels.join(", ")))
}

/// Labels that differ and are not for nodes to set: by them they would draw work to themselves.
fn forbidden_labels(new: &Node, old: &Node) -> Vec<String> {
    let (new, old) = (new.metadata.labels.as_ref(), old.metadata.labels.as_ref());
    let keys: BTreeSet<&String> = new.into_iter().chain(old).flat_map(BTreeMap::keys).collect();
    let value =
        |labels: Option<&BTreeMap<String, String>>, key: &str| labels.and_then(|labels| labels.get(key).cloned());
    let differs = |key: &str| value(new, key) != value(old, key);
    keys.into_iter().filter(|key| differs(key) && !is_for_nodes(key)).cloned().collect()
}

/// Whether kubelets may set a label: those of no namespace of Kubernetes', and a few of its own.
fn is_for_nodes(key: &str) -> bool {
    let Some((namespace, _)) = key.split_once('/') else { return true };
    let within = |domain: &str| {
        namespace == domain || namespace.strip_suffix(domain).is_some_and(|parent| parent.ends_with('.'))
    };
    if within("node-restriction.kubernetes.io") {
        return false;
    }
    let of_kubernetes = within("kubernetes.io") || within("k8s.io");
    !of_kubernetes || within("kubelet.kubernetes.io") || within("node.kubernetes.io") || KUBELET_LABELS.contains(&key)
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

    #[test]
    fn nodes_change_neither_their_taints_nor_labels_of_others() {
        let node = |labels: serde_json::Value, taints: serde_json::Value| -> Node {
            serde_json::from_value(json!({"metadata": {"name": "n1", "labels": labels}, "spec": {"taints": taints}}))
                .unwrap()
        };
        let plain = || node(json!({"kubernetes.io/hostname": "n1"}), json!([]));
        let check = |old: Option<&Node>, new: &Node, expected: Option<&str>| {
            let old = old.map(|old| old as &dyn Object);
            assert_eq!(node_refusal(old, "n1", new).as_deref(), expected);
        };
        check(None, &plain(), None);
        check(Some(&plain()), &node(json!({"kubernetes.io/hostname": "n2", "mine": "x"}), json!([])), None);
        let role = json!({"node-role.kubernetes.io/infra": "", "a.node-restriction.kubernetes.io/b": "", "x.io/y": ""});
        let keys = "a.node-restriction.kubernetes.io/b, node-role.kubernetes.io/infra";
        check(
            None,
            &node(role.clone(), json!([])),
            Some(&format!("node \"n1\" is not allowed to set the following labels: {keys}")),
        );
        let roles = node(role, json!([]));
        check(Some(&plain()), &roles, Some(&format!("is not allowed to modify labels: {keys}")));
        check(Some(&roles), &plain(), Some(&format!("is not allowed to modify labels: {keys}")));
        let tainted = node(json!({}), json!([{"key": "k", "effect": "NoSchedule"}]));
        check(Some(&plain()), &tainted, Some("node \"n1\" is not allowed to modify taints"));
        check(None, &tainted, None);
        assert!(is_for_nodes("x.node.kubernetes.io/y") && is_for_nodes("kubelet.kubernetes.io/y"));
        assert!(!is_for_nodes("k8s.io/x") && is_for_nodes("notk8s.io/x"));
        let other = node_refusal(None, "n2", &plain());
        assert_eq!(other.as_deref(), Some("node \"n2\" is not allowed to modify node \"n1\""));
    }

    #[test]
    fn nodes_tell_only_how_claims_and_pods_are() {
        let claim = |labels: serde_json::Value, status: serde_json::Value| -> PersistentVolumeClaim {
            serde_json::from_value(json!({"metadata": {"labels": labels}, "status": status})).unwrap()
        };
        let before = claim(json!({}), json!({"phase": "Bound"}));
        let grown = claim(json!({}), json!({"phase": "Bound", "capacity": {"storage": "1Gi"}}));
        assert_eq!(claim_refusal(Some(&before), "n1", &grown), None);
        let text = "node \"n1\" is not allowed to update fields other than status.capacity and status.conditions";
        for other in [claim(json!({"a": "b"}), json!({"phase": "Bound"})), claim(json!({}), json!({"phase": "Lost"}))] {
            assert_eq!(claim_refusal(Some(&before), "n1", &other).as_deref(), Some(text));
        }
        let pod = |labels: serde_json::Value| -> Pod {
            serde_json::from_value(json!({"metadata": {"labels": labels}, "spec": {"containers": []}})).unwrap()
        };
        let text = "node \"n1\" cannot update labels through pod status";
        assert_eq!(pod_status_refusal("n1", &pod(json!({})), &pod(json!({"a": "b"}))).as_deref(), Some(text));
        assert_eq!(pod_status_refusal("n1", &pod(json!({})), &pod(serde_json::Value::Null)), None);
    }
}
