use client::Lister;
use serde_json::{Value, json};

use super::*;
use crate::fixtures::{node, pod};
use crate::snapshot::Snapshot;

/// Whether a Pod with a volume of these labels can run on a node of those.
fn check(volume: Value, labels: Value, expected: bool) {
    let claim = json!({ "metadata": { "name": "c", "namespace": "ns" }, "spec": { "volumeName": "v" } });
    let volume_object = json!({ "metadata": { "name": "v", "labels": volume } });
    let plugin = VolumeZone {
        objects: VolumeObjects {
            claims: Lister::of_objects([serde_json::from_value(claim).unwrap()]),
            volumes: Lister::of_objects([serde_json::from_value(volume_object).unwrap()]),
            ..VolumeObjects::default()
        },
    };
    let volumes = json!([{ "name": "x", "persistentVolumeClaim": { "claimName": "c" } }]);
    let pod = pod("web", json!({ "containers": [], "volumes": volumes }));
    let node = NodeInfo { facts: node("n", json!({ "metadata": { "labels": labels } })), usage: Default::default() };
    let mut state = CycleState::default();
    let passes = match plugin.pre_filter(&mut state, &pod, &Snapshot::default()).unwrap() {
        PreFilter::Skip => true,
        _ => plugin.filter(&state, &pod, &node).is_ok(),
    };
    assert_eq!(passes, expected, "volume {volume}, node {labels}");
}

#[test]
fn a_labelled_volume_is_for_nodes_of_its_zones() {
    let (zone, older) = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone");
    let region = "topology.kubernetes.io/region";
    check(json!({}), json!({ zone: "b" }), true);
    check(json!({ zone: "a" }), json!({ zone: "a" }), true);
    check(json!({ zone: "a" }), json!({ zone: "b" }), false);
    check(json!({ zone: "a__b" }), json!({ zone: "b" }), true);
    check(json!({ zone: "a__c" }), json!({ zone: "b" }), false);
    check(json!({ older: "a" }), json!({ zone: "a" }), true);
    check(json!({ zone: "a" }), json!({ older: "a" }), true);
    check(json!({ zone: "a" }), json!({ older: "b" }), false);
    check(json!({ zone: "a", region: "r" }), json!({ zone: "a", region: "s" }), false);
    check(json!({ zone: "a" }), json!({ region: "r" }), false);
    check(json!({ zone: "a" }), json!({}), true);
}
