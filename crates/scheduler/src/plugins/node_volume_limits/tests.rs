use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::fixtures::{node, pod};
use crate::node_info::Usage;

/// Claims a to d of volumes of driver `x`, e of another one's, f whose volume is yet to be made by `x`.
fn objects() -> VolumeObjects {
    let bound = |name: &str| json!({ "metadata": { "name": name, "namespace": "ns" }, "spec": { "volumeName": format!("v-{name}") } });
    let late = json!({ "metadata": { "name": "f", "namespace": "ns" }, "spec": { "storageClassName": "late" } });
    let volume = |name: &str, driver: &str| {
        json!({ "metadata": { "name": format!("v-{name}") },
                "spec": { "csi": { "driver": driver, "volumeHandle": format!("h-{name}") } } })
    };
    let claims = ["a", "b", "c", "d", "e"].map(bound).into_iter().chain([late]);
    let volumes = ["a", "b", "c", "d"].map(|name| volume(name, "x")).into_iter().chain([volume("e", "y")]);
    let class = json!({ "metadata": { "name": "late" }, "provisioner": "x" });
    VolumeObjects {
        claims: Lister::of_objects(claims.map(|claim| serde_json::from_value(claim).unwrap())),
        volumes: Lister::of_objects(volumes.map(|volume| serde_json::from_value(volume).unwrap())),
        classes: Lister::of_objects([serde_json::from_value(class).unwrap()]),
        ..VolumeObjects::default()
    }
}

fn with_claims(name: &str, claims: &[&str]) -> Arc<PodInfo> {
    let volume = |claim: &&str| json!({ "name": claim, "persistentVolumeClaim": { "claimName": claim } });
    let volumes: Vec<Value> = claims.iter().map(volume).collect();
    pod(name, json!({ "containers": [], "volumes": volumes }))
}

/// Whether a node that attaches so many volumes of driver `x`, with a Pod that has these, takes one with those.
fn check(limit: Option<i32>, attached: &[&str], wanted: &[&str], expected: bool) {
    let driver = json!({ "name": "x", "nodeID": "n", "allocatable": limit.map(|count| json!({ "count": count })) });
    let csi_node = json!({ "metadata": { "name": "n" }, "spec": { "drivers": [driver] } });
    let csi_nodes = Lister::of_objects([serde_json::from_value(csi_node).unwrap()]);
    let plugin = NodeVolumeLimits { objects: objects(), csi_nodes };
    let mut node = NodeInfo { facts: node("n", json!({})), usage: Usage::default() };
    node.usage.add(with_claims("there", attached));
    let (pod, mut state) = (with_claims("new", wanted), CycleState::default());
    let passes = match plugin.pre_filter(&mut state, &pod, &Snapshot::default()).unwrap() {
        PreFilter::Skip => true,
        _ => plugin.filter(&state, &pod, &node).is_ok(),
    };
    assert_eq!(passes, expected, "limit {limit:?}, attached {attached:?}, wanted {wanted:?}");
}

#[test]
fn a_node_attaches_as_many_volumes_of_a_driver_as_it_says() {
    check(Some(2), &["a"], &["b"], true);
    check(Some(2), &["a", "b"], &["c"], false);
    check(Some(2), &["a"], &["b", "c"], false);
    check(None, &["a", "b"], &["c", "d"], true);
    check(Some(2), &["a", "b"], &[], true);
}

#[test]
fn only_new_volumes_of_the_same_driver_count() {
    check(Some(2), &["a", "b"], &["b"], true);
    check(Some(2), &["a", "e"], &["b"], true);
    check(Some(1), &["a"], &["e"], true);
    // What is yet to be made will be attached, too.
    check(Some(2), &["a", "b"], &["f"], false);
    check(Some(2), &["a", "f"], &["b"], false);
}
