//! Who owns which field, on each write: between a request and `api::managed_fields`.
//!
//! It runs before admission, so that nobody owns what admission adds. An update costs little where little changed: only
//! the members in which the two objects' texts differ are compared.

use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, Time};
use api::managed_fields::manager::{self, Applied, ApplyError};
use api::managed_fields::typed::{self, Place};
use api::managed_fields::updater::{Failure, Versions};
use api::managed_fields::{self, Managed, ResetFields};
use api::patch::unstructured;
use api::schema::Type;
use api::{Gvk, Object, decode};
use http::header::USER_AGENT;
use serde_json::Value;

use crate::error::{Cause, Error};
use crate::handlers::Target;
use crate::json_text;
use crate::registry::strategy::Part;
use crate::registry::{Backing, Kept, RESOURCES, Resource};
use crate::request::Request;

/// Names of managers are no longer than this.
const MAX_MANAGER_BYTES: usize = 128;

/// Keeps track of who owns which field, for one request.
pub struct Tracker<'a> {
    kept: &'a Kept,
    subresource: &'a str,
    reset: ResetFields,
    manager: String,
    now: Time,
}

impl<'a> Tracker<'a> {
    /// For a request that writes that part of an object.
    pub fn new(target: &'a Target<'a>, request: &Request, part: Part) -> Self {
        let now = target.server.clock.now();
        Self {
            kept: target.kept,
            subresource: &target.path.subresource,
            reset: target.kept.strategy.reset_fields(part),
            manager: manager_name(request),
            now: Time(jiff::Timestamp::from_second(now.as_second()).unwrap_or(now)),
        }
    }

    fn with_manager<T>(&self, work: impl FnOnce(&managed_fields::FieldManager<'_>) -> T) -> T {
        work(&managed_fields::FieldManager {
            versions: self.kept,
            gvk: *self.kept.resource.gvk(),
            subresource: self.subresource,
            reset: self.reset,
            manager: &self.manager,
            now: self.now.clone(),
        })
    }

    /// Ascribes to the client what a new object has.
    pub fn track_new(&self, object: &mut dyn Object) {
        let sent = object.metadata_mut().managed_fields.take();
        let managed = manager::managed_for_update(None, sent.as_deref(), self.subresource);
        let outcome = self.kept.structure().map_err(|error| Failure::Unfit(error.to_string())).and_then(|structure| {
            self.with_manager(|manager| manager.update(&typed::zero(structure), &object.to_value(), managed, true))
        });
        object.metadata_mut().managed_fields = self.entries(outcome, None);
    }

    /// Ascribes to the client what differs from the live object.
    pub fn track_update(&self, live: &dyn Object, object: &mut dyn Object) {
        let sent = object.metadata_mut().managed_fields.take();
        let before = &live.metadata().managed_fields;
        let (live_text, text) = (live.to_json(), object.to_json());
        let (old, new) = differing(&live_text, &text);
        if old == new && (sent.is_none() || sent == *before) {
            object.metadata_mut().managed_fields.clone_from(before);
            return;
        }
        let managed = manager::managed_for_update(before.as_deref(), sent.as_deref(), self.subresource);
        let (old, new) = match managed.is_all_of(&self.kept.resource.gvk().api_version()) {
            true => (old, new),
            false => (without_managed_fields(live), object.to_value()), // they will be converted
        };
        let outcome = self.with_manager(|manager| manager.update(&old, &new, managed, false));
        object.metadata_mut().managed_fields = self.entries(outcome, before.as_deref());
    }

    /// The entries to store; those from before when something went wrong, as upstream does it: writes do not fail for it.
    fn entries(
        &self,
        outcome: Result<Managed, Failure>,
        before: Option<&[ManagedFieldsEntry]>,
    ) -> Option<Vec<ManagedFieldsEntry>> {
        match outcome {
            Ok(managed) => managed.encode(),
            Err(failure) => {
                tracing::error!(kind = self.kept.resource.gvk().kind, ?failure, "managed fields are left as they were");
                before.map(<[_]>::to_vec)
            }
        }
    }

    /// Whether a configuration is of a kind, fits its schema and leaves managed fields to the server.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check_applied(&self, applied: &Value, gvk: Gvk) -> Result<(), Error> {
        let structure = Type::of_kind(gvk.group, gvk.version, gvk.kind);
        let structure = structure.ok_or_else(|| Error::Internal(format!("no schema of {}", gvk.kind)))?;
        manager::check_configuration(applied, gvk, Place::root(structure)).map_err(refusal)
    }

