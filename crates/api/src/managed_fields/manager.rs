//! What the API server does with the owners of fields on each write.
//!
//! *Updates* ascribe what changed to whoever writes. *Apply* merges a configuration and owns exactly what it names. Fields
//! that every object has (names, versions, times) are nobody's. An object that lost its entries is tracked again from the
//! next apply on; what it had by then belongs to `before-first-apply`. `kubectl apply` from before server-side apply left
//! its configuration in an annotation; `kubectl` may take those fields without a conflict, and keeps the annotation true.

use std::sync::LazyLock;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};
use serde_json::Value as Json;

use super::managed::{Managed, ManagerKey, Operation, Ownership};
use super::set::Set;
use super::typed::{self, Place};
use super::updater::{Conflict, Failure, Updater, Versions};
use crate::meta;
use crate::object::Gvk;

/// The annotation in which `kubectl apply` keeps what it applied.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";
/// The manager that looks after that annotation.
const KUBECTL: &str = "kubectl";
const BEFORE_FIRST_APPLY: &str = "before-first-apply";
/// The manager of a client that says nothing of itself.
const UNKNOWN: &str = "unknown";

/// Fields that belong to nobody.
static UNOWNED: LazyLock<Set> = LazyLock::new(|| {
    Set::of_fields([
        "apiVersion",
        "kind",
        "metadata",
        "metadata.name",
        "metadata.namespace",
        "metadata.creationTimestamp",
        "metadata.selfLink",
        "metadata.uid",
        "metadata.generation",
        "metadata.managedFields",
        "metadata.resourceVersion",
    ])
});

/// Which fields a request cannot write, so that nobody owns them by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetFields {
    /// These, and what is below them.
    These(&'static [&'static str]),
    /// All but these and what is below them; `*` stands for any element.
    AllBut(&'static [&'static str]),
}

impl ResetFields {
    /// A set without these fields.
    pub fn filter(self, set: Set) -> Set {
        match self {
            Self::These([]) => set,
            Self::These(paths) => set.recursive_difference(&Set::of_fields(paths.iter().copied())),
            Self::AllBut(patterns) => {
                let patterns: Vec<Vec<&str>> = patterns.iter().map(|path| path.split('.').collect()).collect();
                only(&set, &patterns.iter().map(Vec::as_slice).collect::<Vec<_>>())
            }
        }
    }
}

/// What is on the way to, or below, one of the patterns.
fn only(set: &Set, patterns: &[&[&str]]) -> Set {
    if patterns.iter().any(|pattern| pattern.is_empty()) {
        return set.clone();
    }
    let matches = |element: &super::PathElement, first: &str| {
        first == "*" || matches!(element, super::PathElement::Field(name) if name == first)
    };
    let members = set.members.iter().filter(|element| patterns.iter().any(|pattern| matches(element, pattern[0])));
    set.rebuild(members.cloned().collect(), |element, child| {
        let rest: Vec<&[&str]> =
            patterns.iter().filter(|pattern| matches(element, pattern[0])).map(|pattern| &pattern[1..]).collect();
        (!rest.is_empty()).then(|| only(child, &rest))
    })
}

/// Why something cannot be applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApplyError {
    /// It is not what can be applied here.
    BadRequest(String),
    /// Others own fields that would change.
    Conflicts(Vec<Conflict>),
    /// It does not fit its schema.
    Unfit(String),
}

impl From<Failure> for ApplyError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Conflicts(conflicts) => Self::Conflicts(conflicts),
            Failure::Unfit(text) => Self::Unfit(text),
        }
    }
}

/// What applying makes of an object.
#[derive(Debug)]
pub struct Applied {
    /// The object, without managed fields; `None` when it is as it was.
    pub object: Option<Json>,
    /// Who owns its fields.
    pub managed: Managed,
}

/// The entries that count on an update: those that the client sends, unless it has none or sends nonsense; none at all
/// when it asks for that with an empty list or an empty entry. Through a subresource they cannot be written.
pub fn managed_for_update(
    live: Option<&[ManagedFieldsEntry]>,
    sent: Option<&[ManagedFieldsEntry]>,
    subresource: &str,
) -> Managed {
    let live = || live.and_then(Managed::decode).unwrap_or_default();
    match sent {
        _ if !subresource.is_empty() => live(),
        Some([]) => Managed::default(),
        Some([entry]) if *entry == ManagedFieldsEntry::default() => Managed::default(),
        Some(sent) => Managed::decode(sent).unwrap_or_else(live),
        None => live(),
    }
}

/// Who writes what, when.
pub struct FieldManager<'a> {
    /// The versions of the kind.
    pub versions: &'a dyn Versions,
    /// What the request is about.
    pub gvk: Gvk,
    /// Through which subresource, or empty.
    pub subresource: &'a str,
    /// Which fields the request cannot write.
    pub reset: ResetFields,
    /// The name of the client.
    pub manager: &'a str,
    /// When.
    pub now: Time,
}

