//! Pods and nodes for tests, from short JSON.

use std::sync::Arc;

use serde_json::{Value, json};

use crate::cache::Cache;
use crate::node_info::NodeFacts;
use crate::objects::Objects;
use crate::pod_info::PodInfo;
use crate::profile::{Profile, ProfileConfig};
use crate::schedule_one::{Decision, Turn, schedule_one};

/// A Pod named and identified by `name`, with this spec.
pub fn pod(name: &str, spec: Value) -> Arc<PodInfo> {
    let metadata = json!({ "name": name, "namespace": "ns", "uid": name, "resourceVersion": "1" });
    let pod = serde_json::from_value(json!({ "metadata": metadata, "spec": spec }));
    Arc::new(PodInfo::of(pod.expect("a Pod")))
}

/// The same with labels, and whatever else the object says.
pub fn pod_of(name: &str, labels: Value, changes: Value) -> Arc<PodInfo> {
    let metadata = json!({ "name": name, "namespace": "ns", "uid": name, "resourceVersion": "1", "labels": labels });
    let mut pod = json!({ "metadata": metadata, "spec": { "containers": [{ "name": "c" }] } });
    merge(&mut pod, changes);
    Arc::new(PodInfo::of(serde_json::from_value(pod).expect("a Pod")))
}

/// The standard profile, with nothing but Pods and nodes to look at.
pub fn profile() -> Profile {
    Profile::of(&ProfileConfig::default(), &Objects::none())
}

/// The node chosen for a Pod, or the reasons against all.
pub fn decide(pod: &PodInfo, cache: &Cache) -> Result<String, String> {
    match schedule_one(&profile(), pod, cache.snapshot(), Turn::default()).0 {
        Decision::Node { node, .. } => Ok(node.to_string()),
        Decision::NoNodes => Err("no nodes".to_owned()),
        Decision::Unfit { unfit, .. } => Err(unfit.message(None)),
    }
}

/// The spec of a Pod with one container that asks for these resources.
pub fn asking(requests: Value) -> Value {
    json!({ "containers": [{ "name": "c", "resources": { "requests": requests } }] })
}

/// A node with 4 CPUs, 8 GiB and room for 10 Pods; `changes` are merged into the object.
pub fn node(name: &str, changes: Value) -> Arc<NodeFacts> {
    let mut node = json!({
        "metadata": { "name": name },
        "status": { "allocatable": { "cpu": "4", "memory": "8Gi", "ephemeral-storage": "10Gi", "pods": "10" } }
    });
    merge(&mut node, changes);
    Arc::new(NodeFacts::of(serde_json::from_value(node).expect("a node")))
}

/// A cache of these nodes.
pub fn cache(nodes: impl IntoIterator<Item = Arc<NodeFacts>>) -> Cache {
    let mut cache = Cache::default();
    for node in nodes {
        cache.set_node(node);
    }
    cache
}

/// Merges `changes` into `target`.
pub fn merge(target: &mut Value, changes: Value) {
    match (target, changes) {
        (Value::Object(target), Value::Object(changes)) => {
            for (key, change) in changes {
                merge(target.entry(key).or_insert(Value::Null), change);
            }
        }
        (target, change) => *target = change,
    }
}