    /// Applies a configuration to the live object, or makes a new one of it.
    ///
    /// # Errors
    /// What is wrong with it, or [`Error::ApplyConflict`].
    pub fn apply(&self, live: Option<&dyn Object>, applied: &Value, force: bool) -> Result<Box<dyn Object>, Error> {
        let structure = self.kept.structure()?;
        let nothing = typed::zero(structure);
        let entries = live.and_then(|live| live.metadata().managed_fields.as_deref()).unwrap_or_default();
        let managed =
            Managed::decode(entries).ok_or_else(|| Error::Unspecific("failed to decode managed fields".to_owned()))?;
        let present = live.map_or_else(|| nothing.clone(), without_managed_fields);
        let outcome = self.with_manager(|manager| manager.apply(&present, applied, &nothing, managed, force));
        let Applied { object, managed } = outcome.map_err(refusal)?;
        let mut object = match (object, live) {
            (None, Some(live)) => live.clone_object(),
            (object, _) => {
                let object = typed_object(object.unwrap_or(present), structure, *self.kept.resource.gvk());
                object.map_err(|error| {
                    let what = manager::describe(applied);
                    Error::Unspecific(format!("failed to convert new object ({what}) to proper version: {error}"))
                })?
            }
        };
        object.set_defaults();
        object.metadata_mut().managed_fields = managed.encode();
        Ok(object)
    }
}

/// The object of a merged tree, which holds `null` where everything was removed.
fn typed_object(tree: Value, structure: Type, gvk: Gvk) -> Result<Box<dyn Object>, String> {
    let Value::Object(mut tree) = tree else { return Err("it is no object".to_owned()) };
    tree.remove("apiVersion");
    tree.remove("kind");
    let unable = |error| {
        format!("unable to convert unstructured object to {}/{}, Kind={}: {error}", gvk.group, gvk.version, gvk.kind)
    };
    let checked = unstructured::convert(tree, structure).map_err(unable)?;
    decode::typed(checked.value, gvk).map_err(unable)
}

fn refusal(error: ApplyError) -> Error {
    match error {
        ApplyError::BadRequest(text) => Error::BadRequest(text),
        ApplyError::Unfit(text) => Error::Unspecific(text),
        ApplyError::Conflicts(conflicts) => Error::ApplyConflict {
            message: manager::conflict_message(&conflicts),
            causes: conflicts
                .iter()
                .map(|conflict| Cause {
                    reason: "FieldManagerConflict",
                    message: format!("conflict with {}", manager::print_manager(&conflict.manager)),
                    field: manager::print_path(&conflict.path),
                })
                .collect(),
        },
    }
}

/// The client's name: what it says, or how its user agent begins.
fn manager_name(request: &Request) -> String {
    match request.query.get("fieldManager") {
        Some(manager) if !manager.is_empty() => manager.to_owned(),
        _ => agent_name(request.header(&USER_AGENT).unwrap_or_default()),
    }
}

fn agent_name(agent: &str) -> String {
    let name = agent.split('/').next().unwrap_or_default();
    let mut text = String::new();
    for character in name.chars().filter(|character| !character.is_control()) {
        if text.len() + character.len_utf8() > MAX_MANAGER_BYTES {
            break;
        }
        text.push(character);
    }
    text
}

fn without_managed_fields(object: &dyn Object) -> Value {
    let mut tree = object.to_value();
    if let Some(metadata) = tree.get_mut("metadata").and_then(Value::as_object_mut) {
        metadata.remove("managedFields");
    }
    tree
}

