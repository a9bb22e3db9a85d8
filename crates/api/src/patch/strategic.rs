//! Strategic merge patch: a merge patch that knows from the schema which lists merge, and by which key.
//!
//! Directives: `$patch` (`replace`, `delete`, `merge`) in a map or a list element, `$retainKeys` beside the fields it
//! speaks of, `$setElementOrder/<list>` and `$deleteFromPrimitiveList/<list>` beside a list.

mod order;

use serde_json::{Map, Value as Json};

use crate::decode::go;
use crate::schema::{Field, PatchStrategy, Type, Value};

type Object = Map<String, Json>;
type Result<T> = std::result::Result<T, Error>;

const PATCH: &str = "$patch";
const RETAIN_KEYS: &str = "$retainKeys";
const SET_ORDER: &str = "$setElementOrder";
const DELETE_FROM: &str = "$deleteFromPrimitiveList";

/// Why a patch cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `$deleteFromPrimitiveList` without a list's name.
    #[error("invalid patch format of primitive list")]
    BadPrimitiveList,
    /// `$retainKeys` that is no list, or does not name a field that is patched.
    #[error("invalid patch format of retainKeys")]
    BadRetainKeys,
    /// `$setElementOrder` that is no list or belongs to none.
    #[error("invalid patch format of setElementOrder list")]
    BadElementOrder,
    /// A list in a list that would have to merge.
    #[error("lists of lists are not supported")]
    ListOfLists,
    /// Anything else, in upstream's words.
    #[error("{0}")]
    Other(String),
}

fn other<T>(text: String) -> Result<T> {
    Err(Error::Other(text))
}

/// Merges a patch into an object of a structure.
///
/// # Errors
/// See [`Error`]; the object is then worth nothing.
pub fn apply(original: &mut Object, patch: Object, structure: Type) -> Result<()> {
    merge_map(original, patch, Value::Object(structure))
}

/// What the schema says of a member of a map or structure.
#[derive(Clone, Copy)]
struct Member {
    value: Value,
    field: Option<Field>,
}

impl Member {
    fn find(parent: Value, key: &str) -> Result<Self> {
        match parent {
            Value::Object(structure) => match structure.field(key) {
                Some(field) => Ok(Self { value: field.value(), field: Some(field) }),
                None => {
                    let (name, key) = (structure.name(), go::quote(key));
                    other(format!("unable to find api field in struct {name} for the json field {key}"))
                }
            },
            Value::Map(element) => Ok(Self { value: element.value(), field: None }),
            _ => Ok(Self { value: Value::Any, field: None }),
        }
    }

    fn strategy(self) -> PatchStrategy {
        self.field.map_or(PatchStrategy::None, Field::patch_strategy)
    }

    fn merges_lists(self) -> bool {
        matches!(self.strategy(), PatchStrategy::Merge | PatchStrategy::MergeRetainKeys)
    }

    fn merge_key(self) -> Option<&'static str> {
        self.field.and_then(Field::merge_key)
    }

    fn element(self) -> Value {
        match self.value {
            Value::Array(element) => element.value(),
            _ => Value::Any,
        }
    }
}

fn merge_map(original: &mut Object, mut patch: Object, schema: Value) -> Result<()> {
    if let Some(directive) = patch.get(PATCH) {
        match directive.as_str() {
            Some("replace") => {
                patch.remove(PATCH);
                *original = patch;
            }
            Some("delete") => original.clear(),
            _ => return other(unknown_directive(directive, &patch)),
        }
        return Ok(());
    }
    retain_keys(original, &mut patch)?;
    order::set_element_orders(original, &mut patch, schema)?;
    for (key, value) in patch {
        let (key, deletes) = match key.strip_prefix(DELETE_FROM) {
            Some(rest) => (rest.strip_prefix('/').ok_or(Error::BadPrimitiveList)?.to_owned(), true),
            None => (key, false),
        };
        merge_member(original, key, value, deletes, schema)?;
    }
    Ok(())
}

fn merge_member(original: &mut Object, key: String, value: Json, deletes: bool, schema: Value) -> Result<()> {
    if value.is_null() {
        original.remove(&key);
        return Ok(());
    }
    match (original.get_mut(&key), value) {
        (Some(Json::Object(old)), Json::Object(new)) => {
            let member = Member::find(schema, &key)?;
            if member.strategy() == PatchStrategy::Replace {
                *old = new;
                return Ok(());
            }
            merge_map(old, new, member.value)
        }
        (Some(Json::Array(old)), Json::Array(new)) => {
            let member = Member::find(schema, &key)?;
            if !member.merges_lists() {
                *old = new;
                return Ok(());
            }
            *old = merge_list(std::mem::take(old), new, member, deletes)?;
            Ok(())
        }
        (_, _) if deletes => Ok(()),
        (_, value) => {
            match without_directives(value) {
                Some(value) => original.insert(key, value),
                None => original.remove(&key),
            };
            Ok(())
        }
    }
}

