use serde_json::{Value, json};

use super::*;

fn class(name: &str, changes: Value) -> StorageClass {
    let mut class = json!({ "metadata": { "name": name, "resourceVersion": "1" }, "provisioner": "example.com/p" });
    for (key, value) in changes.as_object().into_iter().flatten() {
        class[key] = value.clone();
    }
    let mut class: StorageClass = serde_json::from_value(class).unwrap();
    class.set_defaults();
    class
}

#[test]
fn a_class_changes_in_few_ways() {
    let old = class("a", json!({ "parameters": { "a": "b" } }));
    assert_eq!(text(&old.volume_binding_mode), "Immediate");
    let changed = class("a", json!({ "parameters": { "a": "z" }, "allowVolumeExpansion": true }));
    let texts: Vec<_> = Kind::validate_update(&changed, &old).iter().map(ToString::to_string).collect();
    assert_eq!(texts, ["parameters: Invalid value: {\"a\":\"z\"}: field is immutable"]);
}

#[test]
fn the_newest_default_counts() {
    let marked = |name, created| {
        let metadata = json!({ "name": name, "creationTimestamp": created,
                               "annotations": { DEFAULT_ANNOTATION: "true" } });
        class(name, json!({ "metadata": metadata }))
    };
    let classes = [
        class("plain", json!({})),
        marked("old", "2026-01-01T00:00:00Z"),
        marked("new", "2026-01-02T00:00:00Z"),
        marked("also-new", "2026-01-02T00:00:00Z"),
    ];
    assert_eq!(default_of(&classes).and_then(|class| class.metadata.name.as_deref()), Some("also-new"));
    assert!(default_of(&classes[..1]).is_none());
}

#[test]
fn topologies_name_each_key_and_value_once() {
    let expressions = |list: Value| json!({"matchLabelExpressions": list});
    let term = expressions(json!([{"key": "a", "values": ["x"]}]));
    let double = expressions(json!([{"key": "a", "values": ["x", "x"]}, {"key": "a", "values": []}]));
    for (terms, expected) in [
        (json!([term]), &[][..]),
        (json!([term, term]), &["allowedTopologies[1].matchLabelExpressions: Duplicate value: \"\""]),
        (
            json!([double]),
            &[
                "allowedTopologies[0].matchLabelExpressions[0].values[1]: Duplicate value: \"x\"",
                "allowedTopologies[0].matchLabelExpressions[1].values: Required value",
                "allowedTopologies[0].matchLabelExpressions[1].key: Duplicate value: \"a\"",
            ],
        ),
    ] {
        let errors = Kind::validate(&class("a", json!({ "allowedTopologies": terms })));
        assert_eq!(errors.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
    }
}
