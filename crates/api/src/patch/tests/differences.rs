//! Merge patches and JSON patches that are the difference of two random documents: they lead from one to the other.

use serde_json::{Map, Value, json};

use super::{merge, patched};
use testkit::dice::Dice;

/// Names that a JSON pointer has to escape are among them.
const NAMES: [&str; 5] = ["a", "b", "c/d", "e~f", "~1"];

/// A document of maps, lists and scalars. There are no nulls, which a merge patch cannot write.
fn random(dice: &mut Dice, levels: usize) -> Value {
    match dice.below(if levels == 0 { 2 } else { 5 }) {
        0 => dice.text().into(),
        1 => dice.below(3).into(),
        2 => (0..dice.below(4)).map(|_| random(dice, levels - 1)).collect(),
        _ => random_map(dice, levels),
    }
}

fn random_map(dice: &mut Dice, levels: usize) -> Value {
    let mut map = Map::new();
    for name in NAMES {
        if dice.one_in(2) {
            map.insert(name.to_owned(), random(dice, levels - 1));
        }
    }
    Value::Object(map)
}

/// The merge patch from one document to another.
fn merge_difference(from: &Map<String, Value>, to: &Map<String, Value>) -> Map<String, Value> {
    let gone = from.keys().filter(|name| !to.contains_key(*name)).map(|name| (name.clone(), Value::Null));
    let other = to.iter().filter(|(name, value)| from.get(*name) != Some(*value));
    let other = other.map(|(name, value)| match (from.get(name), value) {
        (Some(Value::Object(from)), Value::Object(to)) => (name.clone(), merge_difference(from, to).into()),
        // What stands in the place of something else is written whole; a map merges with nothing.
        _ => (name.clone(), value.clone()),
    });
    gone.chain(other).collect()
}

/// The operations from one document to another, at a path.
fn operations(dice: &mut Dice, path: &str, from: &Value, to: &Value, all: &mut Vec<Value>) {
    let below = |name: &str| format!("{path}/{}", name.replace('~', "~0").replace('/', "~1"));
    match (from, to) {
        (from, to) if from == to => all.push(json!({"op": "test", "path": path, "value": to})),
        (Value::Object(from), Value::Object(to)) => {
            for name in from.keys().filter(|name| !to.contains_key(*name)) {
                all.push(json!({"op": "remove", "path": below(name)}));
            }
            for (name, value) in to {
                match from.get(name) {
                    Some(old) => operations(dice, &below(name), old, value, all),
                    None => all.push(json!({"op": "add", "path": below(name), "value": value})),
                }
            }
        }
        (Value::Array(from), Value::Array(to)) => {
            // From the end, so that places stay what they are.
            for place in (to.len()..from.len()).rev() {
                all.push(json!({"op": "remove", "path": format!("{path}/{place}")}));
            }
            for (place, value) in to.iter().enumerate() {
                match from.get(place) {
                    Some(old) => operations(dice, &format!("{path}/{place}"), old, value, all),
                    None => all.push(json!({"op": "add", "path": format!("{path}/-"), "value": value})),
                }
            }
        }
        (_, to) => {
            let op = if path.is_empty() || dice.one_in(2) { "replace" } else { "add" };
            // `add` puts an element before the one that is there, and takes the place of a member.
            let is_element = path.rsplit('/').next().is_some_and(|last| last.parse::<usize>().is_ok());
            all.push(json!({"op": if is_element { "replace" } else { op }, "path": path, "value": to}));
        }
    }
}

#[test]
fn merge_patches_lead_from_one_document_to_the_other() {
    let mut dice = Dice::new(21);
    for _ in 0..3_000 {
        let (from, to) = (random_map(&mut dice, 3), random_map(&mut dice, 3));
        let (Value::Object(old), Value::Object(new)) = (&from, &to) else { panic!("maps") };
        let patch = merge_difference(old, new);
        let mut document = from.clone();
        merge::apply(&mut document, patch.clone());
        assert_eq!(document, to, "{from} with {patch:?}");
        merge::apply(&mut document, patch.clone());
        assert_eq!(document, to, "{patch:?} twice");
    }
}

#[test]
fn json_patches_lead_from_one_document_to_the_other() {
    let mut dice = Dice::new(22);
    for _ in 0..3_000 {
        let (from, to) = (random_map(&mut dice, 3), random_map(&mut dice, 3));
        let mut patch = Vec::new();
        operations(&mut dice, "", &from, &to, &mut patch);
        // A test of the whole document is no operation of its own in upstream's library.
        patch.retain(|operation| operation["path"] != "");
        assert_eq!(patched(from.clone(), patch.clone().into()).as_ref(), Some(&to), "{from} with {patch:?}");
    }
}

#[test]
fn moves_and_copies_are_what_they_are_made_of() {
    let mut dice = Dice::new(23);
    for _ in 0..1_000 {
        let document = random_map(&mut dice, 3);
        let Some(name) = document.as_object().and_then(|map| map.keys().next().cloned()) else { continue };
        let (value, path) = (document[&name].clone(), format!("/{}", name.replace('~', "~0").replace('/', "~1")));
        let add = json!({"op": "add", "path": "/new", "value": value});
        let copied = patched(document.clone(), json!([{"op": "copy", "from": path, "path": "/new"}]));
        assert_eq!(copied, patched(document.clone(), json!([add])), "{document}");
        let moved = patched(document.clone(), json!([{"op": "move", "from": path, "path": "/new"}]));
        assert_eq!(moved, patched(document.clone(), json!([{"op": "remove", "path": path}, add])), "{document}");
    }
}
