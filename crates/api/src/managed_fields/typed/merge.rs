//! A live object with what somebody applies.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::{Place, Problem, Shape, elements, members};
use crate::managed_fields::path::PathElement;

/// Merges an applied configuration into a live object: fields that only one of them has are kept, leaves that both have
/// are the applied ones.
///
/// # Errors
/// An element of a list that cannot be found by its keys, or stands twice in what is applied.
pub fn merge(live: &Json, applied: &Json, place: Place) -> Result<Json, Problem> {
    Ok(merge_values(Some(live), Some(applied), place)?.unwrap_or(Json::Null))
}

/// `None` where neither leaves anything: a map or list whose members have all gone is not there.
fn merge_values(live: Option<&Json>, applied: Option<&Json>, place: Place) -> Result<Option<Json>, Problem> {
    let keep = || Ok(applied.or(live).cloned());
    match place.shape(applied.or(live)) {
        Shape::Leaf => keep(),
        Shape::Map => {
            let (live, applied) = (members(live), members(applied));
            if live.is_none_or(Map::is_empty) && applied.is_none_or(Map::is_empty) {
                return keep();
            }
            merge_maps(live, applied, place)
        }
        Shape::Set | Shape::Keyed(_) => {
            let (live, applied) = (elements(live), elements(applied));
            if live.is_empty() && applied.is_empty() {
                return keep();
            }
            let merged = merge_lists(live, applied, place)?;
            Ok((!merged.is_empty()).then_some(Json::Array(merged)))
        }
    }
}

fn merge_maps(
    live: Option<&Map<String, Json>>,
    applied: Option<&Map<String, Json>>,
    place: Place,
) -> Result<Option<Json>, Problem> {
    let mut merged = Map::new();
    let names: BTreeSet<&String> = live.into_iter().chain(applied).flat_map(Map::keys).collect();
    for name in names {
        let get = |map: Option<&Map<String, Json>>| map.and_then(|map| map.get(name)).cloned();
        let (live, applied) = (get(live), get(applied));
        let element = PathElement::field(name);
        let value = merge_values(live.as_ref(), applied.as_ref(), place.child(&element));
        if let Some(value) = value.map_err(|problem| problem.below(&element))? {
            merged.insert(name.clone(), value);
        }
    }
    Ok((!merged.is_empty()).then_some(Json::Object(merged)))
}

/// A list as the merge sees it.
struct Index<'a> {
    order: Vec<PathElement>,
    /// `None` for an element that stands twice.
    values: BTreeMap<PathElement, Option<&'a Json>>,
}

impl<'a> Index<'a> {
    fn new(list: &'a [Json], place: Place, duplicates_allowed: bool) -> Result<Self, Problem> {
        let mut index = Self { order: Vec::with_capacity(list.len()), values: BTreeMap::new() };
        for (position, item) in list.iter().enumerate() {
            let element = place.list_element(item).map_err(|problem| problem.of_element(position))?;
            let known = index.values.insert(element.clone(), Some(item)).is_some();
            if known && !duplicates_allowed {
                return Err(Problem::new(format!("duplicate entries for key {element}")));
            }
            if known {
                index.values.insert(element.clone(), None);
            }
            index.order.push(element);
        }
        Ok(index)
    }

    fn has(&self, element: &PathElement) -> bool {
        self.values.contains_key(element)
    }

    fn get(&self, element: &PathElement) -> Option<&'a Json> {
        self.values.get(element).copied().flatten()
    }
}

/// Elements stand in the order of what is applied; those that only the live list has stay behind the shared element
/// they were behind.
fn merge_lists(live_list: &[Json], applied_list: &[Json], place: Place) -> Result<Vec<Json>, Problem> {
    let applied = Index::new(applied_list, place, false)?;
    let live = Index::new(live_list, place, true)?;
    let mut shared = applied.order.iter().filter(|element| live.has(element));
    let mut next_shared = shared.next();
    let mut merged = Vec::with_capacity(live_list.len().max(applied_list.len()));
    let mut done = BTreeSet::new();
    let (mut at_live, mut at_applied) = (0, 0);
    let both = |element: &PathElement| {
        let value = merge_values(live.get(element), applied.get(element), place.child(element));
        value.map_err(|problem| problem.below(element))
    };
    while at_live < live.order.len() || at_applied < applied.order.len() {
        if let (Some(element), Some(other)) = (live.order.get(at_live), applied.order.get(at_applied)) {
            if element == other {
                done.insert(element);
                merged.extend(both(element)?);
                at_live += 1;
                at_applied += 1;
                next_shared = shared.next();
                continue;
            }
            if applied.has(element) && next_shared.is_some_and(|next| next != element) {
                // It will come when its turn is in the applied order.
                at_live += 1;
                continue;
            }
        }
        if let Some(element) = live.order.get(at_live) {
            if !applied.has(element) {
                merged.extend(live_list.get(at_live).cloned());
                at_live += 1;
                continue;
            }
            if done.contains(element) {
                at_live += 1;
            }
        }
        if let Some(element) = applied.order.get(at_applied) {
            done.insert(element);
            merged.extend(both(element)?);
            at_applied += 1;
            if next_shared == Some(element) {
                next_shared = shared.next();
            }
        }
    }
    Ok(merged)
}
