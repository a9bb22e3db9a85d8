//! Which fields a value has.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::{Place, Problem, Shape, elements};
use crate::managed_fields::path::PathElement;
use crate::managed_fields::set::Set;

/// Every leaf and every element of a list or map that a value names.
///
/// # Errors
/// An element of a list that cannot be found by its keys.
pub fn extract(value: &Json, place: Place) -> Result<Set, Problem> {
    let mut set = Set::default();
    extract_into(&mut set, &mut Vec::new(), value, place)?;
    Ok(set)
}

fn extract_into(set: &mut Set, path: &mut Vec<PathElement>, value: &Json, place: Place) -> Result<(), Problem> {
    match place.shape(Some(value)) {
        Shape::Leaf => set.insert(path),
        Shape::Map => {
            for (name, value) in value.as_object().into_iter().flatten() {
                let element = PathElement::field(name);
                let is_key = !place.is_named_field(&element);
                let child = place.child(&element);
                path.push(element);
                extract_into(set, path, value, child)?;
                let is_empty = value.is_null() || value.as_object().is_some_and(serde_json::Map::is_empty);
                if is_empty || is_key {
                    set.insert(path);
                }
                path.pop();
            }
        }
        Shape::Set | Shape::Keyed(_) => extract_list(set, path, value, place)?,
    }
    Ok(())
}

/// An element that stands more than once is owned as a whole, not by its fields.
fn extract_list(set: &mut Set, path: &mut Vec<PathElement>, value: &Json, place: Place) -> Result<(), Problem> {
    let mut found = Vec::new();
    let (mut seen, mut twice) = (BTreeSet::new(), BTreeSet::new());
    for item in elements(Some(value)) {
        let element = place.list_element(item)?;
        if !seen.insert(element.clone()) {
            twice.insert(element.clone());
        }
        found.push((element, item));
    }
    for (element, item) in found {
        let child = place.child(&element);
        let once = !twice.contains(&element);
        path.push(element);
        if once {
            extract_into(set, path, item, child)?;
        }
        set.insert(path);
        path.pop();
    }
    Ok(())
}
