use serde_json::json;

use super::*;

fn pod() -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": "p", "namespace": "n", "labels": {"b": "2", "a": "x\"y"}},
        "spec": {"nodeName": "node", "containers": []},
        "status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "::1"}]},
    }))
    .unwrap()
}

#[test]
fn fields_of_pods_have_texts() {
    for (path, text) in [
        ("metadata.name", "p"),
        ("metadata.uid", ""),
        ("metadata.labels", "a=\"x\\\"y\"\nb=\"2\""),
        ("metadata.labels['b']", "2"),
        ("metadata.annotations['nope']", ""),
        ("spec.nodeName", "node"),
        ("status.podIPs", "10.0.0.1,::1"),
    ] {
        assert_eq!(field_text(&pod(), path).unwrap(), text, "{path}");
    }
    for path in ["spec.hostname", "metadata.name['x']", ""] {
        assert!(field_text(&pod(), path).is_err(), "{path}");
    }
}

#[test]
fn resources_are_divided_and_rounded_up() {
    let container: Container = serde_json::from_value(json!({
        "name": "c", "resources": {"limits": {"cpu": "1500m"}, "requests": {"memory": "1500Ki"}},
    }))
    .unwrap();
    let allocatable: ResourceList = serde_json::from_value(json!({"memory": "4Gi"})).unwrap();
    let text = |resource: &str, divisor: &str| {
        let selector = serde_json::from_value(json!({"resource": resource, "divisor": divisor})).unwrap();
        resource_text(&container, &selector, &allocatable)
    };
    for (resource, divisor, expected) in [
        ("limits.cpu", "0", "2"),
        ("limits.cpu", "1m", "1500"),
        ("requests.memory", "1Mi", "2"),
        ("limits.memory", "1Gi", "4"),
        ("requests.cpu", "1", "0"),
    ] {
        assert_eq!(text(resource, divisor).unwrap(), expected, "{resource} {divisor}");
    }
    assert!(text("limits.bogus", "1").is_err());
    assert!(text("cpu", "1").is_err());
}
