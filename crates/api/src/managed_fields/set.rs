//! Sets of paths into an object.

use std::collections::{BTreeMap, BTreeSet};

use super::path::PathElement;
use super::typed::Place;

/// A set of paths, as a tree. A child in the tree need not be a member of the set, and no child is empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Set {
    pub(super) members: BTreeSet<PathElement>,
    pub(super) children: BTreeMap<PathElement, Set>,
}

impl Set {
    /// The set of those paths of fields, each separated by dots.
    pub fn of_fields<'a>(paths: impl IntoIterator<Item = &'a str>) -> Self {
        let mut set = Self::default();
        for path in paths {
            set.insert(&path.split('.').map(PathElement::field).collect::<Vec<_>>());
        }
        set
    }

    /// Adds a path; the empty one stands for the whole object, which nobody owns.
    pub fn insert(&mut self, path: &[PathElement]) {
        match path {
            [] => {}
            [last] => {
                self.members.insert(last.clone());
            }
            [first, rest @ ..] => self.children.entry(first.clone()).or_default().insert(rest),
        }
    }

    /// Whether a path is in the set.
    pub fn has(&self, path: &[PathElement]) -> bool {
        match path {
            [] => false,
            [last] => self.members.contains(last),
            [first, rest @ ..] => self.children.get(first).is_some_and(|child| child.has(rest)),
        }
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.members.is_empty() && self.children.values().all(Self::is_empty)
    }

    /// Every path, parents first.
    pub fn paths(&self) -> Vec<Vec<PathElement>> {
        let mut paths = Vec::new();
        self.collect_paths(&mut Vec::new(), &mut paths);
        paths
    }

    fn collect_paths(&self, prefix: &mut Vec<PathElement>, paths: &mut Vec<Vec<PathElement>>) {
        for member in &self.members {
            prefix.push(member.clone());
            paths.push(prefix.clone());
            prefix.pop();
        }
        for (element, child) in &self.children {
            prefix.push(element.clone());
            child.collect_paths(prefix, paths);
            prefix.pop();
        }
    }

    /// What is in either set.
    pub fn union(&self, other: &Self) -> Self {
        let mut union = self.clone();
        union.extend(other);
        union
    }

    fn extend(&mut self, other: &Self) {
        self.members.extend(other.members.iter().cloned());
        for (element, child) in &other.children {
            self.children.entry(element.clone()).or_default().extend(child);
        }
    }

    /// What is in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        let members = self.members.intersection(&other.members).cloned().collect();
        self.rebuild(members, |element, child| Some(child.intersection(other.children.get(element)?)))
    }

    /// What is in this set and not in the other. A path stays when only a path above it goes.
    pub fn difference(&self, other: &Self) -> Self {
        let members = self.members.difference(&other.members).cloned().collect();
        self.rebuild(members, |element, child| Some(child.without(other.children.get(element))))
    }

    /// What is in this set and neither in the other nor below anything in it.
    pub fn recursive_difference(&self, other: &Self) -> Self {
        let members = self.members.difference(&other.members).cloned().collect();
        self.rebuild(members, |element, child| match other.children.get(element) {
            _ if other.members.contains(element) => None,
            Some(other) => Some(child.recursive_difference(other)),
            None => Some(child.clone()),
        })
    }

    fn without(&self, other: Option<&Self>) -> Self {
        other.map_or_else(|| self.clone(), |other| self.difference(other))
    }

    /// With every structure's field as a member that only has members below it: fields that need no owner of their own,
    /// because a structure always has them.
    pub fn with_named_fields(&self, place: Place) -> Self {
        let mut members = self.members.clone();
        let named = self.children.keys().filter(|element| place.is_named_field(element));
        members.extend(named.cloned());
        self.rebuild(members, |element, child| Some(child.with_named_fields(place.child(element))))
    }

    /// The same tree with other members, and with children as `child` makes them.
    pub(super) fn rebuild(
        &self,
        members: BTreeSet<PathElement>,
        child: impl Fn(&PathElement, &Self) -> Option<Self>,
    ) -> Self {
        let children = self.children.iter().filter_map(|(element, set)| Some((element.clone(), child(element, set)?)));
        Self { members, children: children.filter(|(_, set)| !set.is_empty()).collect() }
    }
}
