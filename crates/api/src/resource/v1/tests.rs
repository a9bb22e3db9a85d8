//! What is wrong with claims, classes and slices.

use k8s_openapi::api::resource::v1::{DeviceClass, ResourceClaim, ResourceClaimTemplate, ResourceSlice};
use serde_json::{Value, json};

use crate::object::Kind;

fn read<K: Kind>(metadata: &Value, spec: &Value) -> K {
    let mut object: K = serde_json::from_value(json!({"metadata": metadata, "spec": spec})).unwrap();
    object.set_defaults();
    object
}

fn problems<K: Kind>(metadata: &Value, spec: &Value) -> Vec<String> {
    read::<K>(metadata, spec).validate().iter().map(ToString::to_string).collect()
}

#[test]
fn requests_ask_for_one_device_unless_they_say_more() {
    let spec = json!({"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": "c"}}]}});
    let claim: ResourceClaim = read(&json!({"name": "c", "namespace": "n"}), &spec);
    let request = claim.spec.devices.unwrap().requests.unwrap().remove(0).exactly.unwrap();
    assert_eq!((request.allocation_mode.as_deref(), request.count), (Some("ExactCount"), Some(1)));
    let template: ResourceClaimTemplate = read(&json!({"name": "c", "namespace": "n"}), &json!({"spec": spec}));
    assert!(template.spec.metadata.is_some());
}

#[test]
fn claims_say_what_they_want() {
    let exactly = |fields: Value| json!({"devices": {"requests": [{"name": "r", "exactly": fields}]}});
    for (spec, expected) in [
        (
            json!({"devices": {"requests": [{"name": "r"}]}}),
            vec!["spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required"],
        ),
        (exactly(json!({})), vec!["spec.devices.requests[0].exactly.deviceClassName: Required value"]),
        (
            exactly(json!({"deviceClassName": "c", "allocationMode": "All", "count": 2})),
            vec![
                "spec.devices.requests[0].exactly.count: Invalid value: 2: must not be specified when allocationMode is \
                 'All'",
            ],
        ),
        (
            json!({"devices": {
                "requests": [{"name": "r", "firstAvailable": [{"name": "a", "deviceClassName": "c"}]}],
                "constraints": [{"requests": ["r/a", "r/b"], "matchAttribute": "x"}],
                "config": [{"opaque": {"driver": "d", "parameters": 1}}],
            }}),
            vec![
                "spec.devices.constraints[0].requests[1]: Invalid value: \"r/b\": must be the name of a request in the \
                 claim or the name of a request and a subrequest separated by '/'",
                "spec.devices.constraints[0].matchAttribute: Invalid value: \"x\": a fully qualified name must be a \
                 domain and a name separated by a slash",
                "spec.devices.config[0].opaque.parameters: Invalid value: \"<value omitted>\": must be a valid JSON object",
            ],
        ),
    ] {
        assert_eq!(problems::<ResourceClaim>(&json!({"name": "c", "namespace": "n"}), &spec), expected, "{spec}");
    }
}

#[test]
fn what_a_claim_wants_cannot_change() {
    let metadata = json!({"name": "c", "namespace": "n", "resourceVersion": "1"});
    let spec = |class: &str| json!({"devices": {"requests": [{"name": "r", "exactly": {"deviceClassName": class}}]}});
    let (old, new): (ResourceClaim, ResourceClaim) = (read(&metadata, &spec("a")), read(&metadata, &spec("b")));
    assert_eq!(new.validate_update(&new), []);
    let errors = new.validate_update(&old);
    assert!(errors[0].message.ends_with("field is immutable"), "{errors:?}");
}

#[test]
fn reservations_need_an_allocation() {
    let old: ResourceClaim = read(&json!({"name": "c", "namespace": "n", "resourceVersion": "1"}), &json!({}));
    let mut new = old.clone();
    let consumer = json!({"resource": "pods", "name": "p", "uid": ""});
    new.status = serde_json::from_value(json!({"reservedFor": [consumer]})).unwrap();
    let errors: Vec<String> = new.validate_status_update(&old).iter().map(ToString::to_string).collect();
    assert_eq!(
        errors,
        [
            "status.reservedFor[0].uid: Required value",
            "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
        ]
    );
}

#[test]
fn classes_have_a_name_for_old_requests() {
    let spec = json!({"extendedResourceName": "cpu", "selectors": [{}]});
    assert_eq!(
        problems::<DeviceClass>(&json!({"name": "c"}), &spec),
        [
            "spec.selectors[0].cel: Required value",
            "spec.extendedResourceName: Invalid value: \"cpu\": must be a valid extended resource name",
        ]
    );
}

#[test]
fn slices_say_where_their_devices_are() {
    let base = json!({"driver": "d", "nodeName": "n", "pool": {"name": "p", "generation": 1, "resourceSliceCount": 1}});
    let with = |field: &str, value: Value| {
        let mut spec = base.clone();
        spec[field] = value;
        spec
    };
    let device = |fields: Value| {
        let mut device = json!({"name": "a"});
        device.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        with("devices", json!([device]))
    };
    for (spec, expected) in [
        (device(json!({"attributes": {"a.b/c": {"version": "1.2.3-alpha.1+5"}}})), vec![]),
        (
            with("nodeName", Value::Null),
            vec![
                "spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` \
                 is required",
            ],
        ),
        (
            with("allNodes", json!(true)),
            vec![
                "spec: Invalid value: \"{`nodeName`, `allNodes`}\": exactly one of `nodeName`, `nodeSelector`, \
                 `allNodes`, `perDeviceNodeSelection` is required, but multiple fields are set",
            ],
        ),
        (
            device(json!({"attributes": {"a": {"version": "1.02.3"}}, "taints": [{"key": "k", "effect": "Odd"}]})),
            vec![
                "spec.devices[0].attributes[a].version: Invalid value: \"1.02.3\": must be a string compatible with \
                 semver.org spec 2.0.0",
                "spec.devices[0].taints[0].effect: Unsupported value: \"Odd\": supported values: \"NoExecute\", \
                 \"NoSchedule\", \"None\"",
            ],
        ),
        (
            device(json!({"bindingConditions": ["a"], "capacity": {"m": {"value": "1", "requestPolicy": {}}}})),
            vec![
                "spec.devices[0].capacity[m].requestPolicy: Forbidden: allowMultipleAllocations must be true",
                "spec.devices[0].bindingFailureConditions: Invalid value: null: bindingFailureConditions are required \
                 to use bindingConditions",
            ],
        ),
    ] {
        assert_eq!(problems::<ResourceSlice>(&json!({"name": "s"}), &spec), expected, "{spec}");
    }
}
