//! Walking values by their schema: what a value has ([`extract`]), how two differ ([`compare`]), what both make together
//! ([`merge`]), what is left without some fields ([`remove`]), and whether a value fits its schema at all ([`check`]).

mod check;
mod compare;
mod extract;
mod merge;
mod remove;
mod zero;

use serde_json::{Map, Value as Json};

use super::path::PathElement;
use crate::schema::{Element, Field, ListType, MapType, PatchStrategy, Type, Value};

pub use check::check;
pub use compare::{Comparison, compare};
pub use extract::extract;
pub use merge::merge;
pub use remove::remove;
pub use zero::zero;

/// A value that does not fit its schema: where, and in which way.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}{message}", .path, if .path.is_empty() { "" } else { ": " })]
pub struct Problem {
    path: String,
    message: String,
}

impl Problem {
    fn new(message: impl Into<String>) -> Self {
        Self { path: String::new(), message: message.into() }
    }

    /// The same problem, of an element that only its position can name.
    fn of_element(self, position: usize) -> Self {
        Self { message: format!("element {position}: {self}"), path: String::new() }
    }

    /// The same problem, seen from the parent.
    fn below(mut self, element: &PathElement) -> Self {
        self.path.insert_str(0, &element.to_string());
        self
    }
}

/// What the schema says of a value: what it can be, and the field that holds it.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    value: Value,
    field: Option<Field>,
}

/// What a value is made of.
enum Shape {
    /// One value: also a list or map that is owned as one.
    Leaf,
    /// A map or structure whose members are owned each for itself.
    Map,
    /// A list whose elements are found by their own value.
    Set,
    /// A list whose elements are found by the values of some of their fields.
    Keyed(Field),
}

impl Place {
    /// A whole object.
    pub fn root(structure: Type) -> Self {
        Self::plain(Value::Object(structure))
    }

    fn plain(value: Value) -> Self {
        Self { value, field: None }
    }

    fn of(field: Field) -> Self {
        Self { value: field.value(), field: Some(field) }
    }

    /// How the value is owned. What nothing is known about shows itself in the values.
    fn shape(self, value: Option<&Json>) -> Shape {
        match self.value {
            Value::Object(structure) if self.is_atomic_map(structure.is_atomic()) => Shape::Leaf,
            Value::Map(_) if self.is_atomic_map(false) => Shape::Leaf,
            Value::Object(_) | Value::Map(_) => Shape::Map,
            Value::Array(_) => self.list_shape(),
            Value::Any if value.is_some_and(Json::is_object) => Shape::Map,
            _ => Shape::Leaf,
        }
    }

    fn is_atomic_map(self, by_type: bool) -> bool {
        match self.field.map(Field::map_type) {
            Some(MapType::Atomic) => true,
            Some(MapType::Granular) => false,
            Some(MapType::None) | None => by_type,
        }
    }

    /// Lists without a type are atomic, unless strategic merge patches merge them: that was said first.
    fn list_shape(self) -> Shape {
        let Some(field) = self.field else { return Shape::Leaf };
        let merges = matches!(field.patch_strategy(), PatchStrategy::Merge | PatchStrategy::MergeRetainKeys);
        match field.list_type() {
            ListType::Set => Shape::Set,
            ListType::Map => Shape::Keyed(field),
            ListType::None if merges && field.merge_key().is_some() => Shape::Keyed(field),
            ListType::None if merges => Shape::Set,
            ListType::None | ListType::Atomic => Shape::Leaf,
        }
    }

    /// Whether that element is a field of a structure, rather than a key of a map.
    pub fn is_named_field(self, element: &PathElement) -> bool {
        match (self.value, element) {
            (Value::Object(structure), PathElement::Field(name)) => structure.field(name).is_some(),
            _ => false,
        }
    }

    /// The place of a child.
    pub fn child(self, element: &PathElement) -> Self {
        match (self.value, element) {
            (Value::Object(structure), PathElement::Field(name)) => {
                structure.field(name).map_or(Self::plain(Value::Any), Self::of)
            }
            (Value::Map(element), PathElement::Field(_)) => Self::plain(element.value()),
            (Value::Array(element), _) => Self::element(element),
            _ => Self::plain(Value::Any),
        }
    }

    fn element(element: Element) -> Self {
        Self::plain(element.value())
    }

    /// How an element of this list is found.
    fn list_element(self, item: &Json) -> Result<PathElement, Problem> {
        match self.list_shape() {
            Shape::Keyed(field) => keyed_element(field, item),
            _ => set_element(item),
        }
    }
}

fn keyed_element(list: Field, item: &Json) -> Result<PathElement, Problem> {
    let map = match item {
        Json::Object(map) => map,
        Json::Null => return Err(Problem::new("associative list with keys may not have a null element")),
        _ => return Err(Problem::new("associative list with keys may not have non-map elements")),
    };
    let structure = match list.value() {
        Value::Array(element) => match element.value() {
            Value::Object(structure) => Some(structure),
            _ => None,
        },
        _ => None,
    };
    let mut names: Vec<&str> = list.list_map_keys().collect();
    if names.is_empty() {
        names.extend(list.merge_key());
    }
    let mut keys = Vec::with_capacity(names.len());
    for name in names {
        let value = match map.get(name) {
            Some(value) => Some(value.clone()),
            None => structure.and_then(|structure| default_of(structure.field(name)?)),
        };
        let value = value.ok_or_else(|| {
            Problem::new(format!(
                "associative list with keys has an element that omits key field \"{name}\" (and doesn't have default value)"
            ))
        })?;
        keys.push((name.to_owned(), value));
    }
    Ok(PathElement::key(keys))
}

fn default_of(field: Field) -> Option<Json> {
    field.default().and_then(|text| serde_json::from_str(text).ok())
}

fn set_element(item: &Json) -> Result<PathElement, Problem> {
    match item {
        Json::Object(_) => Err(Problem::new("associative list without keys has an element that's a map type")),
        Json::Array(_) => Err(Problem::new("not supported: associative list with lists as elements")),
        Json::Null => Err(Problem::new("associative list without keys has an element that's an explicit null")),
        scalar => Ok(PathElement::Value(super::path::Scalar(scalar.clone()))),
    }
}

/// The members of a map; none for `null`, nothing, and what is no map.
fn members(value: Option<&Json>) -> Option<&Map<String, Json>> {
    value.and_then(Json::as_object)
}

/// The elements of a list; none for `null`, nothing, and what is no list.
fn elements(value: Option<&Json>) -> &[Json] {
    value.and_then(Json::as_array).map_or(&[], Vec::as_slice)
}
