//! Whether an applied configuration fits its schema, in the words of upstream's checker.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{Place, Problem, Shape};
use crate::decode::go;
use crate::managed_fields::path::PathElement;
use crate::schema::Value;

/// Checks a value. `null` fits everywhere.
///
/// # Errors
/// Every problem, as one text.
pub fn check(value: &Json, place: Place) -> Result<(), String> {
    let problems = problems(value, place);
    match problems.as_slice() {
        [] => Ok(()),
        [problem] => Err(problem.to_string()),
        problems => Err(problems.iter().fold("errors:".to_owned(), |all, problem| format!("{all}\n  {problem}"))),
    }
}

fn problems(value: &Json, place: Place) -> Vec<Problem> {
    if value.is_null() {
        return Vec::new();
    }
    match (place.value, value) {
        (Value::Any, _) => Vec::new(),
        (Value::Object(_) | Value::Map(_), Json::Object(map)) => {
            let mut found = Vec::new();
            for (name, value) in map {
                let element = PathElement::field(name);
                if matches!(place.value, Value::Object(_)) && !place.is_named_field(&element) {
                    found.push(Problem::new("field not declared in schema").below(&element));
                    return found; // the rest is not looked at
                }
                found.extend(child_problems(&element, value, place));
            }
            found
        }
        (Value::Array(_), Json::Array(list)) => list_problems(list, place),
        (Value::Object(_) | Value::Map(_), other) => {
            vec![Problem::new(format!("expected map, got {}", pointer(other)))]
        }
        (Value::Array(_), other) => vec![Problem::new(format!("expected list, got {}", pointer(other)))],
        (expected, other) => scalar_problem(expected, other).into_iter().collect(),
    }
}

fn list_problems(list: &[Json], place: Place) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for (position, item) in list.iter().enumerate() {
        let element = match place.list_shape() {
            Shape::Leaf | Shape::Map => PathElement::Index(i64::try_from(position).unwrap_or(i64::MAX)),
            Shape::Set | Shape::Keyed(_) => match place.list_element(item) {
                Ok(element) => {
                    if !seen.insert(element.clone()) {
                        found.push(Problem::new(format!("duplicate entries for key {element}")));
                    }
                    element
                }
                Err(problem) => {
                    found.push(problem.of_element(position));
                    return found;
                }
            },
        };
        found.extend(child_problems(&element, item, place));
    }
    found
}

fn child_problems(element: &PathElement, value: &Json, place: Place) -> impl Iterator<Item = Problem> {
    problems(value, place.child(element)).into_iter().map(|problem| problem.below(element))
}

fn scalar_problem(expected: Value, found: &Json) -> Option<Problem> {
    let fits = match expected {
        Value::Int32 | Value::Int64 | Value::Float64 => found.is_number(),
        Value::String | Value::Bytes => found.is_string(),
        Value::Bool => found.is_boolean(),
        _ => !found.is_array() && !found.is_object(),
    };
    if fits {
        return None;
    }
    Some(Problem::new(match expected {
        Value::Int32 | Value::Int64 | Value::Float64 => {
            format!("expected numeric (int or float), got {}", go_type(found))
        }
        Value::String | Value::Bytes => {
            format!("expected string, got &value.valueUnstructured{{Value:{}}}", go_syntax(found))
        }
        Value::Bool => format!("expected boolean, got {}", pointer(found)),
        _ => format!("expected any scalar, got {}", pointer(found)),
    }))
}

/// Go's `%v` of a pointer to a structure that holds the value.
fn pointer(value: &Json) -> String {
    format!("&{{{}}}", go::print(value))
}

/// Go's `%T`.
fn go_type(value: &Json) -> &'static str {
    match value {
        Json::Null => "<nil>",
        Json::Bool(_) => "bool",
        Json::Number(number) if number.is_f64() => "float64",
        Json::Number(_) => "int64",
        Json::String(_) => "string",
        Json::Array(_) => "[]interface {}",
        Json::Object(_) => "map[string]interface {}",
    }
}

/// Go's `%#v`.
fn go_syntax(value: &Json) -> String {
    match value {
        Json::Null => "interface {}(nil)".to_owned(),
        Json::String(text) => go::quote(text),
        Json::Bool(_) | Json::Number(_) => value.to_string(),
        Json::Array(list) => {
            format!("[]interface {{}}{{{}}}", list.iter().map(go_syntax).collect::<Vec<_>>().join(", "))
        }
        Json::Object(map) => {
            let members = map.iter().map(|(name, value)| format!("{}:{}", go::quote(name), go_syntax(value)));
            format!("map[string]interface {{}}{{{}}}", members.collect::<Vec<_>>().join(", "))
        }
    }
}