impl FieldManager<'_> {
    fn key(&self, manager: &str, operation: Operation) -> ManagerKey {
        let manager = if manager.is_empty() { UNKNOWN } else { manager };
        ManagerKey::new(manager, operation, &self.gvk.api_version(), self.subresource)
    }

    fn with_updater<T>(&self, work: impl FnOnce(&Updater<'_>) -> Result<T, Failure>) -> Result<T, Failure> {
        let api_version = self.gvk.api_version();
        let root = self.versions.root(&api_version);
        let root = root.ok_or_else(|| Failure::Unfit(format!("no schema of {}", self.gvk.kind)))?;
        let filter = |set| self.reset.filter(set);
        work(&Updater { versions: self.versions, api_version: &api_version, root, filter: &filter })
    }

    /// Ascribes what differs between two objects to the writer. Of what is alike, only as much need be there as other
    /// versions need to be converted. `is_new` when there was nothing before.
    ///
    /// # Errors
    /// [`Failure::Unfit`] when an object does not fit its schema.
    pub fn update(&self, live: &Json, new: &Json, managed: Managed, is_new: bool) -> Result<Managed, Failure> {
        if managed.is_empty() && !is_new {
            return Ok(managed); // nobody has applied it since its entries went
        }
        self.ascribe(live, new, managed, self.manager)
    }

    fn ascribe(&self, live: &Json, new: &Json, mut managed: Managed, manager: &str) -> Result<Managed, Failure> {
        let key = self.key(manager, Operation::Update);
        self.with_updater(|updater| {
            let comparison = updater
                .compare(live, new)
                .map_err(|problem| Failure::Unfit(format!("failed to compare objects: {problem}")))?;
            if comparison.is_same() && managed.is_all_of(updater.api_version) {
                return Ok(());
            }
            updater.take_over(live, new, &comparison, &mut managed, None, true)?;
            let set = comparison.modified.union(&comparison.added).difference(&UNOWNED);
            if !set.is_empty() {
                let before = managed.0.remove(&key);
                let set = before.map_or(set.clone(), |before| before.set.union(&set));
                let api_version = updater.api_version.to_owned();
                managed.0.insert(key, Ownership { set, api_version, time: Some(self.now.clone()) });
            }
            managed.cap_update_managers();
            Ok(())
        })?;
        Ok(managed)
    }

    /// Applies a configuration to an object; both without managed fields. `nothing` is an object of the kind in which
    /// nothing has been set.
    ///
    /// # Errors
    /// See [`ApplyError`].
    pub fn apply(
        &self,
        live: &Json,
        applied: &Json,
        nothing: &Json,
        mut managed: Managed,
        force: bool,
    ) -> Result<Applied, ApplyError> {
        check_kind(applied, self.gvk)?;
        if managed.is_empty() {
            managed = self.ascribe(nothing, live, managed, BEFORE_FIRST_APPLY)?;
        }
        let mut outcome = self.merge(live, applied, managed.clone(), force);
        if let (KUBECTL, Err(Failure::Conflicts(conflicts))) = (self.manager, &mut outcome)
            && let Some(allowed) = self.last_applied_fields(live)
        {
            conflicts.retain(|conflict| !allowed.has(&conflict.path));
            if conflicts.is_empty() {
                outcome = self.merge(live, applied, managed, true);
            }
        }
        let mut outcome = outcome?;
        if self.manager == KUBECTL {
            note_last_applied(live, applied, &mut outcome);
        }
        Ok(outcome)
    }

    fn merge(&self, live: &Json, applied: &Json, mut managed: Managed, force: bool) -> Result<Applied, Failure> {
        let key = self.key(self.manager, Operation::Apply);
        let object = self.with_updater(|updater| {
            check_schema(applied, updater.root)?;
            updater.apply(live, applied, &mut managed, &key, force)
        })?;
        if let Some(owner) = managed.0.get_mut(&key) {
            owner.set = owner.set.difference(&UNOWNED);
            if object.is_some() {
                owner.time = Some(self.now.clone());
            }
        }
        managed.drop_empty();
        Ok(Applied { object, managed })
    }

    /// The fields of the configuration in the annotation, as far as the object still has them as they were applied.
    fn last_applied_fields(&self, live: &Json) -> Option<Set> {
        let text = annotation(live)?;
        let last: Json = serde_json::from_str(text).ok()?;
        if last.get("apiVersion").and_then(Json::as_str) != Some(self.gvk.api_version().as_str()) {
            return None;
        }
        let root = self.versions.root(&self.gvk.api_version())?;
        typed::check(&last, root).ok()?;
        let comparison = typed::compare(&last, live, root).ok()?;
        let changed = comparison.modified.union(&comparison.added).union(&comparison.removed);
        Some(typed::extract(&last, root).ok()?.difference(&changed))
    }
}

