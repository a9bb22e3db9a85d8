//! How a set is written in `fieldsV1`: one member per path element, `.` for an element that has members below it and is
//! one itself.

use serde_json::{Map, Value};

use super::path::PathElement;
use super::set::Set;

const SELF: &str = ".";

/// The JSON of a set.
pub fn encode(set: &Set) -> Value {
    Value::Object(encode_members(set))
}

fn encode_members(set: &Set) -> Map<String, Value> {
    let mut map: Map<String, Value> =
        set.members.iter().map(|element| (element.encode(), Value::Object(Map::new()))).collect();
    for (element, child) in &set.children {
        let mut members = encode_members(child);
        if set.members.contains(element) {
            members.insert(SELF.to_owned(), Value::Object(Map::new()));
        }
        map.insert(element.encode(), Value::Object(members));
    }
    map
}

/// The set that a JSON is; `None` when it is none. Elements of unknown kinds are left out.
pub fn decode(fields: &Value) -> Option<Set> {
    let mut set = Set::default();
    for (key, value) in fields.as_object()? {
        if key == SELF {
            continue;
        }
        let Some(element) = PathElement::parse(key) else {
            if is_known_kind(key) {
                return None;
            }
            continue;
        };
        let child = decode(value)?;
        if child.is_empty() || value.get(SELF).is_some() {
            set.members.insert(element.clone());
        }
        if !child.is_empty() {
            set.children.insert(element, child);
        }
    }
    Some(set)
}

/// Whether a key is of a known kind, and therefore malformed where it cannot be parsed.
fn is_known_kind(key: &str) -> bool {
    key.len() < 2 || key.as_bytes().get(1) != Some(&b':') || matches!(key.as_bytes()[0], b'f' | b'k' | b'v' | b'i')
}
