use serde_json::json;

use super::*;

fn config_map(mut value: serde_json::Value) -> ConfigMap {
    value["metadata"] = json!({"name": "c", "namespace": "n", "resourceVersion": "1"});
    let mut config_map: ConfigMap = serde_json::from_value(value).unwrap();
    Kind::set_defaults(&mut config_map);
    config_map
}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn keys_are_file_names_and_stand_once() {
    let valid = config_map(json!({"data": {"a.b": "x"}, "binaryData": {"c": "AA=="}}));
    assert!(Kind::validate(&valid).is_empty());
    let bad = config_map(json!({"data": {"..": "x", "a": ""}, "binaryData": {"a": ""}}));
    assert_eq!(
        texts(&Kind::validate(&bad)),
        [
            "data[..]: Invalid value: \"..\": must not be '..'",
            "data[a]: Invalid value: \"a\": duplicate of key present in binaryData",
        ]
    );
}

#[test]
fn data_is_bounded() {
    let big = config_map(json!({"data": {"a": "x".repeat(MAX_DATA_BYTES + 1)}}));
    assert_eq!(texts(&Kind::validate(&big)), ["[]: Too long: may not be more than 1048576 bytes"]);
}

#[test]
fn immutable_ones_keep_their_data() {
    let old = config_map(json!({"data": {"a": "x"}, "immutable": true}));
    assert!(Kind::validate_update(&old, &old).is_empty());
    let new = config_map(json!({"data": {"a": "y"}, "immutable": false}));
    assert_eq!(
        texts(&Kind::validate_update(&new, &old)),
        [
            "immutable: Forbidden: field is immutable when `immutable` is set",
            "data: Forbidden: field is immutable when `immutable` is set",
        ]
    );
}
