//! The smallest strategic merge patch from one status to another. Pure.

use k8s_openapi::api::core::v1::PodStatus;
use serde_json::{Map, Value, json};

use crate::pod::Uid;

/// Lists that the API merges by key; every other field is replaced as a whole.
const MERGED_LISTS: [(&str, &str); 3] = [("conditions", "type"), ("podIPs", "ip"), ("hostIPs", "ip")];

/// The patch's body, or nothing if both say the same. It names the UID, so that it cannot hit a successor.
pub fn status_patch(uid: &Uid, known: &PodStatus, wanted: &PodStatus) -> Option<Value> {
    let (known, wanted) = (fields(known), fields(wanted));
    let mut changes = Map::new();
    for (name, value) in &wanted {
        let before = known.get(name);
        if before == Some(value) {
            continue;
        }
        let key = MERGED_LISTS.iter().find(|(list, _)| list == name).map(|(_, key)| *key);
        let change = match (key, before.and_then(Value::as_array), value.as_array()) {
            (Some(key), Some(before), Some(after)) => list_patch(key, before, after),
            _ => value.clone(),
        };
        changes.insert(name.clone(), change);
    }
    for name in known.keys().filter(|name| !wanted.contains_key(*name)) {
        changes.insert(name.clone(), Value::Null);
    }
    (!changes.is_empty()).then(|| json!({ "metadata": { "uid": uid.as_str() }, "status": changes }))
}

/// Elements that are new or different, and a directive for each that is gone.
fn list_patch(key: &str, before: &[Value], after: &[Value]) -> Value {
    let same_key = |left: &Value, right: &Value| left.get(key) == right.get(key);
    let mut elements: Vec<Value> = after.iter().filter(|element| !before.contains(element)).cloned().collect();
    // A key that an element no longer has must be said to be gone, or merging keeps it.
    for element in &mut elements {
        let old = before.iter().find(|old| same_key(old, element)).and_then(Value::as_object);
        if let (Some(old), Some(element)) = (old, element.as_object_mut()) {
            let dropped: Vec<String> = old.keys().filter(|name| !element.contains_key(*name)).cloned().collect();
            element.extend(dropped.into_iter().map(|name| (name, Value::Null)));
        }
    }
    let gone = before.iter().filter(|old| !after.iter().any(|new| same_key(old, new)));
    elements.extend(gone.map(|old| json!({ "$patch": "delete", key: old.get(key) })));
    Value::Array(elements)
}

fn fields(status: &PodStatus) -> Map<String, Value> {
    match serde_json::to_value(status) {
        Ok(Value::Object(fields)) => fields,
        other => unreachable!("a status encodes as an object, not {other:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(value: Value) -> PodStatus {
        serde_json::from_value(value).unwrap()
    }

    fn check(known: Value, wanted: Value, expected: Value) {
        let patch = status_patch(&Uid::new("u"), &status(known), &status(wanted));
        assert_eq!(patch.map_or(Value::Null, |patch| patch["status"].clone()), expected);
    }

    #[test]
    fn says_nothing_when_nothing_changed() {
        check(json!({"phase": "Running"}), json!({"phase": "Running"}), Value::Null);
    }

    #[test]
    fn names_changed_and_dropped_fields_only() {
        check(
            json!({"phase": "Pending", "qosClass": "Burstable", "message": "m"}),
            json!({"phase": "Running", "qosClass": "Burstable"}),
            json!({"phase": "Running", "message": null}),
        );
    }

    #[test]
    fn merges_conditions_by_type() {
        let ready = json!({"type": "Ready", "status": "False", "reason": "ContainersNotReady"});
        let scheduled = json!({"type": "PodScheduled", "status": "True"});
        check(
            json!({"conditions": [scheduled, ready]}),
            json!({"conditions": [scheduled, {"type": "Ready", "status": "True"}]}),
            json!({"conditions": [{"type": "Ready", "status": "True", "reason": null}]}),
        );
    }

    #[test]
    fn replaces_an_address() {
        check(
            json!({"podIPs": [{"ip": "10.0.0.1"}]}),
            json!({"podIPs": [{"ip": "10.0.0.2"}]}),
            json!({"podIPs": [{"ip": "10.0.0.2"}, {"$patch": "delete", "ip": "10.0.0.1"}]}),
        );
    }

    #[test]
    fn names_the_uid() {
        let patch = status_patch(&Uid::new("u-1"), &PodStatus::default(), &status(json!({"phase": "Failed"})));
        assert_eq!(patch.unwrap()["metadata"], json!({"uid": "u-1"}));
    }
}
