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

#[test]
fn data_comes_from_one_place() {
    let claim_of = |name: &str| json!({"kind": "PersistentVolumeClaim", "name": name});
    for (changes, expected) in [
        (json!({"dataSource": claim_of("a"), "dataSourceRef": claim_of("a")}), &[][..]),
        (
            json!({"dataSource": claim_of("a"), "dataSourceRef": claim_of("b")}),
            &["spec: Invalid value: \"spec.dataSource\": must match dataSourceRef"],
        ),
        (
            json!({"dataSourceRef": {"kind": "Odd", "name": ""}}),
            &[
                "spec.dataSourceRef.name: Required value",
                "spec.dataSourceRef: Invalid value: \"Odd\": must be 'PersistentVolumeClaim' when referencing the \
                 default apiGroup",
            ],
        ),
    ] {
        assert_eq!(texts(&Kind::validate(&claim(json!({ "spec": changes })))), expected);
    }
    let mut spec = claim(json!({"spec": {"dataSource": {"kind": "Odd", "name": "x"}}})).spec.unwrap();
    align_data_sources(&mut spec);
    assert_eq!((spec.data_source, spec.data_source_ref), (None, None));
}

#[test]
fn a_changed_spec_is_shown_as_upstream_names_it() {
    let changed = claim(json!({"spec": {"resources": {"requests": {"storage": "2Gi"}}}}));
    let errors = Kind::validate_update(&changed, &claim(json!({})));
    let expected = "@@ -6,7 +6,7 @@\n  \"Resources\": {\n   \"Limits\": null,\n   \"Requests\": {\n-   \"storage\": \"1Gi\"\n\
                    +   \"storage\": \"2Gi\"\n   }\n  },\n  \"VolumeName\": \"\",\n";
    assert!(errors[0].to_string().ends_with(expected), "{}", errors[0]);
}

#[test]
fn classes_are_not_taken_back() {
    let annotated = |class: &str| json!({ "metadata": { "annotations": { BETA_CLASS_ANNOTATION: class } } });
    let named = |class: Value| json!({ "spec": { "volumeAttributesClassName": class } });
    let bound = |mut changes: Value| {
        merge(&mut changes, json!({ "status": { "phase": "Bound", "capacity": { "storage": "1Gi" } } }));
        changes
    };
    let path = "spec.volumeAttributesClassName";
    for (old, new, expected) in [
        (annotated("a"), annotated("a"), vec![]),
        (
            annotated("a"),
            annotated("b"),
            vec![format!("metadata.annotations.{BETA_CLASS_ANNOTATION}: Invalid value: \"b\": field is immutable")],
        ),
        (annotated("a"), json!({ "spec": { "storageClassName": "a" } }), vec![]),
        (bound(named(json!("a"))), bound(named(json!("b"))), vec![]),
        (
            bound(named(json!("a"))),
            bound(named(json!(""))),
            vec![format!("{path}: Forbidden: update from non-nil value to an empty string is forbidden")],
        ),
    ] {
        assert_eq!(texts(&Kind::validate_update(&claim(new), &claim(old))), expected);
    }
    let found = texts(&Kind::validate_update(&claim(bound(json!({}))), &claim(bound(named(json!("a"))))));
    assert_eq!(found.last().unwrap(), &format!("{path}: Forbidden: update from non-nil value to nil is forbidden"));
}

#[test]
fn a_status_names_what_claims_have() {
    let found =
        |status: Value| texts(&Kind::validate_status_update(&claim(json!({ "status": status })), &claim(json!({}))));
    assert_eq!(found(json!({ "allocatedResources": { "storage": "1Gi", "example.com/x": "1" } })), [""; 0]);
    assert_eq!(
        found(json!({ "allocatedResources": { "cpu": "1" }, "capacity": { "storage": "-1" } })),
        [
            "status.capacity[storage]: Invalid value: -1: must be a valid resource quantity",
            "status.allocatedResources: Unsupported value: \"cpu\": supported values: \"storage\"",
        ]
    );
    let problem = &found(json!({ "allocatedResourceStatuses": { "storage": "Odd" } }))[0];
    assert!(problem.starts_with("status.allocatedResourceStatus: Unsupported value: \"storage\": supported values:"));
}
