//! What the store holds, commit by commit, for whoever judges it.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;

use crate::chance::NEW_YEAR;

/// Kind, namespace and name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The kind.
    pub kind: String,
    /// The namespace, empty without.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl std::fmt::Display for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {}/{}", self.kind, self.namespace, self.name)
    }
}

/// One object of the store.
#[derive(Debug, Clone)]
pub struct Object(Arc<Value>);

impl std::fmt::Display for Object {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut shown = (*self.0).clone();
        if let Some(metadata) = shown.pointer_mut("/metadata").and_then(Value::as_object_mut) {
            metadata.remove("managedFields");
        }
        write!(formatter, "{shown}")
    }
}

impl Object {
    /// What is at a JSON pointer.
    pub fn at(&self, pointer: &str) -> Option<&Value> {
        self.0.pointer(pointer)
    }

    /// The text there, empty without.
    pub fn text(&self, pointer: &str) -> &str {
        self.at(pointer).and_then(Value::as_str).unwrap_or("")
    }

    /// The number there, zero without.
    pub fn number(&self, pointer: &str) -> i64 {
        self.at(pointer).and_then(Value::as_i64).unwrap_or(0)
    }

    /// The list there, empty without.
    pub fn list(&self, pointer: &str) -> &[Value] {
        self.at(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
    }

    /// Its uid.
    pub fn uid(&self) -> &str {
        self.text("/metadata/uid")
    }

    /// Whether it is being deleted.
    pub fn is_doomed(&self) -> bool {
        self.at("/metadata/deletionTimestamp").is_some()
    }

    /// Whether it should have been gone for as long as it had to end.
    pub fn is_overdue(&self, now: Duration) -> bool {
        let Ok(deadline) = self.text("/metadata/deletionTimestamp").parse::<Timestamp>() else { return false };
        let grace = Duration::from_secs(self.number("/metadata/deletionGracePeriodSeconds").unsigned_abs());
        NEW_YEAR + now > deadline + grace
    }

    /// The reference to the controller that looks after it.
    pub fn controller(&self) -> Option<&Value> {
        self.list("/metadata/ownerReferences").iter().find(|owner| owner["controller"] == Value::Bool(true))
    }

    /// Whether that uid's object looks after it.
    pub fn is_of(&self, uid: &str) -> bool {
        self.controller().is_some_and(|owner| owner["uid"] == uid)
    }

    /// Whether a condition of its status holds.
    pub fn has_condition(&self, kind: &str) -> bool {
        self.list("/status/conditions").iter().any(|one| one["type"] == kind && one["status"] == "True")
    }

    /// Of a Pod: it has ended.
    pub fn has_ended(&self) -> bool {
        matches!(self.text("/status/phase"), "Succeeded" | "Failed")
    }

    /// Of a Pod: it runs, or will, and is not being deleted.
    pub fn is_active(&self) -> bool {
        !self.has_ended() && !self.is_doomed()
    }

    /// Of a Pod: it serves.
    pub fn is_serving(&self) -> bool {
        self.is_active() && self.has_condition("Ready")
    }
}

/// One commit.
#[derive(Debug)]
pub struct Step {
    /// When.
    pub at: Duration,
    /// Whose.
    pub key: Key,
    /// As it was.
    pub old: Option<Object>,
    /// As it is.
    pub new: Option<Object>,
}

impl Step {
    /// The object that this commit made.
    pub fn created(&self) -> Option<&Object> {
        self.new.as_ref().filter(|new| self.old.as_ref().is_none_or(|old| old.uid() != new.uid()))
    }

    /// Whether the object began to be deleted, or is gone without that.
    pub fn began_to_go(&self) -> Option<&Object> {
        let old = self.old.as_ref().filter(|old| !old.is_doomed())?;
        self.new.as_ref().is_none_or(Object::is_doomed).then_some(old)
    }
}

/// All objects after the latest commit.
#[derive(Debug, Default)]
pub struct World {
    objects: BTreeMap<Key, Object>,
    hasher: DefaultHasher,
    /// When the latest commit was.
    pub now: Duration,
    /// How many commits there were.
    pub commits: u64,
    /// When something last changed that should not while nobody does anything.
    pub restless_at: Duration,
    /// What it was.
    pub restless: Option<Key>,
}

impl World {
    /// Takes one commit in; none when it is of nothing that is looked at.
    pub fn take(&mut self, at: Duration, event: &store::Event) -> Option<Step> {
        self.commits += 1;
        self.now = at;
        self.hasher.write(event.key.as_bytes());
        self.hasher.write_u128(at.as_nanos());
        self.hasher.write(event.value.as_deref().unwrap_or(b"gone"));
        let value = event.value.as_ref().or(event.previous.as_ref().map(|(value, _)| value))?;
        let value: Value = serde_json::from_slice(value).expect("the store holds JSON");
        let field = |pointer: &str| value.pointer(pointer).and_then(Value::as_str).unwrap_or("").to_owned();
        let key = Key { kind: field("/kind"), namespace: field("/metadata/namespace"), name: field("/metadata/name") };
        if matches!(key.kind.as_str(), "Lease" | "Event") {
            return None;
        }
        (self.restless_at, self.restless) = (at, Some(key.clone()));
        let old = self.objects.remove(&key);
        let new = event.value.is_some().then(|| Object(Arc::new(value)));
        if let Some(new) = &new {
            self.objects.insert(key.clone(), new.clone());
        }
        Some(Step { at, key, old, new })
    }

    /// What tells one run from another.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// One object.
    pub fn get(&self, kind: &str, namespace: &str, name: &str) -> Option<&Object> {
        self.find(kind, namespace, name).map(|(_, object)| object)
    }

    /// One object with its key.
    pub fn find(&self, kind: &str, namespace: &str, name: &str) -> Option<(&Key, &Object)> {
        self.objects.get_key_value(&Key { kind: kind.into(), namespace: namespace.into(), name: name.into() })
    }

    /// All objects.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Object)> {
        self.objects.iter()
    }

    /// The objects of a kind.
    pub fn of_kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a Key, &'a Object)> {
        let first = Key { kind: kind.to_owned(), namespace: String::new(), name: String::new() };
        self.objects.range(first..).take_while(move |(key, _)| key.kind == kind)
    }

    /// The objects of a kind in a namespace.
    pub fn in_namespace<'a>(
        &'a self,
        kind: &'a str,
        namespace: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Object)> {
        let first = Key { kind: kind.to_owned(), namespace: namespace.to_owned(), name: String::new() };
        let objects = self.objects.range(first..);
        objects.take_while(move |(key, _)| key.kind == kind && key.namespace == namespace)
    }

    /// The objects of a kind that an owner in the same namespace looks after.
    pub fn owned<'a>(
        &'a self,
        kind: &'a str,
        namespace: &'a str,
        uid: &'a str,
    ) -> impl Iterator<Item = (&'a Key, &'a Object)> {
        self.in_namespace(kind, namespace).filter(move |(_, object)| object.is_of(uid))
    }
}
