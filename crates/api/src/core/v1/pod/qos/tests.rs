use serde_json::{Value, json};

use super::*;

fn class(spec: Value) -> QosClass {
    qos_class(&serde_json::from_value(json!({"spec": spec})).unwrap())
}

fn container(requests: Value, limits: Value) -> Value {
    json!({"name": "c", "resources": {"requests": requests, "limits": limits}})
}

#[test]
fn classes_follow_cpu_and_memory_of_all_containers() {
    let full = container(json!({"cpu": "1", "memory": "1Gi"}), json!({"cpu": "1000m", "memory": "1024Mi"}));
    let none = container(json!({}), json!({"example.com/g": "1"}));
    let zero = container(json!({"cpu": "0"}), json!({}));
    let some = container(json!({"cpu": "1"}), json!({}));
    for (spec, expected) in [
        (json!({"containers": [full]}), QosClass::Guaranteed),
        (json!({"containers": [full, full], "initContainers": [full]}), QosClass::Guaranteed),
        (json!({"containers": [full], "initContainers": [none]}), QosClass::Burstable),
        (json!({"containers": [full, none]}), QosClass::Burstable),
        (json!({"containers": [some]}), QosClass::Burstable),
        (json!({"containers": [none, zero]}), QosClass::BestEffort),
        (
            json!({"containers": [some], "resources": {"limits": {"cpu": "1", "memory": "1"}, "requests": {"cpu": "1", "memory": "1"}}}),
            QosClass::Guaranteed,
        ),
    ] {
        assert_eq!(class(spec.clone()), expected, "{spec}");
    }
}
