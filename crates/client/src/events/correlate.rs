//! Which write a note leads to. Pure: time is passed in.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Event, EventSource as CoreSource, ObjectReference};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta, Time};
use serde_json::{Value, json};

use super::{EventFormat, EventSource, Note};

/// So many different messages of one reason about one object within [`SIMILAR_WINDOW`] are combined into one Event.
const SIMILAR_LIMIT: usize = 10;
const SIMILAR_WINDOW: Duration = Duration::from_secs(600);
/// One object's notes: this many at once, then one per [`SPAM_REFILL`].
const SPAM_BURST: u32 = 25;
const SPAM_REFILL: Duration = Duration::from_secs(300);
/// Remembered Events, reasons and objects, each; past it, what was not seen for [`SIMILAR_WINDOW`] is forgotten first.
const MEMORY_LIMIT: usize = 4096;
/// What marks the message of a combined Event.
const COMBINED: &str = "(combined from similar events): ";
/// The longest message the API takes is 1024 bytes.
const MESSAGE_LIMIT: usize = 1024;

/// A planned write.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Write {
    /// A new Event.
    Create(Box<Event>),
    /// Something repeated: a merge patch of its Event, and the whole Event in case it expired meanwhile.
    Repeat { namespace: String, name: String, patch: Value, whole: Box<Event> },
}

/// An Event that was written, by hash of what makes it the same Event.
#[derive(Debug)]
struct Written {
    name: String,
    count: i32,
    first: Timestamp,
    last: Timestamp,
}

#[derive(Debug)]
struct Similar {
    messages: HashSet<u64>,
    last: Timestamp,
}

#[derive(Debug)]
struct Tokens {
    left: u32,
    last: Timestamp,
}

/// Remembers what was written, in bounded memory.
pub(super) struct Correlator {
    source: EventSource,
    written: HashMap<u64, Written>,
    similar: HashMap<u64, Similar>,
    tokens: HashMap<u64, Tokens>,
    /// Names carry the time; this keeps them apart when it stands still.
    last_stamp: i128,
}

impl Correlator {
    pub(super) fn new(source: EventSource) -> Self {
        Self { source, written: HashMap::new(), similar: HashMap::new(), tokens: HashMap::new(), last_stamp: 0 }
    }

    /// The write for a note at `now`; none when the object has had its share.
    pub(super) fn plan(&mut self, note: &Note, now: Timestamp) -> Option<Write> {
        self.bound_memory(now);
        let object = object_hash(&note.object);
        let reason = hash(&(object, note.kind, &note.reason));
        let message = truncate(&note.message);
        let (key, message) = if self.is_flood(reason, &message, now) {
            (reason, truncate(&format!("{COMBINED}{message}")))
        } else {
            (hash(&(reason, &note.object.field_path, &note.action, &message)), message)
        };
        if !self.take_token(object, now) {
            return None;
        }
        if let Some(written) = self.written.get_mut(&key) {
            written.count = written.count.saturating_add(1);
            written.last = now;
            let whole = Box::new(event(&self.source, note, message, written));
            return Some(Write::Repeat {
                namespace: namespace_of(&note.object),
                name: written.name.clone(),
                patch: repeat_patch(self.source.format, &whole),
                whole,
            });
        }
        let written = Written { name: self.name_for(&note.object, now), count: 1, first: now, last: now };
        let created = event(&self.source, note, message, &written);
        self.written.insert(key, written);
        Some(Write::Create(Box::new(created)))
    }

    /// Whether a reason comes with too many different messages.
    fn is_flood(&mut self, reason: u64, message: &str, now: Timestamp) -> bool {
        let similar = self.similar.entry(reason).or_insert_with(|| Similar { messages: HashSet::new(), last: now });
        if elapsed(similar.last, now) > SIMILAR_WINDOW {
            similar.messages.clear();
        }
        similar.last = now;
        let message = hash(&message);
        if similar.messages.len() < SIMILAR_LIMIT {
            similar.messages.insert(message);
            return similar.messages.len() >= SIMILAR_LIMIT;
        }
        true
    }

