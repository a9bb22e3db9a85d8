//! The changes of the time before this server started: read from the store when somebody asks for them, so that clients
//! resume across a restart as if nothing had been.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use store::{EventStream, Notice, Revision};
use tracing::debug;

use super::WatchCache;
use super::entry::{Entry, Event, EventKind};
use super::feed::{Caches, ROOT, read_facts};

/// A store that takes longer to tell what was is not waited for.
const PATIENCE: Duration = Duration::from_secs(5);

impl Caches {
    /// Makes the histories reach back to a revision of before the start. `false` when the store does not have what
    /// happened since, or a crash has undone that revision: who has seen it must list again.
    ///
    /// Histories that have started over or forgotten something meanwhile stay as they are; they say so themselves.
    pub async fn reach_back(&self, revision: u64) -> bool {
        if revision >= self.loaded_at {
            return true;
        }
        match tokio::time::timeout(PATIENCE, self.read_back(revision)).await {
            Ok(Ok(())) => return true,
            Ok(Err(error)) => debug!(revision, %error, "the store does not have what happened since"),
            Err(_) => debug!(revision, "the store does not tell in time what happened since"),
        }
        false
    }

    async fn read_back(&self, revision: u64) -> Result<(), store::Error> {
        // The store is asked each time, for it knows the revisions that did not last.
        let stream = self.store.watch(ROOT, Revision(revision)).await?;
        let mut known_after = self.known_after.lock().await;
        if revision < *known_after {
            let changes = self.read_changes(stream, *known_after).await?;
            self.remember(revision, *known_after, changes);
            *known_after = revision;
        }
        Ok(())
    }

    /// Puts the changes after one revision and up to another in front of the histories.
    fn remember(&self, after: u64, upto: u64, changes: Vec<Change>) {
        let mut by_cache: HashMap<*const WatchCache, Vec<Arc<Event>>> = HashMap::new();
        for (cache, event) in changes {
            by_cache.entry(Arc::as_ptr(&cache)).or_default().push(event);
        }
        for cache in self.all() {
            cache.remember(after, upto, by_cache.remove(&Arc::as_ptr(cache)).unwrap_or_default());
        }
    }

    /// The changes up to a revision.
    async fn read_changes(&self, mut stream: EventStream, upto: u64) -> Result<Vec<Change>, store::Error> {
        let mut past = Past::default();
        while let Some(notice) = stream.next().await {
            let reached = match notice? {
                Notice::Reached(revision) => revision.0,
                Notice::Commit(event) => {
                    if event.revision.0 <= upto
                        && let Some((cache, key)) = self.route(&event.key)
                    {
                        past.add(cache, key, &event);
                    }
                    event.revision.0
                }
            };
            if reached >= upto {
                return Ok(past.changes);
            }
        }
        Err(store::Error::Engine("the watch ended early".to_owned()))
    }
}

/// A change, and where it belongs.
type Change = (Arc<WatchCache>, Arc<Event>);

/// Changes as the caches would have taken them in.
#[derive(Default)]
struct Past {
    changes: Vec<Change>,
    /// By key in the store: each object is kept once, as what one change led to and the next one came from.
    newest: HashMap<Arc<str>, Arc<Entry>>,
}

impl Past {
    /// Adds a change; what cannot be read was not in the cache either.
    fn add(&mut self, cache: &Arc<WatchCache>, key: &str, event: &store::Event) {
        let entry = |value: &[u8], revision: Revision, kind: EventKind| {
            let facts = read_facts(cache, &event.key, value).ok()?;
            Some(Arc::new(Entry::new(&cache.prefix, value, revision.0, facts, kind)))
        };
        let previous = event.previous.as_ref().and_then(|(value, revision)| {
            let known = self.newest.get(&event.key).filter(|entry| entry.revision == revision.0);
            known.cloned().or_else(|| entry(value, *revision, EventKind::Modified))
        });
        let kind = if previous.is_some() { EventKind::Modified } else { EventKind::Added };
        let current = event.value.as_ref().and_then(|value| entry(value, event.revision, kind));
        match &current {
            Some(entry) => self.newest.insert(Arc::clone(&event.key), Arc::clone(entry)),
            None => self.newest.remove(&event.key),
        };
        if current.is_some() || previous.is_some() {
            let event = Event::new(event.revision.0, key.into(), current, previous);
            self.changes.push((Arc::clone(cache), Arc::new(event)));
        }
    }
}
