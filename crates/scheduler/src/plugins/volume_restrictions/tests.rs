use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::cache::Cache;
use crate::fixtures::{cache, merge, node, pod};

/// Claim `alone` is for one Pod at a time, claim `shared` is not.
fn plugin() -> VolumeRestrictions {
    let claim = |name: &str, mode: &str| {
        let claim = json!({ "metadata": { "name": name, "namespace": "ns" }, "spec": { "accessModes": [mode] } });
        serde_json::from_value(claim).unwrap()
    };
    VolumeRestrictions {
        claims: Lister::of_objects([claim("alone", "ReadWriteOncePod"), claim("shared", "ReadWriteOnce")]),
    }
}

fn with_volumes(name: &str, volumes: &[Value]) -> Arc<PodInfo> {
    let named = |(number, volume): (usize, &Value)| {
        let mut named = json!({ "name": format!("v{number}") });
        merge(&mut named, volume.clone());
        named
    };
    let volumes: Vec<Value> = volumes.iter().enumerate().map(named).collect();
    pod(name, json!({ "containers": [], "volumes": volumes }))
}

fn claim(name: &str) -> Value {
    json!({ "persistentVolumeClaim": { "claimName": name } })
}

/// A Pod with this volume on node a; nodes a and b.
fn cluster(volume: &Value) -> Cache {
    let mut cache = cache([node("a", json!({})), node("b", json!({}))]);
    cache.assume(with_volumes("there", std::slice::from_ref(volume)), &Arc::from("a"));
    cache
}

/// The nodes that take a Pod with this volume.
fn takers(there: &Value, wanted: &Value) -> Vec<String> {
    let (plugin, cache, pod) = (plugin(), cluster(there), with_volumes("new", std::slice::from_ref(wanted)));
    let mut state = CycleState::default();
    let skips = plugin.pre_filter(&mut state, &pod, cache.snapshot()).unwrap() == PreFilter::Skip;
    let nodes = cache.snapshot().nodes().iter();
    let takes = nodes.filter(|node| skips || plugin.filter(&state, &pod, node).is_ok());
    takes.map(|node| node.facts.name.to_string()).collect()
}

#[test]
fn a_claim_for_one_pod_keeps_others_from_every_node() {
    assert_eq!(takers(&claim("alone"), &claim("alone")), [""; 0]);
    assert_eq!(takers(&claim("shared"), &claim("alone")), ["a", "b"]);
    assert_eq!(takers(&claim("shared"), &claim("shared")), ["a", "b"]);
}

#[test]
fn preemption_can_free_a_claim_for_one_pod() {
    let (plugin, cache, pod) = (plugin(), cluster(&claim("alone")), with_volumes("new", &[claim("alone")]));
    let mut state = CycleState::default();
    plugin.pre_filter(&mut state, &pod, cache.snapshot()).unwrap();
    let node = &cache.snapshot().nodes()[0];
    let rejection = plugin.filter(&state, &pod, node).unwrap_err();
    assert!(rejection.curable, "{rejection:?}");
    let there = Arc::clone(&node.usage.pods[0]);
    plugin.remove_pod(&mut state, &pod, &there, node);
    assert!(plugin.filter(&state, &pod, node).is_ok());
    plugin.add_pod(&mut state, &pod, &there, node);
    assert!(plugin.filter(&state, &pod, node).is_err());
}

#[test]
fn disks_that_cannot_be_shared_are_taken_once_per_node() {
    let gce = |name: &str, read_only: bool| json!({ "gcePersistentDisk": { "pdName": name, "readOnly": read_only } });
    let aws = |id: &str| json!({ "awsElasticBlockStore": { "volumeID": id } });
    let rbd = |monitor: &str, image: &str| json!({ "rbd": { "monitors": [monitor], "pool": "p", "image": image } });
    let cases = [
        (gce("d", false), gce("d", false), false),
        (gce("d", true), gce("d", false), false),
        (gce("d", true), gce("d", true), true),
        (gce("d", false), gce("e", false), true),
        (aws("d"), aws("d"), false),
        (aws("d"), aws("e"), true),
        (rbd("m", "i"), rbd("m", "i"), false),
        (rbd("m", "i"), rbd("n", "i"), true),
        (rbd("m", "i"), rbd("m", "j"), true),
    ];
    for (there, wanted, together) in cases {
        let expected: &[&str] = if together { &["a", "b"] } else { &["b"] };
        assert_eq!(takers(&there, &wanted), expected, "{there} {wanted}");
    }
}
