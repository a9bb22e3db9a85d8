//! One object in the cache, and one change of it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use api::schema::Type;
use bytes::Bytes;

use super::facts::Facts;
use crate::encoding::Prefix;
use crate::error::Error;
use crate::protobuf;

/// What happened, from the point of view of one watcher.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventKind {
    /// The object came into view.
    Added,
    /// It changed.
    Modified,
    /// It went out of view.
    Deleted,
}

impl EventKind {
    /// As watch events call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "ADDED",
            Self::Modified => "MODIFIED",
            Self::Deleted => "DELETED",
        }
    }

    /// What a watch event of this kind starts with.
    pub fn opening(self) -> &'static str {
        match self {
            Self::Added => r#"{"type":"ADDED","object":"#,
            Self::Modified => r#"{"type":"MODIFIED","object":"#,
            Self::Deleted => r#"{"type":"DELETED","object":"#,
        }
    }
}

/// What a watch event ends with.
pub const CLOSING: &str = "}\n";

/// One object at one revision. Its bytes are those of the watch event that told of it, so that both share them.
#[derive(Debug)]
pub struct Entry {
    /// The revision that wrote it.
    pub revision: u64,
    /// What selectors ask about.
    pub facts: Facts,
    kind: EventKind,
    frame: Bytes,
    /// The object as a protobuf message, once somebody has asked for it.
    message: OnceLock<Bytes>,
}

impl Entry {
    /// An object as it came from the store.
    pub fn new(prefix: &Prefix, stored: &[u8], revision: u64, facts: Facts, kind: EventKind) -> Self {
        let frame = prefix.splice(kind.opening(), stored, revision, CLOSING);
        Self { revision, facts, kind, frame, message: OnceLock::new() }
    }

    /// The object as a protobuf message, encoded once.
    ///
    /// # Errors
    /// [`Error::Internal`] when it is no object of that structure.
    pub fn message(&self, structure: Type) -> Result<&Bytes, Error> {
        if let Some(message) = self.message.get() {
            return Ok(message);
        }
        let message = protobuf::message(&self.object(), structure)?;
        Ok(self.message.get_or_init(|| message.into()))
    }

    /// The object, as it is served.
    pub fn object(&self) -> Bytes {
        self.frame.slice(self.kind.opening().len()..self.frame.len() - CLOSING.len())
    }

    /// Memory it takes, roughly.
    pub fn size_bytes(&self) -> usize {
        self.frame.len()
    }

    /// The watch event of a kind, about this object.
    pub fn frame(&self, kind: EventKind) -> Bytes {
        if kind == self.kind { self.frame.clone() } else { wrap(kind, &self.object()) }
    }
}

/// Puts an object into a watch event.
pub fn wrap(kind: EventKind, object: &[u8]) -> Bytes {
    [kind.opening().as_bytes(), object, CLOSING.as_bytes()].concat().into()
}

/// A representation of an event other than the one its entry holds, by an identifier of the representation.
type Encoded = ((u8, EventKind), Bytes);

/// One commit to one object.
#[derive(Debug)]
pub struct Event {
    /// The commit.
    pub revision: u64,
    /// The object's key within its resource.
    pub key: Arc<str>,
    /// The object after it; `None` when it was removed.
    pub current: Option<Arc<Entry>>,
    /// The object before it; `None` when it was created.
    pub previous: Option<Arc<Entry>>,
    /// Encodings made so far: each is made once and shared by all watchers.
    encoded: Mutex<Vec<Encoded>>,
}

impl Event {
    /// A commit nobody has asked for yet.
    pub fn new(revision: u64, key: Arc<str>, current: Option<Arc<Entry>>, previous: Option<Arc<Entry>>) -> Self {
        Self { revision, key, current, previous, encoded: Mutex::default() }
    }

    /// The object a watcher is told about: the last one in view, at this event's revision.
    pub fn object(&self, kind: EventKind, prefix: &Prefix) -> Bytes {
        match (kind, &self.current, &self.previous) {
            (EventKind::Added | EventKind::Modified, Some(entry), _) | (EventKind::Deleted, Some(entry), None) => {
                entry.object()
            }
            (_, _, Some(entry)) => prefix.splice("", &prefix.strip(&entry.object()), self.revision, ""),
            (_, None, None) => Bytes::new(),
        }
    }

    /// The event of a kind in a representation, made by `make` unless it was made before.
    pub fn encoded(&self, representation: u8, kind: EventKind, make: impl FnOnce() -> Bytes) -> Bytes {
        let mut encoded = self.encoded.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (representation, kind);
        if let Some((_, bytes)) = encoded.iter().find(|(made, _)| *made == key) {
            return bytes.clone();
        }
        let bytes = make();
        encoded.push((key, bytes.clone()));
        bytes
    }

    /// Memory it keeps alive beyond the objects that are in the cache anyway, roughly.
    pub fn size_bytes(&self) -> usize {
        let entry = |entry: &Option<Arc<Entry>>| entry.as_ref().map_or(0, |entry| entry.size_bytes());
        entry(&self.previous) + 128
    }

    /// Memory it takes on its way to a watcher, roughly. What came before was carried by the change before.
    pub fn carried_bytes(&self) -> usize {
        self.current.as_ref().or(self.previous.as_ref()).map_or(0, |entry| entry.size_bytes()) + 256
    }
}
