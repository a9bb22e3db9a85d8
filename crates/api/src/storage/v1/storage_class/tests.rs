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
