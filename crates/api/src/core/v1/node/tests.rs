use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use crate::field::ErrorList;
use crate::object::Kind;

fn node(mut value: serde_json::Value) -> Node {
    value["metadata"] = json!({"name": "n", "resourceVersion": "1"});
    let mut node: Node = serde_json::from_value(value).unwrap();
    Kind::set_defaults(&mut node);
    node
}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_complete_ranges_and_allocatable() {
    let node =
        node(json!({"spec": {"podCIDR": "10.9.0.0/24", "providerID": ""}, "status": {"capacity": {"cpu": "1000m"}}}));
    assert!(Kind::validate(&node).is_empty());
    let value = serde_json::to_value(&node).unwrap();
    assert_eq!(value["spec"], json!({"podCIDR": "10.9.0.0/24", "podCIDRs": ["10.9.0.0/24"]}));
    assert_eq!(value["status"]["capacity"], json!({"cpu": "1"}));
    assert_eq!(value["status"]["allocatable"], json!({"cpu": "1"}));
    assert_eq!(value["status"]["daemonEndpoints"], json!({"kubeletEndpoint": {"Port": 0}}));
    assert_eq!(value["status"]["nodeInfo"]["osImage"], "");
}

#[test]
fn ranges_and_resources_are_checked() {
    let bad = node(json!({
        "spec": {"podCIDRs": ["10.0.0.0/8", "11.0.0.0/8", "x"]},
        "status": {"capacity": {"cpu": "-1", "example.com/gpu": "500m"}, "allocatable": {}},
    }));
    assert_eq!(
        texts(&Kind::validate(&bad))[..4],
        [
            "status.capacity.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
            "status.capacity.example.com/gpu: Invalid value: \"500m\": must be an integer",
            "status.allocatable.cpu: Invalid value: \"-1\": must be greater than or equal to 0",
            "status.allocatable.example.com/gpu: Invalid value: \"500m\": must be an integer",
        ]
    );
    assert!(texts(&Kind::validate(&bad))[5].contains("may specify no more than one CIDR for each IP family"));
}

#[test]
fn ranges_and_provider_stay_once_set() {
    let old = node(json!({"spec": {"podCIDR": "10.0.0.0/8", "providerID": "a"}}));
    let new = node(json!({"spec": {"podCIDR": "11.0.0.0/8", "providerID": "b", "unschedulable": true}}));
    assert_eq!(
        texts(&Kind::validate_update(&new, &old)),
        [
            "spec.podCIDRs: Forbidden: node updates may not change podCIDR except from \"\" to valid",
            "spec.providerID: Forbidden: node updates may not change providerID except from \"\" to valid",
        ]
    );
    assert!(Kind::validate_update(&new, &node(json!({}))).is_empty());
}