/// Trees of two objects that hold only the members in which their texts differ.
fn differing(old: &[u8], new: &[u8]) -> (Value, Value) {
    let (old_members, new_members) = (json_text::members(old), json_text::members(new));
    let (mut old_tree, mut new_tree) = (serde_json::Map::new(), serde_json::Map::new());
    let find = |members: &[json_text::Member], text: &[u8], key: &[u8]| {
        members.iter().find(|member| text[member.key.clone()] == *key).map(|member| member.value.clone())
    };
    let keys = old_members.iter().map(|member| &old[member.key.clone()]);
    let more = new_members.iter().map(|member| &new[member.key.clone()]);
    let more = more.filter(|key| find(&old_members, old, key).is_none());
    for key in keys.chain(more).filter(|key| *key != b"managedFields") {
        let one = find(&old_members, old, key).map(|range| &old[range]);
        let other = find(&new_members, new, key).map(|range| &new[range]);
        if one == other {
            continue;
        }
        let name = String::from_utf8_lossy(key).into_owned();
        let (one, other) = match (one, other) {
            (Some(one @ [b'{', ..]), Some(other @ [b'{', ..])) => {
                let (one, other) = differing(one, other);
                (Some(one), Some(other))
            }
            (one, other) => (one.map(parse), other.map(parse)),
        };
        old_tree.extend(one.map(|value| (name.clone(), value)));
        new_tree.extend(other.map(|value| (name, value)));
    }
    (Value::Object(old_tree), Value::Object(new_tree))
}

fn parse(text: &[u8]) -> Value {
    serde_json::from_slice(text).expect("the text is our own encoder's")
}

impl Versions for Kept {
    fn root(&self, api_version: &str) -> Option<Place> {
        let gvk = self.version(api_version)?.gvk();
        Type::of_kind(gvk.group, gvk.version, gvk.kind).map(Place::root)
    }

    fn convert(&self, object: &Value, from: &str, to: &str) -> Option<Value> {
        let (from, to) = (self.version(from)?, self.version(to)?);
        let structure = Type::of_kind(from.gvk().group, from.gvk().version, from.gvk().kind)?;
        let object = typed_object(object.clone(), structure, *from.gvk()).ok()?;
        let stored = match &from.backing {
            Backing::View { to_stored, .. } => to_stored(object.as_ref()),
            _ => object,
        };
        let object = match &to.backing {
            Backing::View { from_stored, .. } => from_stored(stored),
            _ => stored,
        };
        Some(object.to_value())
    }
}

impl Kept {
    /// The resource through which the same objects are seen in a version.
    fn version(&self, api_version: &str) -> Option<&'static Resource> {
        if self.resource.gvk().api_version() == api_version {
            return Some(self.resource);
        }
        RESOURCES.iter().copied().find(|resource| {
            resource.path().is_some()
                && resource.path() == self.resource.path()
                && resource.gvk().api_version() == api_version
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn finds_the_members_that_differ_and_no_others() {
        let old = json!({"kind": "A", "metadata": {"name": "a", "managedFields": [1], "labels": {"a": "b", "c": "d"}},
            "spec": {"x": [1, 2], "y": 1}, "status": {}});
        let new = json!({"kind": "A", "metadata": {"name": "a", "labels": {"a": "b", "c": "e"}},
            "spec": {"x": [1, 3], "y": 1}, "more": true});
        let (old, new) = differing(old.to_string().as_bytes(), new.to_string().as_bytes());
        assert_eq!(old, json!({"metadata": {"labels": {"c": "d"}}, "spec": {"x": [1, 2]}, "status": {}}));
        assert_eq!(new, json!({"metadata": {"labels": {"c": "e"}}, "spec": {"x": [1, 3]}, "more": true}));
    }

    #[test]
    fn names_managers_after_their_agents() {
        assert_eq!(agent_name("kubectl/v1.36.0 (linux/amd64) kubernetes/abc"), "kubectl");
        assert_eq!(agent_name("Mozilla\u{7}"), "Mozilla");
        assert_eq!(agent_name(&"ä".repeat(100)).len(), 128);
        assert_eq!(agent_name(""), "");
    }
}