/// Whether a configuration is one of a kind, leaves managed fields to the server and fits its schema.
///
/// # Errors
/// See [`ApplyError`].
pub fn check_configuration(applied: &Json, gvk: Gvk, root: Place) -> Result<(), ApplyError> {
    check_kind(applied, gvk)?;
    Ok(check_schema(applied, root)?)
}

fn check_kind(applied: &Json, wanted: Gvk) -> Result<(), ApplyError> {
    let (group, version, kind) = gvk_of(applied);
    if (group, version, kind) != (wanted.group, wanted.version, wanted.kind) {
        return Err(ApplyError::BadRequest(format!("invalid object type: {group}/{version}, Kind={kind}")));
    }
    if applied.pointer("/metadata/managedFields").is_some_and(Json::is_array) {
        return Err(ApplyError::BadRequest("metadata.managedFields must be nil".to_owned()));
    }
    Ok(())
}

fn check_schema(applied: &Json, root: Place) -> Result<(), Failure> {
    typed::check(applied, root).map_err(|problems| {
        Failure::Unfit(format!("failed to create typed patch object ({}): {problems}", describe(applied)))
    })
}

/// Keeps the annotation true, where there is one.
fn note_last_applied(live: &Json, applied: &Json, outcome: &mut Applied) {
    let object = outcome.object.as_ref().unwrap_or(live);
    if annotation(object).is_none_or(str::is_empty) {
        return;
    }
    let mut object = object.clone();
    let Some(annotations) = object.pointer_mut("/metadata/annotations").and_then(Json::as_object_mut) else { return };
    annotations.insert(LAST_APPLIED.to_owned(), last_applied(applied).into());
    let size: usize = annotations.iter().map(|(key, value)| key.len() + value.as_str().map_or(0, str::len)).sum();
    if size > meta::MAX_ANNOTATIONS_BYTES {
        annotations.remove(LAST_APPLIED);
    }
    outcome.object = Some(object);
}

/// What the annotation says of a configuration.
fn last_applied(applied: &Json) -> String {
    let mut applied = applied.clone();
    if let Some(annotations) = applied.pointer_mut("/metadata/annotations").and_then(Json::as_object_mut) {
        annotations.remove(LAST_APPLIED);
    }
    format!("{}\n", super::path::Scalar(applied))
}

fn annotation(object: &Json) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(LAST_APPLIED)?.as_str()
}

/// Group, version and kind as an object names them.
fn gvk_of(object: &Json) -> (&str, &str, &str) {
    let text = |name: &str| object.get(name).and_then(Json::as_str).unwrap_or_default();
    let (group, version) = text("apiVersion").split_once('/').unwrap_or(("", text("apiVersion")));
    if version.contains('/') { ("", "", "") } else { (group, version, text("kind")) }
}

/// Namespace, name and kind, as errors name an object.
pub fn describe(object: &Json) -> String {
    let text = |pointer: &str| object.pointer(pointer).and_then(Json::as_str).unwrap_or_default();
    let (group, version, kind) = gvk_of(object);
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    format!("{namespace}/{name}; {group}/{version}, Kind={kind}")
}

/// What a conflicting apply is told.
pub fn conflict_message(conflicts: &[Conflict]) -> String {
    if let [conflict] = conflicts {
        let path = print_path(&conflict.path);
        return format!("Apply failed with 1 conflict: conflict with {}: {path}", print_manager(&conflict.manager));
    }
    let mut lines: Vec<String> = Vec::new();
    let mut sorted: Vec<&Conflict> = conflicts.iter().collect();
    sorted.sort_by_key(|conflict| &conflict.manager);
    for same in sorted.chunk_by(|one, other| one.manager == other.manager) {
        lines.push(format!("conflicts with {}:", print_manager(&same[0].manager)));
        lines.extend(same.iter().map(|conflict| format!("- {}", print_path(&conflict.path))));
    }
    format!("Apply failed with {} conflicts: {}", conflicts.len(), lines.join("\n"))
}

/// A manager as conflicts name it.
pub fn print_manager(key: &ManagerKey) -> String {
    let mut text = crate::decode::go::quote(&key.manager);
    if !key.subresource.is_empty() {
        text.push_str(&format!(" with subresource {}", crate::decode::go::quote(&key.subresource)));
    }
    if key.operation == Operation::Update {
        text.push_str(&format!(" using {}", key.api_version));
    }
    text
}

/// A path as conflicts name it.
pub fn print_path(path: &[super::PathElement]) -> String {
    path.iter().map(ToString::to_string).collect()
}
