//! Removes objects that live for a limited time. One task sleeps until the next is due; nothing polls.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use platform::tasks::{self, TaskKind};
use store::{Expect, Op, Revision, Store};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::registry::Kept;

/// An object as it was written; a later write makes this note void.
#[derive(Debug)]
struct Note {
    key: String,
    revision: Revision,
    due: Instant,
}

/// The side that takes notes.
#[derive(Debug, Clone)]
pub struct Expiry {
    /// None when the store keeps time itself.
    notes: Option<mpsc::UnboundedSender<Note>>,
}

impl Expiry {
    /// Starts with the objects there are: how long ago they were written is not known, so they get a full life.
    pub fn start(store: Arc<dyn Store>, kept: &[Arc<Kept>], shutdown: CancellationToken) -> Self {
        if store.keeps_time() {
            return Self { notes: None };
        }
        let (notes, inbox) = mpsc::unbounded_channel();
        let expiry = Self { notes: Some(notes) };
        for kept in kept.iter().filter(|kept| !kept.is_view()) {
            let Some(time_to_live) = kept.strategy.time_to_live() else { continue };
            let Ok(all) = kept.cache.list(&crate::watch_cache::ListRequest::default()) else { continue };
            for entry in all.entries {
                let key = kept.store_key(&entry.facts.namespace, &entry.facts.name);
                expiry.note(key, Revision(entry.revision), time_to_live);
            }
        }
        tasks::spawn(TaskKind::Component, "expiry", async move {
            shutdown.run_until_cancelled(expire(store, inbox)).await;
        });
        expiry
    }

    /// Notes that the object written at a revision lives so long from now.
    pub fn note(&self, key: String, revision: Revision, time_to_live: Duration) {
        let Some(notes) = &self.notes else { return };
        // After shutdown nobody listens, and nothing expires any more.
        let _ = notes.send(Note { key, revision, due: Instant::now() + time_to_live });
    }
}

/// All lives are equally long, so notes are due in the order they come.
async fn expire(store: Arc<dyn Store>, mut inbox: mpsc::UnboundedReceiver<Note>) {
    let mut waiting: VecDeque<Note> = VecDeque::new();
    loop {
        let due = waiting.front().map(|note| note.due);
        let timer = async {
            match due {
                Some(due) => tokio::time::sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            note = inbox.recv() => match note {
                Some(note) => waiting.push_back(note),
                None => return,
            },
            () = timer => {
                let Some(note) = waiting.pop_front() else { continue };
                match store.commit(&note.key, Expect::Revision(note.revision), Op::Delete).await {
                    Ok(_) | Err(store::Error::Conflict { .. }) => {} // gone, or written again since
                    Err(error) => warn!(key = note.key, %error, "removing an expired object"),
                }
            }
        }
    }
}
