//! Telling users what happened, without ever holding up whoever tells it.
//!
//! `event` puts a note into a bounded queue; one task writes the notes as Events, in order. When the server can't keep
//! up, the newest notes are dropped and counted: an Event is news, not state. Repeats of one note update one Event
//! (`count`, `lastTimestamp`), floods of similar ones are combined, and one object's notes are limited, as in upstream.

mod correlate;
mod sink;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use platform::clock::SharedClock;
use platform::tasks::{TaskKind, spawn};
use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::Client;

/// Notes that may wait to be written.
const QUEUE_LIMIT: usize = 4096;

/// The `type` of an Event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventType {
    /// Things go as intended.
    Normal,
    /// Somebody may want to act.
    Warning,
}

impl EventType {
    fn as_str(self) -> &'static str {
        match self {
            Self::Normal => "Normal",
            Self::Warning => "Warning",
        }
    }
}

/// Which of the two shapes upstream's components write. Both are the same stored resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EventFormat {
    /// `source`, `count`, `firstTimestamp`, `lastTimestamp`: kubelet and controllers.
    Counted,
    /// `eventTime`, `reportingComponent`, `action`, `series`: the scheduler.
    Series,
}

/// Who reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventSource {
    /// The component, such as `kubelet`; kubectl shows it under `From`.
    pub component: String,
    /// The node's name where the component runs on one, or what tells instances apart; may be empty.
    pub instance: String,
    /// The shape of its Events.
    pub format: EventFormat,
}

/// A thing that happened.
#[derive(Debug, Clone)]
struct Note {
    object: ObjectReference,
    kind: EventType,
    reason: String,
    action: String,
    message: String,
}

enum Item {
    Note(Box<Note>),
    /// Answered when everything before it has been written.
    Flush(oneshot::Sender<()>),
}

/// Writes Events. Clones share one queue and one task, which ends when the last clone is dropped.
#[derive(Clone)]
pub struct EventRecorder {
    queue: mpsc::Sender<Item>,
    dropped: Arc<AtomicU64>,
}

impl EventRecorder {
    /// Starts the writing task.
    pub fn start(client: Client, source: EventSource, clock: SharedClock) -> Self {
        let (queue, items) = mpsc::channel(QUEUE_LIMIT);
        spawn(TaskKind::Worker, "event writer", write_events(client, source, clock, items));
        Self { queue, dropped: Arc::default() }
    }

    /// Reports that `reason` (a CamelCase word) befell `object`. Returns at once.
    pub fn event(&self, object: &ObjectReference, kind: EventType, reason: &str, message: impl Into<String>) {
        self.event_with_action(object, kind, reason, "", message);
    }

    /// As [`event`](Self::event), with the `action` that was being taken, for sources of [`EventFormat::Series`].
    pub fn event_with_action(
        &self,
        object: &ObjectReference,
        kind: EventType,
        reason: &str,
        action: &str,
        message: impl Into<String>,
    ) {
        let note = Note {
            object: object.clone(),
            kind,
            reason: reason.to_owned(),
            action: action.to_owned(),
            message: message.into(),
        };
        if self.queue.try_send(Item::Note(Box::new(note))).is_err() {
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            if dropped.is_power_of_two() {
                warn!(dropped, "Events dropped: the API server does not keep up");
            }
        }
    }

    /// Waits until every Event reported before has been written or given up.
    pub async fn flush(&self) {
        let (done, written) = oneshot::channel();
        if self.queue.send(Item::Flush(done)).await.is_ok() {
            // An error means the task is gone and nothing is left to wait for.
            let _ = written.await;
        }
    }
}

async fn write_events(client: Client, source: EventSource, clock: SharedClock, mut items: mpsc::Receiver<Item>) {
    let mut correlator = correlate::Correlator::new(source);
    while let Some(item) = items.recv().await {
        match item {
            Item::Note(note) => {
                if let Some(write) = correlator.plan(&note, clock.now()) {
                    sink::execute(&client, write).await;
                }
            }
            // Nobody waits any more: fine.
            Item::Flush(done) => drop(done.send(())),
        }
    }
}

/// A reference to an object that came from the server, as Events carry it.
pub fn object_reference<K: Resource<DynamicType: Default>>(object: &K) -> ObjectReference {
    ObjectReference {
        resource_version: object.meta().resource_version.clone(),
        ..object.object_ref(&K::DynamicType::default())
    }
}
