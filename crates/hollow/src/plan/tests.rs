use serde_json::{Value, json};

use super::*;

fn check(pod: Value, expected: Action) {
    let now = "2026-01-01T00:00:10Z".parse().unwrap();
    let mut whole = json!({ "metadata": { "name": "p", "namespace": "ns", "uid": "u" },
                            "spec": { "nodeName": "n", "containers": [{ "name": "c", "image": "i" }] } });
    for (part, fields) in pod.as_object().unwrap() {
        for (field, value) in fields.as_object().unwrap() {
            whole[part][field] = value.clone();
        }
    }
    let pod = HollowPod::of(serde_json::from_value(whole).unwrap());
    assert_eq!(plan(&pod, Duration::from_secs(2), now), expected);
}

#[test]
fn a_pod_runs_until_somebody_deletes_it() {
    check(json!({}), Action::Run);
    check(json!({ "status": { "phase": "Pending" } }), Action::Run);
    let ready = |status: &str| json!([{ "type": "Ready", "status": status }]);
    let running = |is_ready: &str| json!({ "phase": "Running", "conditions": ready(is_ready) });
    check(json!({ "status": running("True") }), Action::Rest);
    check(json!({ "status": running("False") }), Action::Recover);
    let deleted = json!({ "deletionTimestamp": "2026-01-01T00:00:30Z" });
    check(json!({ "metadata": deleted, "status": { "phase": "Running" } }), Action::Remove);
    check(json!({ "metadata": deleted, "status": { "phase": "Pending" } }), Action::Remove);
}

#[test]
fn pods_of_jobs_and_annotated_ones_end_after_a_time() {
    let ready = json!([{ "type": "Ready", "status": "True" }]);
    let running = |started: &str| json!({ "phase": "Running", "startTime": started, "conditions": ready });
    let job = json!({ "ownerReferences": [{ "apiVersion": "batch/v1", "kind": "Job", "name": "j", "uid": "j" }] });
    check(json!({ "metadata": job, "status": running("2026-01-01T00:00:08Z") }), Action::Complete);
    check(json!({ "metadata": job, "status": running("2026-01-01T00:00:09Z") }), Action::Wait(Duration::from_secs(1)));
    let annotated = json!({ "annotations": { "hollow.isopod.io/complete-after": "5s" } });
    check(json!({ "metadata": annotated, "status": running("2026-01-01T00:00:00Z") }), Action::Complete);
    check(
        json!({ "metadata": annotated, "status": running("2026-01-01T00:00:07Z") }),
        Action::Wait(Duration::from_secs(2)),
    );
    check(json!({ "metadata": annotated, "status": { "phase": "Succeeded" } }), Action::Rest);
}
