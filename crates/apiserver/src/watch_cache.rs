//! What reads and watches are answered from: every object of a resource once, in memory, encoded.
//!
//! The one writer is [`feed`], which follows the store. Readers that must see their own writes wait until the feed has
//! caught up with the store ([`Caches::fresh`]), which in one process takes microseconds.
//!
//! # Guarantees
//! - A reader sees the state of one revision, never parts of two.
//! - A watcher gets every change after its start once, in order, or its stream ends: a watcher that falls
//!   [`WATCH_BACKLOG`] changes or [`WATCH_BACKLOG_BYTES`] behind is dropped rather than growing memory, and resumes from
//!   history or lists again.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::encoding::Prefix;

mod backlog;
mod decoded;
mod entry;
mod facts;
mod feed;
mod filter;
mod history;
mod recall;

pub use backlog::{Backlog, Waiting};
use backlog::{Feeder, backlog};
pub use decoded::{Decoded, Item, in_namespace};
pub use entry::{CLOSING, Entry, Event, EventKind, wrap};
pub use facts::{Facts, SelectableField};
pub use feed::{CacheSpec, Caches, FeedError, ROOT};
pub use filter::Filter;
use history::History;

/// So many changes may wait for one watcher.
pub const WATCH_BACKLOG: usize = 1024;
/// The changes that wait for one watcher may be so large; one that waits alone may be larger.
pub const WATCH_BACKLOG_BYTES: usize = 16 << 20;

/// The objects of one resource.
#[derive(Debug)]
pub struct WatchCache {
    /// How its objects are encoded.
    pub prefix: Prefix,
    selectable: &'static [SelectableField],
    state: RwLock<State>,
}

#[derive(Debug)]
struct State {
    objects: BTreeMap<Arc<str>, Arc<Entry>>,
    history: History,
    watchers: Vec<Watcher>,
    /// The newest revision this state is of; other resources' commits count too.
    revision: u64,
    /// How often these objects have changed.
    changes: u64,
    /// Bytes of all objects.
    bytes: usize,
}

#[derive(Debug)]
struct Watcher {
    filter: Filter,
    feeder: Feeder,
}

/// Objects with their keys.
type Keyed = Vec<(Arc<str>, Arc<Entry>)>;

/// A change on its way to one watcher.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The change.
    pub event: Arc<Event>,
    /// What it means to this watcher.
    pub kind: EventKind,
}

/// A list, or a page of it.
#[derive(Debug)]
pub struct Listing {
    /// The revision it is of.
    pub revision: u64,
    /// The objects, in key order.
    pub entries: Vec<Arc<Entry>>,
    /// The key the next page starts after, when there is one.
    pub next: Option<Arc<str>>,
    /// How many objects follow; unknown when a selector is at work.
    pub remaining: Option<usize>,
}

/// What part of a resource to list.
#[derive(Debug, Default)]
pub struct ListRequest<'a> {
    /// Which objects.
    pub filter: Filter,
    /// So many at most; zero for all.
    pub limit: usize,
    /// Only those after this key.
    pub after_key: Option<&'a str>,
    /// As of this revision; newest when `None`.
    pub at_revision: Option<u64>,
}

/// The history that would be needed is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone {
    /// The oldest revision still answerable.
    pub oldest: u64,
    /// The newest.
    pub current: u64,
}

/// Where a watch starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WatchStart {
    /// With the objects there are, then their changes.
    Snapshot,
    /// With the changes after a revision.
    After(u64),
    /// With the changes from now on.
    Now,
}

/// A running watch.
#[derive(Debug)]
pub struct Subscription {
    /// The revision the snapshot is of, or the watch started at.
    pub revision: u64,
    /// The objects there were, for [`WatchStart::Snapshot`]; changes that had happened already, for
    /// [`WatchStart::After`]; and changes as they happen. Ends when this watcher is dropped for being slow, or the cache
    /// starts over.
    pub backlog: Backlog,
}

impl WatchCache {
    fn new(prefix: Prefix, selectable: &'static [SelectableField], revision: u64) -> Self {
        let state = State {
            objects: BTreeMap::new(),
            history: History::starting_after(revision),
            watchers: Vec::new(),
            revision,
            changes: 0,
            bytes: 0,
        };
        Self { prefix, selectable, state: RwLock::new(state) }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The fields selectors can ask for.
    pub fn selectable(&self) -> &'static [SelectableField] {
        self.selectable
    }

