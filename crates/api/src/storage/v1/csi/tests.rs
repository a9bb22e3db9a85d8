use serde_json::{Value, json};

use super::*;

fn problems<K: Kind>(value: Value) -> Vec<String> {
    let mut object: K = serde_json::from_value(value).unwrap();
    object.set_defaults();
    object.validate().iter().map(ToString::to_string).collect()
}

#[test]
fn drivers_have_known_policies_and_modes() {
    let driver = |spec: Value| json!({"metadata": {"name": "a.b"}, "spec": spec});
    assert_eq!(problems::<CSIDriver>(driver(json!({}))), [""; 0]);
    assert_eq!(
        problems::<CSIDriver>(driver(json!({"fsGroupPolicy": "Odd", "volumeLifecycleModes": ["Odd"]}))),
        [
            "spec.fsGroupPolicy: Unsupported value: \"Odd\": supported values: \"File\", \"None\", \
             \"ReadWriteOnceWithFSType\"",
            "spec.volumeLifecycleModes: Unsupported value: \"Odd\": supported values: \"Persistent\", \"Ephemeral\"",
        ]
    );
}

#[test]
fn nodes_name_each_driver_once() {
    let driver = json!({"name": "a.b", "nodeID": "n", "topologyKeys": ["z", "z"]});
    let node = json!({"metadata": {"name": "n"}, "spec": {"drivers": [driver, {"name": "a.b", "nodeID": ""}]}});
    assert_eq!(
        problems::<CSINode>(node),
        [
            "spec.drivers[0]: Duplicate value: \"z\"",
            "spec.drivers[1].nodeID: Required value",
            "spec.drivers[1].name: Duplicate value: \"a.b\"",
        ]
    );
}

#[test]
fn attachments_are_of_one_volume() {
    let attachment = |source: Value| json!({"metadata": {"name": "v"}, "spec": {"attacher": "a.b", "nodeName": "n", "source": source}});
    assert_eq!(problems::<VolumeAttachment>(attachment(json!({"persistentVolumeName": "p"}))), [""; 0]);
    assert_eq!(
        problems::<VolumeAttachment>(attachment(json!({}))),
        ["spec.source: Required value: must specify exactly one of inlineVolumeSpec and persistentVolumeName"]
    );
}

#[test]
fn attachments_stay_what_they_are() {
    let attachment = |node: &str| -> VolumeAttachment {
        serde_json::from_value(json!({"metadata": {"name": "v", "resourceVersion": "1"},
            "spec": {"attacher": "a.b", "nodeName": node, "source": {"persistentVolumeName": "p"}}}))
        .unwrap()
    };
    let errors = Kind::validate_update(&attachment("m"), &attachment("n"));
    let shown = r#"{"Attacher":"a.b","Source":{"PersistentVolumeName":"p","InlineVolumeSpec":null},"NodeName":"m"}"#;
    assert_eq!(errors[0].to_string(), format!("spec: Invalid value: {shown}: field is immutable"));
    let seconds = json!({"metadata": {"name": "a.b"}, "spec": {"nodeAllocatableUpdatePeriodSeconds": 5}});
    assert_eq!(
        problems::<CSIDriver>(seconds),
        ["spec.nodeAllocatableUpdatePeriodSeconds: Invalid value: 5: must be greater than or equal to 10 seconds"]
    );
}
