use serde_json::json;

use super::*;

fn namespace(value: serde_json::Value) -> Namespace {
    let mut namespace: Namespace = serde_json::from_value(value).unwrap();
    Kind::set_defaults(&mut namespace);
    namespace
}

#[test]
fn defaults_carry_the_name_as_a_label() {
    let value = serde_json::to_value(namespace(json!({"metadata": {"name": "n"}}))).unwrap();
    assert_eq!(
        value,
        json!({"apiVersion": "v1", "kind": "Namespace", "spec": {}, "status": {"phase": "Active"},
            "metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "n"}}})
    );
}

#[test]
fn names_are_dns_labels() {
    let errors = Kind::validate(&namespace(json!({"metadata": {"name": "a.b"}})));
    assert_eq!(errors[0].to_string(), "metadata.name: Invalid value: \"a.b\": must not contain dots");
}

#[test]
fn phase_follows_deletion() {
    let active = namespace(json!({"metadata": {"name": "n", "resourceVersion": "1"}}));
    let mut terminating = active.clone();
    terminating.status = Some(NamespaceStatus { phase: Some(PHASE_TERMINATING.into()), ..Default::default() });
    assert!(Kind::validate_status_update(&active, &active).is_empty());
    assert_eq!(
        Kind::validate_status_update(&terminating, &active)[0].to_string(),
        "status.Phase: Invalid value: \"Terminating\": may only be 'Active' if `deletionTimestamp` is empty"
    );
}
