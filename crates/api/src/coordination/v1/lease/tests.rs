use serde_json::json;

use super::*;

fn errors(spec: serde_json::Value) -> Vec<String> {
    let value = json!({"metadata": {"name": "l", "namespace": "n"}, "spec": spec});
    let mut lease: Lease = serde_json::from_value(value).unwrap();
    Kind::set_defaults(&mut lease);
    Kind::validate(&lease).iter().map(ToString::to_string).collect()
}

#[test]
fn durations_are_positive() {
    assert!(errors(json!({"holderIdentity": "", "leaseDurationSeconds": 1, "leaseTransitions": 0})).is_empty());
    assert_eq!(
        errors(json!({"leaseDurationSeconds": 0, "leaseTransitions": -1, "preferredHolder": "x"})),
        [
            "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0",
            "spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0",
            "spec.preferredHolder: Forbidden: may only be specified if `strategy` is defined",
        ]
    );
}