    fn take_token(&mut self, object: u64, now: Timestamp) -> bool {
        let tokens = self.tokens.entry(object).or_insert(Tokens { left: SPAM_BURST, last: now });
        let refills = elapsed(tokens.last, now).as_secs() / SPAM_REFILL.as_secs();
        if refills > 0 {
            tokens.left = tokens.left.saturating_add(u32::try_from(refills).unwrap_or(SPAM_BURST)).min(SPAM_BURST);
            tokens.last = now;
        }
        let taken = tokens.left > 0;
        tokens.left = tokens.left.saturating_sub(1);
        taken
    }

    fn name_for(&mut self, object: &ObjectReference, now: Timestamp) -> String {
        const NAME_LIMIT: usize = 253;
        self.last_stamp = now.as_nanosecond().max(self.last_stamp + 1);
        let suffix = format!(".{:x}", self.last_stamp);
        let name = object.name.as_deref().unwrap_or(&self.source.component);
        let end = name.floor_char_boundary(NAME_LIMIT - suffix.len());
        format!("{}{suffix}", name[..end].trim_end_matches(['-', '.']))
    }

    fn bound_memory(&mut self, now: Timestamp) {
        let is_recent = |last: Timestamp| elapsed(last, now) <= SIMILAR_WINDOW;
        bound(&mut self.written, |written| is_recent(written.last));
        bound(&mut self.similar, |similar| is_recent(similar.last));
        bound(&mut self.tokens, |tokens| is_recent(tokens.last));
    }
}

/// Forgets the stale entries of a full memory, and everything when all are fresh: the price is a second Event.
fn bound<V>(memory: &mut HashMap<u64, V>, is_recent: impl Fn(&V) -> bool) {
    if memory.len() >= MEMORY_LIMIT {
        memory.retain(|_, entry| is_recent(entry));
        if memory.len() >= MEMORY_LIMIT {
            memory.clear();
        }
        memory.shrink_to_fit();
    }
}

fn event(source: &EventSource, note: &Note, message: String, written: &Written) -> Event {
    let event = Event {
        metadata: ObjectMeta {
            name: Some(written.name.clone()),
            namespace: Some(namespace_of(&note.object)),
            ..ObjectMeta::default()
        },
        involved_object: note.object.clone(),
        type_: Some(note.kind.as_str().to_owned()),
        reason: Some(note.reason.clone()),
        message: Some(message),
        reporting_component: Some(source.component.clone()),
        reporting_instance: Some(source.instance.clone()),
        ..Event::default()
    };
    match source.format {
        EventFormat::Counted => Event {
            source: Some(CoreSource {
                component: Some(source.component.clone()),
                host: Some(source.instance.clone()).filter(|host| !host.is_empty()),
            }),
            count: Some(written.count),
            first_timestamp: Some(Time(written.first)),
            last_timestamp: Some(Time(written.last)),
            ..event
        },
        EventFormat::Series => Event {
            action: Some(note.action.clone()),
            event_time: Some(MicroTime(written.first)),
            series: (written.count > 1).then_some(k8s_openapi::api::core::v1::EventSeries {
                count: Some(written.count),
                last_observed_time: Some(MicroTime(written.last)),
            }),
            ..event
        },
    }
}

/// What changes when an Event repeats. The message does where messages are combined.
fn repeat_patch(format: EventFormat, whole: &Event) -> Value {
    match format {
        EventFormat::Counted => {
            json!({ "count": whole.count, "lastTimestamp": whole.last_timestamp, "message": whole.message })
        }
        EventFormat::Series => json!({ "series": whole.series, "message": whole.message }),
    }
}

/// Events about cluster-scoped objects live in `default`.
fn namespace_of(object: &ObjectReference) -> String {
    object.namespace.clone().filter(|namespace| !namespace.is_empty()).unwrap_or_else(|| "default".to_owned())
}

/// A message the API takes; the cut is marked.
fn truncate(message: &str) -> String {
    const MARK: &str = " ...";
    if message.len() <= MESSAGE_LIMIT {
        return message.to_owned();
    }
    format!("{}{MARK}", &message[..message.floor_char_boundary(MESSAGE_LIMIT - MARK.len())])
}

fn object_hash(object: &ObjectReference) -> u64 {
    hash(&(&object.api_version, &object.kind, &object.namespace, &object.name, &object.uid))
}

fn hash(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

fn elapsed(earlier: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(earlier).max(SignedDuration::ZERO).unsigned_abs()
}