/// Merges two lists whose field has the strategy `merge`.
fn merge_list(mut original: Vec<Json>, mut patch: Vec<Json>, member: Member, deletes: bool) -> Result<Vec<Json>> {
    let Some(first) = original.first().or(patch.first()) else { return Ok(original) };
    same_kinds(&original, &patch)?;
    if !first.is_object() {
        if deletes {
            original.retain(|value| !patch.contains(value));
            return Ok(original);
        }
        let mut merged = original.clone();
        merged.extend(patch.iter().filter(|value| !original.contains(value)).cloned());
        order::dedup(&mut merged);
        return order::arrange(merged, &patch, &original, None);
    }
    let Some(key) = member.merge_key() else {
        return other("cannot merge lists without merge key for type struct".to_owned());
    };
    apply_element_directives(&mut original, &mut patch, key)?;
    let mut merged = original.clone();
    for element in &patch {
        let Json::Object(map) = element else { continue };
        let value = map.get(key).ok_or_else(|| no_merge_key(map, key))?;
        match find(&merged, key, value)? {
            Some(place) => {
                let Json::Object(old) = &mut merged[place] else { continue };
                merge_map(old, map.clone(), member.element())?;
            }
            None => merged.extend(without_directives(element.clone())),
        }
    }
    order::arrange(merged, &patch, &original, Some(key))
}

/// Carries out and removes the elements that are directives.
fn apply_element_directives(original: &mut Vec<Json>, patch: &mut Vec<Json>, key: &str) -> Result<()> {
    let mut replace = false;
    let mut rest = Vec::with_capacity(patch.len());
    for element in std::mem::take(patch) {
        let Json::Object(map) = &element else { continue };
        let Some(directive) = map.get(PATCH) else {
            rest.push(element);
            continue;
        };
        match directive.as_str() {
            Some("delete") => {
                let value = map.get(key).ok_or_else(|| no_merge_key(map, key))?;
                while let Some(place) = find(original, key, value)? {
                    original.remove(place);
                }
            }
            Some("replace") => replace = true,
            Some("merge") => return other("merging lists cannot yet be specified in the patch".to_owned()),
            _ => return other(unknown_directive(directive, map)),
        }
    }
    if replace {
        *original = rest;
    } else {
        *patch = rest;
    }
    Ok(())
}

/// The place of the element with that value under the merge key.
fn find(list: &[Json], key: &str, value: &Json) -> Result<Option<usize>> {
    for (place, element) in list.iter().enumerate() {
        let Json::Object(map) = element else { return other(format!("value for key {place} is not a map.")) };
        if map.get(key) == Some(value) {
            return Ok(Some(place));
        }
    }
    Ok(None)
}

/// Clears the members that `$retainKeys` does not name.
fn retain_keys(original: &mut Object, patch: &mut Object) -> Result<()> {
    let Some(keys) = patch.remove(RETAIN_KEYS) else { return Ok(()) };
    let keys = keys.as_array().ok_or(Error::BadRetainKeys)?;
    let named = |key: &str| keys.iter().any(|named| named == key);
    let directive = |key: &str| key.starts_with(SET_ORDER) || key.starts_with(DELETE_FROM);
    if patch.iter().any(|(key, value)| !value.is_null() && !directive(key) && !named(key)) {
        return Err(Error::BadRetainKeys);
    }
    original.retain(|key, _| named(key));
    Ok(())
}

/// A value of the patch that has nothing to merge with: without directives and `null`s, or nothing at all.
fn without_directives(value: Json) -> Option<Json> {
    match value {
        Json::Object(map) if map.get(PATCH).is_some_and(|directive| directive == "delete") => None,
        Json::Object(map) => Some(Json::Object(
            map.into_iter()
                .filter(|(key, value)| !value.is_null() && !is_directive(key))
                .filter_map(|(key, value)| Some((key, without_directives(value)?)))
                .collect(),
        )),
        Json::Array(list) => Some(Json::Array(list.into_iter().filter_map(without_directives).collect())),
        other => Some(other),
    }
}

fn is_directive(key: &str) -> bool {
    key == PATCH || key == RETAIN_KEYS || key.starts_with(SET_ORDER) || key.starts_with(DELETE_FROM)
}

/// Refuses lists whose elements are of several kinds, or lists.
fn same_kinds(original: &[Json], patch: &[Json]) -> Result<()> {
    let mut all = original.iter().chain(patch);
    let Some(first) = all.next() else { return Ok(()) };
    if first.is_array() {
        return Err(Error::ListOfLists);
    }
    if all.any(|value| std::mem::discriminant(value) != std::mem::discriminant(first)) {
        let (original, patch) = (go::print_list(original), go::print_list(patch));
        return other(format!("list element types are not identical: [{original} {patch}]"));
    }
    Ok(())
}

fn no_merge_key(map: &Object, key: &str) -> Error {
    Error::Other(format!("map: {} does not contain declared merge key: {key}", go::print_map(map)))
}

fn unknown_directive(directive: &Json, map: &Object) -> String {
    format!("unknown patch type: {} in map: {}", go::print(directive), go::print_map(map))
}
