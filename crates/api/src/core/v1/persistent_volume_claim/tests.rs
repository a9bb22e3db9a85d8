use serde_json::{Value, json};

use super::*;

fn claim(changes: Value) -> PersistentVolumeClaim {
    let mut claim = json!({
        "metadata": { "name": "c", "namespace": "n", "resourceVersion": "1" },
        "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } }
    });
    merge(&mut claim, changes);
    let mut claim: PersistentVolumeClaim = serde_json::from_value(claim).unwrap();
    claim.set_defaults();
    claim
}

fn merge(target: &mut Value, changes: Value) {
    match (target, changes) {
        (Value::Object(target), Value::Object(changes)) => {
            changes.into_iter().for_each(|(key, change)| merge(target.entry(key).or_insert(Value::Null), change));
        }
        (target, change) => *target = change,
    }
}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(|error| error.to_string().lines().next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn problems_of_new_claims() {
    for (changes, expected) in [
        (json!({}), None),
        (
            json!({ "resources": { "requests": { "storage": "-1Gi" } } }),
            Some("spec.resources[storage]: Invalid value: \"-1Gi\": must be greater than zero"),
        ),
        (json!({ "resources": null }), Some("spec.resources[storage]: Required value")),
        (json!({ "accessModes": [] }), Some("spec.accessModes: Required value: at least 1 access mode is required")),
        (
            json!({ "accessModes": ["ReadWriteOnce", "ReadWriteOncePod"] }),
            Some("spec.accessModes: Forbidden: may not use ReadWriteOncePod with other access modes"),
        ),
        (
            json!({ "volumeMode": "Odd" }),
            Some("spec.volumeMode: Unsupported value: \"Odd\": supported values: \"Block\", \"Filesystem\""),
        ),
    ] {
        let found = texts(&Kind::validate(&claim(json!({ "spec": changes }))));
        assert_eq!(found.first().map(String::as_str), expected, "{found:?}");
    }
}

#[test]
fn a_spec_changes_in_few_ways() {
    let bound = json!({ "status": { "phase": "Bound", "capacity": { "storage": "1Gi" } } });
    let size = |size: &str| json!({ "resources": { "requests": { "storage": size } } });
    let immutable = "spec: Forbidden: spec is immutable after creation except resources.requests and \
                     volumeAttributesClassName for bound claims";
    for (status, change, expected) in [
        (json!({}), json!({ "volumeName": "pv" }), vec![]),
        (json!({}), json!({ "storageClassName": "later" }), vec![]),
        (json!({}), size("2Gi"), vec![immutable]),
        (bound.clone(), size("2Gi"), vec![]),
        (
            bound.clone(),
            size("1Mi"),
            vec!["spec.resources.requests.storage: Forbidden: field can not be less than status.capacity"],
        ),
        (bound, json!({ "accessModes": ["ReadOnlyMany"] }), vec![immutable]),
    ] {
        let old = claim(status.clone());
        let mut new = claim(status);
        let mut spec = serde_json::to_value(&new.spec).unwrap();
        merge(&mut spec, change);
        new.spec = serde_json::from_value(spec).unwrap();
        assert_eq!(texts(&Kind::validate_update(&new, &old)), expected);
    }
}
