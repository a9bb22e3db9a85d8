use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::json;

use super::*;

fn meta(value: serde_json::Value) -> ObjectMeta {
    serde_json::from_value(value).unwrap()
}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

fn create(value: serde_json::Value) -> Vec<String> {
    texts(&validate_meta(&meta(value), Scope::Namespaced, names::subdomain_name))
}

#[test]
fn names_and_namespaces_are_required() {
    assert_eq!(
        create(json!({})),
        ["metadata.name: Required value: name or generateName is required", "metadata.namespace: Required value"]
    );
    assert!(create(json!({"name": "a.b", "generateName": "a-", "namespace": "n"})).is_empty());
    let cluster = validate_meta(&meta(json!({"name": "a", "namespace": "n"})), Scope::Cluster, names::subdomain_name);
    assert_eq!(texts(&cluster), ["metadata.namespace: Forbidden: not allowed on this type"]);
    assert!(create(json!({"name": "a", "namespace": "a.b"}))[0].contains("must not contain dots"));
}

#[test]
fn labels_annotations_and_finalizers_are_checked() {
    let errors = create(json!({
        "name": "a", "namespace": "n", "labels": {"a": "-"}, "annotations": {"Example.COM/a": "", "b c": ""},
        "finalizers": ["orphan", "foregroundDeletion", "odd", "example.com/x"],
    }));
    assert_eq!(errors.len(), 4, "{errors:?}");
    assert!(errors[0].starts_with("metadata.labels: Invalid value: \"-\""));
    assert!(errors[1].starts_with("metadata.annotations: Invalid value: \"b c\""));
    assert!(errors[2].ends_with("finalizer orphan and foregroundDeletion cannot be both set"));
    assert_eq!(
        errors[3],
        "metadata.finalizers[2]: Invalid value: \"odd\": name is neither a standard finalizer name nor is it fully qualified"
    );
    let big = create(json!({"name": "a", "namespace": "n", "annotations": {"a": "x".repeat(256 * 1024)}}));
    assert_eq!(big, ["metadata.annotations: Too long: may not be more than 262144 bytes"]);
}

#[test]
fn owners_are_complete_and_have_one_controller() {
    let owner = |kind: &str, controller| json!({"apiVersion": "v1", "kind": kind, "name": "o", "uid": "u", "controller": controller});
    let errors =
        create(json!({"name": "a", "namespace": "n", "ownerReferences": [owner("A", true), owner("B", true)]}));
    assert!(errors[0].ends_with("Found \"true\" in references for A/o and B/o"), "{errors:?}");
    let errors = create(json!({"name": "a", "namespace": "n", "ownerReferences": [
        {"apiVersion": "v1", "kind": "Event", "name": "", "uid": "u"}]}));
    assert_eq!(errors[0], "metadata.ownerReferences.name: Invalid value: \"\": must not be empty");
    assert!(errors[1].ends_with("/v1, Kind=Event is disallowed from being an owner"));
}

#[test]
fn updates_may_not_change_identity() {
    let old = meta(json!({"name": "a", "namespace": "n", "uid": "u", "resourceVersion": "1", "generation": 2}));
    assert!(validate_meta_update(&old, &old).is_empty());
    let mut new = meta(json!({"name": "b", "namespace": "n", "uid": "v", "generation": 1}));
    new.deletion_timestamp = Some(Time("2030-01-01T00:00:00Z".parse().unwrap()));
    assert_eq!(
        texts(&validate_meta_update(&new, &old)),
        [
            "metadata.resourceVersion: Invalid value: \"\": must be specified for an update",
            "metadata.generation: Invalid value: 1: must not be decremented",
            "metadata.name: Invalid value: \"b\": field is immutable",
            "metadata.uid: Invalid value: \"v\": field is immutable",
            "metadata.deletionTimestamp: Invalid value: \"2030-01-01T00:00:00Z\": field is immutable",
        ]
    );
}

#[test]
fn deletion_takes_no_new_finalizers() {
    let old = meta(
        json!({"name": "a", "resourceVersion": "1", "deletionTimestamp": "2030-01-01T00:00:00Z", "finalizers": ["a/b"]}),
    );
    let mut new = old.clone();
    new.finalizers = Some(vec!["a/b".into(), "a/d".into(), "a/c".into()]);
    let errors = texts(&validate_meta_update(&new, &old));
    assert_eq!(
        errors,
        [
            "metadata.finalizers: Forbidden: no new finalizers can be added if the object is being deleted, found new finalizers []string{\"a/c\", \"a/d\"}"
        ]
    );
}
