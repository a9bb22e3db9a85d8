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
        ..VolumeObjects::default()
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

#[test]
fn a_volume_is_made_where_its_driver_has_room() {
    let known = |reports: bool, capacities: &[Value]| {
        let driver = json!({ "metadata": { "name": "x/p" }, "spec": { "storageCapacity": reports } });
        let capacity = |(number, changes): (usize, &Value)| {
            let mut capacity = json!({ "metadata": { "name": format!("c{number}"), "namespace": "csi" },
                "storageClassName": "late", "nodeTopology": { "matchLabels": { "zone": "a" } }, "capacity": "1Gi" });
            fixtures::merge(&mut capacity, changes.clone());
            serde_json::from_value(capacity).unwrap()
        };
        VolumeObjects {
            drivers: Lister::of_objects([serde_json::from_value(driver).unwrap()]),
            capacities: Lister::of_objects(capacities.iter().enumerate().map(capacity)),
            ..objects(vec![claim("c", json!({}))], vec![], "x/p")
        }
    };
    let check = |reports: bool, capacities: &[Value], zone: &str, fits: bool| {
        let expected = if fits { "c=new" } else { "node(s) did not have enough free storage" };
        assert_eq!(outcome(&["c"], &known(reports, capacities), zone), expected, "{reports} {capacities:?} {zone}");
    };
    check(false, &[], "a", true);
    check(true, &[], "a", false);
    check(true, &[json!({})], "a", true);
    check(true, &[json!({})], "b", false);
    check(true, &[json!({ "capacity": "1023Mi" })], "a", false);
    check(true, &[json!({ "capacity": "10Gi", "maximumVolumeSize": "512Mi" })], "a", false);
    check(true, &[json!({ "capacity": null })], "a", false);
    check(true, &[json!({ "storageClassName": "other" })], "a", false);
    check(true, &[json!({ "nodeTopology": null })], "a", false);
    check(true, &[json!({ "nodeTopology": { "matchLabels": null } })], "b", true);
    check(true, &[json!({ "capacity": "1Mi" }), json!({})], "a", true);
}
