use k8s_openapi::api::core::v1::{ContainerStateRunning, Event, Pod, PodCondition, PodStatus};
use k8s_openapi::api::events;
use serde_json::json;

use super::*;

fn check<T: Serialize>(object: &T, expected: &serde_json::Value) {
    assert_eq!(&to_value(object).unwrap(), expected);
    let text = to_vec(object).unwrap();
    assert_eq!(&serde_json::from_slice::<serde_json::Value>(&text).unwrap(), expected);
}

#[test]
fn unset_times_of_conditions_are_null() {
    let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time("2024-01-01T00:00:00Z".parse().unwrap());
    let condition = PodCondition { last_transition_time: Some(time), ..Default::default() };
    let status = PodStatus { conditions: Some(vec![condition]), ..Default::default() };
    check(
        &Pod { status: Some(status), ..Default::default() },
        &json!({"apiVersion": "v1", "kind": "Pod", "metadata": {}, "status": {"conditions": [
            {"lastProbeTime": null, "lastTransitionTime": "2024-01-01T00:00:00Z", "status": "", "type": ""}]}}),
    );
    check(&ContainerStateRunning::default(), &json!({"startedAt": null}));
}

#[test]
fn events_of_both_groups_have_their_own_fields() {
    check(
        &Event::default(),
        &json!({"apiVersion": "v1", "kind": "Event", "metadata": {}, "involvedObject": {},
            "eventTime": null, "firstTimestamp": null, "lastTimestamp": null}),
    );
    let event = events::v1::Event { deprecated_source: Some(Default::default()), ..Default::default() };
    check(
        &event,
        &json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {}, "deprecatedSource": {},
            "eventTime": null, "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null}),
    );
}

#[test]
fn empty_names_of_local_references_are_left_out() {
    use k8s_openapi::api::core::v1::LocalObjectReference;
    check(
        &vec![LocalObjectReference::default(), LocalObjectReference { name: "a".into() }],
        &json!([{}, {"name": "a"}]),
    );
}
