//! How ownership moves when an object changes.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::managed::{Managed, ManagerKey, Ownership};
use super::path::PathElement;
use super::set::Set;
use super::typed::{self, Comparison, Place, Problem};

/// The versions of a kind.
pub trait Versions {
    /// How objects of a version are made up; `None` for a version that is not served.
    fn root(&self, api_version: &str) -> Option<Place>;

    /// An object of one version as one of another; `None` when it has no such form.
    fn convert(&self, object: &Json, from: &str, to: &str) -> Option<Json>;
}

/// A field that is applied with another value than its owner gave it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conflict {
    /// The owner.
    pub manager: ManagerKey,
    /// The field.
    pub path: Vec<PathElement>,
}

/// Why something cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Others own fields that would change.
    Conflicts(Vec<Conflict>),
    /// A value that does not fit its schema; in upstream's words.
    Unfit(String),
}

/// What does the work for one version of a kind.
pub struct Updater<'a> {
    /// The versions of the kind.
    pub versions: &'a dyn Versions,
    /// The version of the objects at hand.
    pub api_version: &'a str,
    /// How objects of that version are made up.
    pub root: Place,
    /// Takes away the fields that the present request cannot write.
    pub filter: &'a dyn Fn(Set) -> Set,
}

impl Updater<'_> {
    /// What a write did, without what it could not do.
    ///
    /// # Errors
    /// A value that does not fit its schema.
    pub fn compare(&self, live: &Json, new: &Json) -> Result<Comparison, Problem> {
        typed::compare(live, new, self.root).map(|comparison| comparison.filtered(self.filter))
    }

    /// Takes changed fields from their owners: `workflow` has written them. With `force` set to false nothing is taken.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn take_over(
        &self,
        live: &Json,
        new: &Json,
        comparison: &Comparison,
        managed: &mut Managed,
        workflow: Option<&ManagerKey>,
        force: bool,
    ) -> Result<(), Failure> {
        let mut comparisons = BTreeMap::from([(self.api_version.to_owned(), Some(comparison.clone()))]);
        let (mut conflicts, mut unknown) = (Vec::new(), Vec::new());
        let mut lost = Vec::new();
        for (key, owner) in managed.0.iter().filter(|(key, _)| Some(*key) != workflow) {
            if !comparisons.contains_key(&owner.api_version) {
                let comparison = self.compare_at(live, new, &owner.api_version).map_err(unfit("compare objects"))?;
                comparisons.insert(owner.api_version.clone(), comparison);
            }
            let Some(Some(comparison)) = comparisons.get(&owner.api_version) else {
                unknown.push(key.clone());
                continue;
            };
            let taken = owner.set.intersection(&comparison.modified.union(&comparison.added));
            conflicts.extend(taken.paths().into_iter().map(|path| Conflict { manager: key.clone(), path }));
            lost.push((key.clone(), taken.union(&comparison.removed)));
        }
        if !force && !conflicts.is_empty() {
            return Err(Failure::Conflicts(conflicts));
        }
        managed.0.retain(|key, _| !unknown.contains(key));
        for (key, fields) in lost {
            if let Some(owner) = managed.0.get_mut(&key) {
                owner.set = owner.set.difference(&fields);
            }
        }
        managed.drop_empty();
        Ok(())
    }

    /// The comparison as an owner of fields of another version sees it; `None` when there is no such version.
    fn compare_at(&self, live: &Json, new: &Json, api_version: &str) -> Result<Option<Comparison>, Problem> {
        let Some(root) = self.versions.root(api_version) else { return Ok(None) };
        let live = self.versions.convert(live, self.api_version, api_version);
        let new = self.versions.convert(new, self.api_version, api_version);
        let (Some(live), Some(new)) = (live, new) else { return Ok(None) };
        Ok(Some(typed::compare(&live, &new, root)?.filtered(self.filter)))
    }

    /// Applies a configuration: merges it, removes what `manager` applied before and does not any more, and moves
    /// ownership. Returns the object, or nothing when it is as it was.
    ///
    /// # Errors
    /// See [`Failure`].
    pub fn apply(
        &self,
        live: &Json,
        applied: &Json,
        managed: &mut Managed,
        manager: &ManagerKey,
        force: bool,
    ) -> Result<Option<Json>, Failure> {
        let merged = typed::merge(live, applied, self.root).map_err(unfit("merge config"))?;
        let set = typed::extract(applied, self.root).map_err(unfit("get field set"))?;
        let set = (self.filter)(set);
        let last = managed.0.get(manager).cloned();
        let time = last.as_ref().and_then(|last| last.time.clone());
        let ownership = Ownership { set, api_version: self.api_version.to_owned(), time };
        managed.0.insert(manager.clone(), ownership);
        let new = match last.filter(|last| !last.set.is_empty()) {
            Some(last) => self.prune(merged, managed, &last).map_err(unfit("prune fields"))?,
            None => merged,
        };
        let comparison = self.compare(live, &new).map_err(unfit("compare objects"))?;
        self.take_over(live, &new, &comparison, managed, Some(manager), force)?;
        Ok((*live != new).then_some(new))
    }

    fn convert(&self, object: Json, from: &str, to: &str) -> Option<Json> {
        if from == to { Some(object) } else { self.versions.convert(&object, from, to) }
    }

    /// Removes what was applied before, is not any more, and belongs to nobody else.
    fn prune(&self, merged: Json, managed: &Managed, last: &Ownership) -> Result<Json, Problem> {
        let version = last.api_version.as_str();
        let Some(at_last) = Versioned::new(self, &merged, self.api_version, version) else { return Ok(merged) };
        let pruned = typed::remove(&at_last.object, &last.set.with_named_fields(at_last.root), at_last.root);
        let pruned = self.add_back_owned(&at_last, pruned, managed)?;
        let dangling = at_last.fields()?.difference(&fields(&pruned, at_last.root)?);
        let dangling = dangling.intersection(&last.set.with_named_fields(at_last.root));
        let pruned = typed::remove(&at_last.object, &dangling, at_last.root);
        let pruned = self.convert(pruned, version, self.api_version);
        Ok(pruned.unwrap_or(merged))
    }

    /// Puts back what anybody owns, the applied configuration included: what is owned at this version first.
    fn add_back_owned(&self, merged: &Versioned<'_>, pruned: Json, managed: &Managed) -> Result<Json, Problem> {
        let mut versions: Vec<&str> = managed.0.values().map(|owner| owner.api_version.as_str()).collect();
        versions.sort_unstable_by_key(|version| (*version != merged.api_version, *version));
        versions.dedup();
        let mut pruned = pruned;
        for version in versions {
            let there = Versioned::new(self, &merged.object, &merged.api_version, version);
            let less = Versioned::new(self, &pruned, &merged.api_version, version);
            let (Some(there), Some(less)) = (there, less) else { continue };
            let owned = managed.owned_at(version).with_named_fields(there.root);
            let gone = there.fields()?.difference(&less.fields()?.union(&owned));
            drop(less);
            let kept = typed::remove(&there.object, &gone, there.root);
            pruned = self.convert(kept, version, &merged.api_version).unwrap_or(pruned);
        }
        Ok(pruned)
    }
}

/// An object of some version.
struct Versioned<'a> {
    object: Cow<'a, Json>,
    root: Place,
    api_version: String,
}

impl<'a> Versioned<'a> {
    fn new(updater: &Updater<'_>, object: &'a Json, from: &str, to: &str) -> Option<Self> {
        let root = updater.versions.root(to)?;
        let object = match from == to {
            true => Cow::Borrowed(object),
            false => Cow::Owned(updater.versions.convert(object, from, to)?),
        };
        Some(Self { object, root, api_version: to.to_owned() })
    }

    fn fields(&self) -> Result<Set, Problem> {
        fields(&self.object, self.root)
    }
}

/// The fields of an object, those of its structures included.
fn fields(object: &Json, root: Place) -> Result<Set, Problem> {
    Ok(typed::extract(object, root)?.with_named_fields(root))
}

fn unfit(act: &'static str) -> impl Fn(Problem) -> Failure {
    move |problem| Failure::Unfit(format!("failed to {act}: {problem}"))
}
