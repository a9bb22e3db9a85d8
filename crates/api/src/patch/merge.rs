//! JSON Merge Patch (RFC 7386).

use serde_json::{Map, Value};

/// Merges a patch into a document: `null` deletes, maps merge, anything else replaces.
pub fn apply(document: &mut Value, patch: Map<String, Value>) {
    if !document.is_object() {
        *document = Value::Object(Map::new());
    }
    let Value::Object(map) = document else { return };
    for (key, value) in patch {
        match value {
            Value::Null => {
                map.remove(&key);
            }
            Value::Object(patch) => apply(map.entry(key).or_insert(Value::Null), patch),
            value => {
                map.insert(key, value);
            }
        }
    }
}
