//! A value without some of its fields.

use serde_json::{Map, Value as Json};

use super::{Place, Shape, elements};
use crate::managed_fields::path::PathElement;
use crate::managed_fields::set::Set;

/// The value without the fields and elements of a set. What is left empty by that becomes `null`.
pub fn remove(value: &Json, fields: &Set, place: Place) -> Json {
    match (place.shape(Some(value)), value) {
        (Shape::Leaf, Json::Array(_) | Json::Object(_)) => Json::Null, // something below goes, so all of it does
        (Shape::Map, Json::Object(map)) => {
            let rest: Map<String, Json> = map
                .iter()
                .filter_map(|(name, value)| {
                    Some((name.clone(), remove_child(PathElement::field(name), value, fields, place)?))
                })
                .collect();
            if rest.is_empty() { Json::Null } else { Json::Object(rest) }
        }
        (Shape::Set | Shape::Keyed(_), Json::Array(_)) => {
            let rest: Vec<Json> = elements(Some(value))
                .iter()
                .filter_map(|item| match place.list_element(item) {
                    Ok(element) => remove_child(element, item, fields, place),
                    Err(_) => Some(item.clone()),
                })
                .collect();
            if rest.is_empty() { Json::Null } else { Json::Array(rest) }
        }
        (Shape::Leaf, scalar) => scalar.clone(),
        (Shape::Map | Shape::Set | Shape::Keyed(_), _) => Json::Null,
    }
}

fn remove_child(element: PathElement, value: &Json, fields: &Set, place: Place) -> Option<Json> {
    if fields.members.contains(&element) {
        return None;
    }
    Some(match fields.children.get(&element) {
        Some(below) => remove(value, below, place.child(&element)),
        None => value.clone(),
    })
}
