use serde_json::json;

use super::*;

fn errors(mut value: serde_json::Value) -> Vec<String> {
    value["metadata"] = json!({"name": "e", "namespace": "n"});
    let mut event: Event = serde_json::from_value(value).unwrap();
    Kind::set_defaults(&mut event);
    Kind::validate(&event).iter().map(ToString::to_string).collect()
}

#[test]
fn stand_in_the_namespace_of_their_object() {
    assert!(errors(json!({"involvedObject": {"namespace": "n"}})).is_empty());
    assert_eq!(
        errors(json!({"involvedObject": {"namespace": "m"}})),
        ["involvedObject.namespace: Invalid value: \"m\": does not match event.namespace"]
    );
    assert_eq!(errors(json!({"involvedObject": {}})).len(), 1);
}

#[test]
fn names_fit_a_path() {
    let named = |name: &str| {
        let value = json!({"metadata": {"name": name, "namespace": "n"}, "involvedObject": {"namespace": "n"}});
        Kind::validate(&serde_json::from_value::<Event>(value).unwrap()).len()
    };
    assert_eq!((named("A_b.1c"), named("a/b"), named("")), (0, 1, 1));
}

#[test]
fn new_ones_say_who_reports_what() {
    let value = json!({"involvedObject": {"namespace": "n"}, "eventTime": "2024-01-01T00:00:00.000000Z",
        "reason": "x".repeat(129)});
    let errors = errors(value);
    assert_eq!(errors[0], "reportingComponent: Required value");
    assert_eq!(
        errors[3..],
        [
            "reportingInstance: Required value",
            "action: Required value",
            "reason: Invalid value: \"\": can have at most 128 characters",
        ]
    );
}

#[test]
fn defaults_keep_what_the_encoder_always_writes() {
    let value = json!({"metadata": {"name": "e"}, "involvedObject": {"name": "p", "uid": ""}, "message": ""});
    let mut event: Event = serde_json::from_value(value).unwrap();
    Kind::set_defaults(&mut event);
    let value = crate::object::Object::to_value(&event);
    assert_eq!(
        value,
        json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "involvedObject": {"name": "p"},
            "source": {}, "reportingComponent": "", "reportingInstance": "",
            "eventTime": null, "firstTimestamp": null, "lastTimestamp": null})
    );
}
