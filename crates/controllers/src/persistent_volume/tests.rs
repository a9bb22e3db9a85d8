use api::Kind as _;
use serde_json::{Value, json};

use super::claim_plan::{ClaimInput, ClaimPlan, plan_claim};
use super::volume_plan::{VolumePlan, plan_volume};
use super::*;

fn claim(changes: Value) -> PersistentVolumeClaim {
    let mut claim = json!({
        "metadata": { "name": "c", "namespace": "ns", "uid": "u" },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": "slow",
                  "resources": { "requests": { "storage": "1Gi" } } }
    });
    testkit::fake_api::merge(&mut claim, changes);
    let mut claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
    claim.set_defaults();
    claim
}

fn volume(changes: Value) -> PersistentVolume {
    let mut volume = json!({
        "metadata": { "name": "v" },
        "spec": { "accessModes": ["ReadWriteOnce"], "storageClassName": "slow", "capacity": { "storage": "1Gi" },
                  "hostPath": { "path": "/x" } },
        "status": { "phase": "Available" }
    });
    testkit::fake_api::merge(&mut volume, changes);
    let mut volume: PersistentVolume = serde_json::from_value(volume).unwrap();
    volume.set_defaults();
    volume
}

fn class(provisioner: &str, mode: &str) -> StorageClass {
    let metadata = json!({ "name": "slow" });
    let class = json!({ "metadata": metadata, "provisioner": provisioner, "volumeBindingMode": mode });
    serde_json::from_value(class).unwrap()
}

fn reference(uid: &str) -> Value {
    json!({ "spec": { "claimRef": { "namespace": "ns", "name": "c", "uid": uid } } })
}

fn outcome(claim: &PersistentVolumeClaim, volumes: &[PersistentVolume], class: Option<&StorageClass>) -> String {
    let volumes: Vec<_> = volumes.iter().collect();
    let input = ClaimInput { claim, volumes: &volumes, class, default_class: Some("usual"), waiting_pods: &[] };
    match plan_claim(input) {
        ClaimPlan::Leave => "leave".to_owned(),
        ClaimPlan::AssignClass(class) => format!("class {class}"),
        ClaimPlan::Bind(volume) => format!("bind {}", volume.metadata.name.as_deref().unwrap()),
        ClaimPlan::Pending(note) => {
            note.map_or("pending".to_owned(), |note| format!("{}: {}", note.reason, note.message))
        }
        ClaimPlan::Provision(provisioner) => format!("provision {provisioner}"),
        ClaimPlan::Lost(note) => format!("lost {}", note.reason),
    }
}

#[test]
fn an_unbound_claim_takes_a_volume_or_waits_for_one() {
    let (immediate, delayed) = (class("x/p", "Immediate"), class("x/p", "WaitForFirstConsumer"));
    let none = class("kubernetes.io/no-provisioner", "Immediate");
    let named = |name: &str| claim(json!({ "spec": { "storageClassName": name } }));
    let free = [volume(json!({}))];
    assert_eq!(outcome(&claim(json!({})), &free, Some(&immediate)), "bind v");
    assert_eq!(outcome(&claim(json!({})), &[], Some(&immediate)), "provision x/p");
    assert_eq!(
        outcome(&claim(json!({})), &free, Some(&delayed)),
        "WaitForFirstConsumer: waiting for first consumer to be created before binding"
    );
    let selected = json!({ "metadata": { "annotations": { "volume.kubernetes.io/selected-node": "n" } } });
    assert_eq!(outcome(&claim(selected), &[], Some(&delayed)), "provision x/p");
    assert_eq!(outcome(&claim(json!({})), &[volume(reference("u"))], Some(&delayed)), "bind v");
    assert!(outcome(&claim(json!({})), &[], Some(&none)).starts_with("ProvisioningFailed: no volume plugin matched"));
    assert_eq!(
        outcome(&named("none"), &[], None),
        "ProvisioningFailed: storageclass.storage.k8s.io \"none\" not found"
    );
    assert_eq!(
        outcome(&named(""), &[], None),
        "FailedBinding: no persistent volumes available for this claim and no storage class is set"
    );
    let mut unclassed = claim(json!({}));
    unclassed.spec.as_mut().unwrap().storage_class_name = None;
    assert_eq!(outcome(&unclassed, &[], None), "class usual");
}

#[test]
fn a_claim_that_names_a_volume_gets_that_one_or_none() {
    let named = claim(json!({ "spec": { "volumeName": "v" } }));
    assert_eq!(outcome(&named, &[], None), "pending");
    assert_eq!(outcome(&named, &[volume(json!({}))], None), "bind v");
    assert_eq!(
        outcome(&named, &[volume(reference("another"))], None),
        "FailedBinding: volume \"v\" already bound to a different claim."
    );
    let small = volume(json!({ "spec": { "capacity": { "storage": "1Mi" } } }));
    assert_eq!(
        outcome(&named, &[small], None),
        "VolumeMismatch: Cannot bind to requested volume \"v\": requested PV is too small"
    );
}

#[test]
fn a_bound_claim_stays_bound_or_is_lost() {
    let annotations = json!({ "annotations": { "pv.kubernetes.io/bind-completed": "yes" } });
    let bound = claim(json!({ "metadata": annotations, "spec": { "volumeName": "v" } }));
    assert_eq!(outcome(&bound, &[volume(reference("u"))], None), "bind v");
    assert_eq!(outcome(&bound, &[], None), "lost ClaimLost");
    assert_eq!(outcome(&bound, &[volume(reference("another"))], None), "lost ClaimMisbound");
}

#[test]
fn a_volume_follows_its_claim() {
    let bound = claim(json!({ "spec": { "volumeName": "v" } }));
    let elsewhere = claim(json!({ "spec": { "volumeName": "w" } }));
    let made = json!({ "metadata": { "annotations": { "pv.kubernetes.io/provisioned-by": "x/p" } } });
    let delete = json!({ "spec": { "persistentVolumeReclaimPolicy": "Delete" } });
    let with = |changes: &[&Value]| {
        let mut all = reference("u");
        changes.iter().for_each(|change| testkit::fake_api::merge(&mut all, (*change).clone()));
        volume(all)
    };
    assert_eq!(plan_volume(&volume(json!({})), None), VolumePlan::Available);
    assert_eq!(plan_volume(&with(&[]), Some(&bound)), VolumePlan::Bound);
    assert_eq!(plan_volume(&with(&[]), Some(&claim(json!({})))), VolumePlan::WakeClaim);
    assert_eq!(plan_volume(&with(&[]), Some(&elsewhere)), VolumePlan::Unbind { reserved: true });
    assert_eq!(plan_volume(&with(&[]), None), VolumePlan::Released);
    assert_eq!(plan_volume(&with(&[&made, &delete]), None), VolumePlan::Released);
    assert!(
        matches!(plan_volume(&with(&[&delete]), None), VolumePlan::Failed(note) if note.reason == "VolumeFailedDelete")
    );
}
