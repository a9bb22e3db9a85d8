//! Random strategic merge patches against a model that knows nothing of schemas, only the names of lists that merge.

use serde_json::{Map, Value, json};

use super::{POD, strategic};
use testkit::dice::Dice;

/// Lists that merge, with the field that names their elements; elements of those without are what they are.
const MERGING: [(&str, Option<&str>); 4] =
    [("containers", Some("name")), ("env", Some("name")), ("volumeMounts", Some("mountPath")), ("finalizers", None)];

fn map(dice: &mut Dice, value: impl Fn(&mut Dice) -> Value) -> Value {
    let mut map = Map::new();
    for name in ["a", "b", "c"] {
        if dice.one_in(2) {
            map.insert(name.to_owned(), value(dice));
        }
    }
    Value::Object(map)
}

/// A list of which each element stands once.
fn list(dice: &mut Dice, element: impl Fn(&mut Dice, &str) -> Value) -> Value {
    let names: Vec<&str> = ["p", "q", "r"].into_iter().filter(|_| dice.one_in(2)).collect();
    names.into_iter().map(|name| element(dice, name)).collect()
}

fn random_pod(dice: &mut Dice) -> Value {
    let mut pod = json!({"metadata": {}, "spec": {}});
    let text = |dice: &mut Dice| dice.text().into();
    if dice.one_in(2) {
        pod["metadata"]["labels"] = map(dice, text);
    }
    if dice.one_in(2) {
        pod["metadata"]["finalizers"] = list(dice, |_, name| format!("a.b/{name}").into());
    }
    if dice.one_in(2) {
        pod["spec"]["nodeSelector"] = map(dice, text);
    }
    if !dice.one_in(4) {
        pod["spec"]["containers"] = list(dice, |dice, name| {
            let mut container = json!({"name": name});
            if dice.one_in(2) {
                container["image"] = dice.text().into();
            }
            if dice.one_in(2) {
                container["command"] = list(dice, |dice, _| dice.text().into());
            }
            if dice.one_in(2) {
                container["env"] = list(dice, |dice, name| json!({"name": name, "value": dice.text()}));
            }
            if dice.one_in(2) {
                container["volumeMounts"] = list(dice, |dice, path| json!({"mountPath": path, "name": dice.text()}));
            }
            container
        });
    }
    pod
}

/// Makes some members of a patch take away what the original has.
fn add_removals(dice: &mut Dice, original: &Value, patch: &mut Value) {
    let (Value::Object(original), Value::Object(patch)) = (original, patch) else { return };
    for (name, value) in original {
        match patch.get_mut(name) {
            _ if dice.one_in(6) && name != "name" && name != "metadata" && name != "spec" => {
                patch.insert(name.clone(), Value::Null);
            }
            Some(inner) => add_removals(dice, value, inner),
            None => {}
        }
    }
}

fn model(name: &str, original: Option<&Value>, patch: &Value) -> Value {
    let key = MERGING.iter().find(|(list, _)| *list == name).map(|(_, key)| key);
    match (original, patch, key) {
        (Some(Value::Object(original)), Value::Object(patch), _) => {
            let mut merged = original.clone();
            for (name, value) in patch {
                let value = model(name, original.get(name), value);
                if value.is_null() {
                    merged.remove(name)
                } else {
                    merged.insert(name.clone(), value)
                };
            }
            Value::Object(merged)
        }
        (Some(Value::Array(original)), Value::Array(patch), Some(key)) => {
            let id = |value: &Value| key.map_or_else(|| value.clone(), |key| value[key].clone());
            let mut merged = original.clone();
            for element in patch {
                match merged.iter_mut().find(|there| id(there) == id(element)) {
                    Some(there) => *there = model("", Some(there), element),
                    None => merged.push(element.clone()),
                }
            }
            Value::Array(merged)
        }
        (_, patch, _) => patch.clone(),
    }
}

/// With the elements of merging lists in the order of their texts: which order they get is another matter.
fn sorted(name: &str, value: &Value) -> Value {
    match value {
        Value::Object(map) => map.iter().map(|(name, value)| (name.clone(), sorted(name, value))).collect(),
        Value::Array(list) => {
            let mut list: Vec<Value> = list.iter().map(|value| sorted("", value)).collect();
            if MERGING.iter().any(|(merging, _)| *merging == name) {
                list.sort_by_key(Value::to_string);
            }
            Value::Array(list)
        }
        scalar => scalar.clone(),
    }
}

#[test]
fn strategic_merges_equal_a_simple_model() {
    let mut dice = Dice::new(11);
    for _ in 0..2_000 {
        let original = random_pod(&mut dice);
        let mut patch = random_pod(&mut dice);
        add_removals(&mut dice, &original, &mut patch);
        let merged = strategic(POD, original.clone(), patch.clone()).expect("merges");
        let expected = model("", Some(&original), &patch);
        assert_eq!(sorted("", &merged), sorted("", &expected), "{original} with {patch}");
        // What a patch without removals asks for is there, and asking again changes nothing.
        let again = strategic(POD, merged.clone(), patch.clone()).expect("merges");
        assert_eq!(sorted("", &again), sorted("", &merged), "{patch} twice");
    }
}
