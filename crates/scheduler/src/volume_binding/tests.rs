use api::Kind as _;
use serde_json::{Value, json};

use super::*;
use crate::fixtures;

fn claim(name: &str, changes: Value) -> PersistentVolumeClaim {
    let mut claim = json!({
        "metadata": { "name": name, "namespace": "ns" },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": "late",
                  "resources": { "requests": { "storage": "1Gi" } } }
    });
    fixtures::merge(&mut claim, changes);
    let mut claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
    claim.set_defaults();
    claim
}

fn volume(name: &str, zone: &str) -> PersistentVolume {
    let here = json!({ "key": "zone", "operator": "In", "values": [zone] });
    let volume = json!({
        "metadata": { "name": name },
        "spec": {
            "accessModes": ["ReadWriteOnce"], "storageClassName": "late", "capacity": { "storage": "1Gi" },
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [here] }] } },
        },
        "status": { "phase": "Available" }
    });
    let mut volume: PersistentVolume = serde_json::from_value(volume).unwrap();
    volume.set_defaults();
    volume
}

fn class(name: &str, provisioner: &str, mode: &str) -> StorageClass {
    let class = json!({ "metadata": { "name": name }, "provisioner": provisioner, "volumeBindingMode": mode });
    serde_json::from_value(class).unwrap()
}

fn objects(claims: Vec<PersistentVolumeClaim>, volumes: Vec<PersistentVolume>, provisioner: &str) -> VolumeObjects {
    VolumeObjects {
        claims: Lister::of_objects(claims),
        volumes: Lister::of_objects(volumes),
        classes: Lister::of_objects([
            class("late", provisioner, WAIT_FOR_FIRST_CONSUMER),
            class("early", provisioner, "Immediate"),
        ]),
    }
}

fn pod(claims: &[&str]) -> Arc<PodInfo> {
    let volumes: Vec<Value> =
        claims.iter().map(|claim| json!({ "name": claim, "persistentVolumeClaim": { "claimName": claim } })).collect();
    fixtures::pod("web", json!({ "containers": [], "volumes": volumes }))
}

/// What is to be written in a zone, or why not.
fn outcome(claims: &[&str], objects: &VolumeObjects, zone: &str) -> String {
    let node = fixtures::node("n", json!({ "metadata": { "labels": { "zone": zone } } }));
    let needs = match VolumeNeeds::of(&pod(claims), objects) {
        Ok(needs) => needs,
        Err(message) => return message,
    };
    let name = |metadata: &ObjectMeta| metadata.name.clone().unwrap_or_default();
    match needs.plan(&node) {
        Err(rejection) => rejection.message(),
        Ok(writes) => {
            let text = |write: &VolumeWrite| match write {
                VolumeWrite::Reserve(volume, claim) => format!("{}={}", name(&claim.metadata), name(&volume.metadata)),
                VolumeWrite::Provision(claim) => format!("{}=new", name(&claim.metadata)),
            };
            writes.iter().map(text).collect::<Vec<_>>().join(" ")
        }
    }
}

#[test]
fn claims_that_no_node_can_help_are_named() {
    let early = claim("early", json!({ "spec": { "storageClassName": "early" } }));
    let leaving = claim("leaving", json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } }));
    let objects = objects(vec![early, leaving], vec![], "x/p");
    assert_eq!(outcome(&["none"], &objects, "a"), "persistentvolumeclaim \"none\" not found");
    assert_eq!(outcome(&["leaving"], &objects, "a"), "persistentvolumeclaim \"leaving\" is being deleted");
    assert_eq!(outcome(&["early"], &objects, "a"), "pod has unbound immediate PersistentVolumeClaims");
}

#[test]
fn bound_volumes_must_be_reached() {
    let bound = json!({ "spec": { "volumeName": "v" }, "status": { "phase": "Bound" } });
    let known = objects(vec![claim("c", bound.clone())], vec![volume("v", "a")], "x/p");
    assert_eq!(outcome(&["c"], &known, "a"), "");
    assert_eq!(outcome(&["c"], &known, "b"), "node(s) didn't match PersistentVolume's node affinity");
    let dangling = objects(vec![claim("c", bound)], vec![], "x/p");
    assert!(outcome(&["c"], &dangling, "a").contains("non-existent pv(s)"));
}

#[test]
fn late_claims_take_a_volume_each_or_have_one_made() {
    let claims = || vec![claim("c", json!({})), claim("d", json!({}))];
    let made = objects(claims(), vec![volume("v", "a")], "x/p");
    assert_eq!(outcome(&["c", "d"], &made, "a"), "c=v d=new");
    assert_eq!(outcome(&["c"], &made, "b"), "c=new");
    let manual = objects(claims(), vec![volume("v", "a")], NO_PROVISIONER);
    assert_eq!(outcome(&["c"], &manual, "a"), "c=v");
    let nothing = "node(s) didn't find available persistent volumes to bind";
    assert_eq!(outcome(&["c"], &manual, "b"), nothing);
    assert_eq!(outcome(&["c", "d"], &manual, "a"), nothing);
}