    /// One object. `key` is `namespace/name`, or `name`.
    pub fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.read().objects.get(key).cloned()
    }

    /// How many objects there are.
    pub fn len(&self) -> usize {
        self.read().objects.len()
    }

    /// How many objects there are, and how many bytes they take.
    pub fn size(&self) -> (usize, usize) {
        let state = self.read();
        (state.objects.len(), state.bytes)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How often these objects have changed since the server started.
    pub fn changes(&self) -> u64 {
        self.read().changes
    }

    /// [`WatchCache::changes`], and all objects then, in key order.
    fn entries(&self) -> (u64, Keyed) {
        let state = self.read();
        let entries = state.objects.iter().map(|(key, entry)| (Arc::clone(key), Arc::clone(entry)));
        (state.changes, entries.collect())
    }

    /// Objects, as of one revision.
    ///
    /// # Errors
    /// [`Gone`] when the revision is too old.
    pub fn list(&self, request: &ListRequest<'_>) -> Result<Listing, Gone> {
        let state = self.read();
        let revision = request.at_revision.unwrap_or(state.revision);
        let overlay = if revision < state.revision {
            let gone = Gone { oldest: state.history.complete_after(), current: state.revision };
            state.history.undo_to(revision).ok_or(gone)?
        } else {
            BTreeMap::new()
        };
        let high = high_bound(&request.filter.namespace);
        let low = low_bound(request, &high);
        let bounds = (low.as_ref().map(String::as_str), high.as_ref().map(String::as_str));
        let objects = state.objects.range::<str, _>(bounds);
        let mut entries: Vec<(&Arc<str>, &Arc<Entry>)> = if overlay.is_empty() {
            objects.collect()
        } else {
            let then = overlay.range::<str, _>(bounds).filter_map(|(key, entry)| Some((key, entry.as_ref()?)));
            let mut merged: Vec<_> = objects.filter(|(key, _)| !overlay.contains_key(*key)).chain(then).collect();
            merged.sort_by(|a, b| a.0.cmp(b.0));
            merged
        };
        entries.retain(|(_, entry)| request.filter.matches(entry, self.selectable));
        let cut = if request.limit == 0 { entries.len() } else { request.limit.min(entries.len()) };
        let rest = entries.len() - cut;
        let next = (rest > 0).then(|| Arc::clone(entries[cut - 1].0));
        let remaining = (rest > 0 && !request.filter.is_selective()).then_some(rest);
        let entries = entries[..cut].iter().map(|(_, entry)| Arc::clone(entry)).collect();
        Ok(Listing { revision, entries, next, remaining })
    }

    /// Starts a watch.
    ///
    /// # Errors
    /// [`Gone`] when the start is too old.
    pub fn subscribe(&self, filter: Filter, start: WatchStart) -> Result<Subscription, Gone> {
        let mut state = self.write();
        let (mut snapshot, mut replay, mut revision) = (Vec::new(), Vec::new(), state.revision);
        match start {
            WatchStart::Now => {}
            WatchStart::Snapshot => {
                let matching = state.objects.values().filter(|entry| filter.matches(entry, self.selectable));
                snapshot = matching.cloned().collect();
            }
            WatchStart::After(after) => {
                let gone = Gone { oldest: state.history.complete_after(), current: state.revision };
                let events = state.history.after(after).ok_or(gone)?;
                replay = events.filter_map(|event| self.delivery(&filter, event)).collect();
                revision = after;
            }
        }
        let (feeder, backlog) = backlog(snapshot, replay);
        state.watchers.push(Watcher { filter, feeder });
        Ok(Subscription { revision, backlog })
    }

    fn delivery(&self, filter: &Filter, event: &Arc<Event>) -> Option<Delivery> {
        let kind = filter.transition(event.current.as_deref(), event.previous.as_deref(), self.selectable)?;
        Some(Delivery { event: Arc::clone(event), kind })
    }

    /// Takes in one commit and tells the watchers.
    fn apply(&self, key: Arc<str>, revision: u64, value: Option<(&[u8], Facts)>) {
        let mut state = self.write();
        let previous = match &value {
            Some(_) => state.objects.get(&key).cloned(),
            None => state.objects.remove(&key),
        };
        let current = value.map(|(stored, facts)| {
            let kind = if previous.is_some() { EventKind::Modified } else { EventKind::Added };
            Arc::new(Entry::new(&self.prefix, stored, revision, facts, kind))
        });
        state.revision = revision;
        state.changes += 1;
        let size = |entry: &Option<Arc<Entry>>| entry.as_ref().map_or(0, |entry| entry.size_bytes());
        state.bytes = state.bytes + size(&current) - size(&previous);
        if current.is_none() && previous.is_none() {
            return; // an object this server could not read
        }
        if let Some(entry) = &current {
            state.objects.insert(Arc::clone(&key), Arc::clone(entry));
        }
        let event = Arc::new(Event::new(revision, key, current, previous));
        state.history.push(Arc::clone(&event));
        state.watchers.retain(|watcher| match self.delivery(&watcher.filter, &event) {
            Some(delivery) => watcher.feeder.add(delivery),
            None => !watcher.feeder.is_closed(),
        });
    }

    /// Notes that other resources have moved on to `revision`.
    fn advance(&self, revision: u64) {
        let mut state = self.write();
        state.revision = state.revision.max(revision);
        state.history.forget();
    }

    /// Takes in what happened after one revision and up to another, with which its own history begins. A history that
    /// begins elsewhere, because the cache has started over or forgotten, is left as it is.
    fn remember(&self, after: u64, upto: u64, events: Vec<Arc<Event>>) {
        self.write().history.prepend(after, upto, events);
    }

    /// Starts over from a snapshot: every watch ends, and no history is left.
    fn replace(&self, objects: BTreeMap<Arc<str>, Arc<Entry>>, revision: u64) {
        let mut state = self.write();
        let (history, changes) = (History::starting_after(revision), state.changes + 1);
        let bytes = objects.values().map(|entry| entry.size_bytes()).sum();
        *state = State { objects, history, watchers: Vec::new(), revision, changes, bytes };
    }
}

/// The first key to look at. One that a client made up may lie behind the last: nothing follows it.
fn low_bound(request: &ListRequest<'_>, high: &Bound<String>) -> Bound<String> {
    let namespace = &request.filter.namespace;
    match (request.after_key, high) {
        (Some(key), Bound::Excluded(end)) if key >= end.as_str() => Bound::Included(end.clone()),
        (Some(key), _) => Bound::Excluded(key.to_owned()),
        (None, _) if namespace.is_empty() => Bound::Unbounded,
        (None, _) => Bound::Included(format!("{namespace}/")),
    }
}

/// The first key after all of a namespace: `0` follows `/`.
fn high_bound(namespace: &str) -> Bound<String> {
    if namespace.is_empty() { Bound::Unbounded } else { Bound::Excluded(format!("{namespace}0")) }
}
