use serde_json::{Value, json};

use super::plan::{ClaimPlan, plan_claim, plan_volume};
use super::*;

fn local() -> LocalPath {
    LocalPath { provisioner: "p/local".to_owned(), node_name: "n1".to_owned(), directory: "/data/storage".into() }
}

fn class(mode: &str) -> StorageClass {
    let class = json!({ "metadata": { "name": "local" }, "provisioner": "p/local", "reclaimPolicy": "Delete",
                        "volumeBindingMode": mode });
    serde_json::from_value(class).unwrap()
}

fn claim(annotations: Value, spec: Value) -> PersistentVolumeClaim {
    let mut claim = json!({
        "metadata": { "name": "c", "namespace": "ns", "uid": "u", "annotations": annotations },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } }
    });
    testkit::fake_api::merge(&mut claim["spec"], spec);
    serde_json::from_value(claim).unwrap()
}

const ASKED: &str = "volume.kubernetes.io/storage-provisioner";
const NODE: &str = "volume.kubernetes.io/selected-node";

#[test]
fn claims_for_this_node_get_a_directory() {
    for (mode, annotations, made) in [
        ("Immediate", json!({}), false),
        ("Immediate", json!({ ASKED: "p/local" }), true),
        ("Immediate", json!({ ASKED: "p/other" }), false),
        ("WaitForFirstConsumer", json!({ ASKED: "p/local" }), false),
        ("WaitForFirstConsumer", json!({ ASKED: "p/local", NODE: "n1" }), true),
        ("WaitForFirstConsumer", json!({ ASKED: "p/local", NODE: "n2" }), false),
    ] {
        let plan = plan_claim(&local(), &claim(annotations.clone(), json!({})), Some(&class(mode)), None);
        assert_eq!(matches!(plan, ClaimPlan::Provision(..)), made, "{mode} {annotations}");
    }
    let asked = claim(json!({ ASKED: "p/local" }), json!({}));
    let ClaimPlan::Provision(volume, directory) = plan_claim(&local(), &asked, Some(&class("Immediate")), None) else {
        panic!("no volume");
    };
    assert_eq!(directory, Path::new("/data/storage/pvc-u_ns_c"));
    assert_eq!(volume.metadata.name.as_deref(), Some("pvc-u"));
    assert_eq!(volume.spec.unwrap().persistent_volume_reclaim_policy.as_deref(), Some("Delete"));
}

#[test]
fn what_a_directory_cannot_be_is_refused() {
    for (spec, expected) in [
        (json!({ "volumeMode": "Block" }), "block volumes"),
        (json!({ "accessModes": ["ReadWriteMany"] }), "NodePath only supports"),
    ] {
        let plan = plan_claim(&local(), &claim(json!({ ASKED: "p/local" }), spec), Some(&class("Immediate")), None);
        assert!(matches!(&plan, ClaimPlan::Refuse(text) if text.contains(expected)), "{plan:?}");
    }
}

fn volume(changes: Value) -> PersistentVolume {
    let here = json!({ "key": "kubernetes.io/hostname", "operator": "In", "values": ["n1"] });
    let mut volume = json!({
        "metadata": { "name": "pvc-u", "annotations": { "pv.kubernetes.io/provisioned-by": "p/local" } },
        "spec": {
            "local": { "path": "/data/storage/pvc-u_ns_c" }, "persistentVolumeReclaimPolicy": "Delete",
            "nodeAffinity": { "required": { "nodeSelectorTerms": [{ "matchExpressions": [here] }] } },
        },
        "status": { "phase": "Released" },
    });
    testkit::fake_api::merge(&mut volume, changes);
    serde_json::from_value(volume).unwrap()
}

#[test]
fn only_our_own_released_directories_are_removed() {
    for (changes, removed) in [
        (json!({}), true),
        (json!({ "status": { "phase": "Bound" } }), false),
        (json!({ "spec": { "persistentVolumeReclaimPolicy": "Retain" } }), false),
        (json!({ "spec": { "local": { "path": "/etc" } } }), false),
        (json!({ "spec": { "local": { "path": "/data/storage/../x" } } }), false),
        (json!({ "metadata": { "annotations": { "pv.kubernetes.io/provisioned-by": "p/other" } } }), false),
    ] {
        assert_eq!(plan_volume(&local(), &volume(changes.clone())).is_some(), removed, "{changes}");
    }
}

#[test]
fn a_claim_that_asks_for_more_gets_it() {
    let mut claim =
        claim(json!({}), json!({ "volumeName": "pvc-u", "resources": { "requests": { "storage": "2Gi" } } }));
    let status = json!({ "phase": "Bound", "capacity": { "storage": "1Gi" } });
    claim.status = serde_json::from_value(status).unwrap();
    let plan = plan_claim(&local(), &claim, None, Some(&volume(json!({}))));
    assert_eq!(plan, ClaimPlan::Grow { volume: "pvc-u".to_owned(), storage: "2Gi".to_owned() });
}
