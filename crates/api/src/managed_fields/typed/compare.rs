//! How two values of one kind differ.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::{Place, Problem, Shape, elements, members};
use crate::managed_fields::path::PathElement;
use crate::managed_fields::set::Set;

/// The difference of two values. No path is in more than one of the sets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// What only the first one has.
    pub removed: Set,
    /// What both have, but not alike.
    pub modified: Set,
    /// What only the second one has.
    pub added: Set,
}

impl Comparison {
    /// Whether the values are alike.
    pub fn is_same(&self) -> bool {
        self.removed.is_empty() && self.modified.is_empty() && self.added.is_empty()
    }

    /// With each set as `filter` makes it.
    pub fn filtered(self, filter: impl Fn(Set) -> Set) -> Self {
        Self { removed: filter(self.removed), modified: filter(self.modified), added: filter(self.added) }
    }
}

/// Compares two objects.
///
/// # Errors
/// An element of a list that cannot be found by its keys.
pub fn compare(old: &Json, new: &Json, place: Place) -> Result<Comparison, Problem> {
    let mut walk = Walk::default();
    if old == new {
        return Ok(walk.comparison);
    }
    walk.compare(Some(old), Some(new), place)?;
    Ok(walk.comparison)
}

#[derive(Default)]
struct Walk {
    path: Vec<PathElement>,
    comparison: Comparison,
}

/// The elements of a list by what finds them; an element that stands twice has two values.
type Index<'a> = BTreeMap<PathElement, Vec<&'a Json>>;

impl Walk {
    /// Compares two values that are not alike.
    fn compare(&mut self, old: Option<&Json>, new: Option<&Json>, place: Place) -> Result<(), Problem> {
        match place.shape(new.or(old)) {
            Shape::Map if !(is_empty_map(old) && is_empty_map(new)) => self.compare_maps(old, new, place)?,
            Shape::Set | Shape::Keyed(_) if !(elements(old).is_empty() && elements(new).is_empty()) => {
                self.compare_lists(old, new, place)?;
            }
            _ => {
                self.note(old, new);
                return Ok(());
            }
        }
        if old.is_none() || new.is_none() {
            self.note(old, new);
        }
        Ok(())
    }

    /// Notes what happened to the value at the present path as a whole.
    fn note(&mut self, old: Option<&Json>, new: Option<&Json>) {
        let set = match (old, new) {
            (None, _) => &mut self.comparison.added,
            (_, None) => &mut self.comparison.removed,
            _ => &mut self.comparison.modified,
        };
        set.insert(&self.path);
    }

    fn descend(
        &mut self,
        element: PathElement,
        old: Option<&Json>,
        new: Option<&Json>,
        place: Place,
    ) -> Result<(), Problem> {
        let child = place.child(&element);
        self.path.push(element);
        self.compare(old, new, child)?;
        self.path.pop();
        Ok(())
    }

    fn compare_maps(&mut self, old: Option<&Json>, new: Option<&Json>, place: Place) -> Result<(), Problem> {
        let (old, new) = (members(old), members(new));
        for (name, value) in old.into_iter().flatten() {
            let other = new.and_then(|new| new.get(name));
            if other != Some(value) {
                self.descend(PathElement::field(name), Some(value), other, place)?;
            }
        }
        for (name, value) in new.into_iter().flatten() {
            if old.is_none_or(|old| !old.contains_key(name)) {
                self.descend(PathElement::field(name), None, Some(value), place)?;
            }
        }
        Ok(())
    }

    fn compare_lists(&mut self, old: Option<&Json>, new: Option<&Json>, place: Place) -> Result<(), Problem> {
        let (old, mut new) = (index(elements(old), place)?, index(elements(new), place)?);
        for (element, before) in old {
            let after = new.remove(&element).unwrap_or_default();
            self.compare_elements(element, &before, &after, place)?;
        }
        for (element, after) in new {
            self.compare_elements(element, &[], &after, place)?;
        }
        Ok(())
    }

    fn compare_elements(
        &mut self,
        element: PathElement,
        before: &[&Json],
        after: &[&Json],
        place: Place,
    ) -> Result<(), Problem> {
        match (before, after) {
            ([one], [other]) if one == other => {}
            ([] | [_], [] | [_]) => {
                self.descend(element, before.first().copied(), after.first().copied(), place)?;
            }
            ([_, _, ..], [_, _, ..]) => {
                if before != after {
                    self.whole(element, |comparison| &mut comparison.modified);
                }
            }
            // One that stood twice was owned as a whole; now its fields are.
            ([_, _, ..], _) => {
                if let [after] = after {
                    self.descend(element.clone(), None, Some(*after), place)?;
                }
                self.whole(element, |comparison| &mut comparison.removed);
            }
            (_, [_, _, ..]) => {
                if let [before] = before {
                    self.descend(element.clone(), Some(*before), None, place)?;
                }
                self.whole(element, |comparison| &mut comparison.added);
            }
        }
        Ok(())
    }

    fn whole(&mut self, element: PathElement, set: impl Fn(&mut Comparison) -> &mut Set) {
        self.path.push(element);
        set(&mut self.comparison).insert(&self.path);
        self.path.pop();
    }
}

fn index(list: &[Json], place: Place) -> Result<Index<'_>, Problem> {
    let mut index = Index::new();
    for (position, item) in list.iter().enumerate() {
        let element = place.list_element(item).map_err(|problem| problem.of_element(position))?;
        index.entry(element).or_default().push(item);
    }
    Ok(index)
}

fn is_empty_map(value: Option<&Json>) -> bool {
    members(value).is_none_or(serde_json::Map::is_empty)
}
