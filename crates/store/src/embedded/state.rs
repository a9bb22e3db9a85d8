//! What readers see: the overlay on top of the tables, at one revision.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::describe;
use super::overlay::Overlay;
use super::record::Record;
use super::tables::{Failure, TablesView};
use crate::watch::Hub;
use crate::{Error, Event, KeyValue, Revision};

/// Shared by the writer, which alone changes it, and all readers. The lock is only ever held for work in memory.
#[derive(Debug)]
pub(crate) struct Shared(RwLock<State>);

/// The newest state. A commit enters the overlay and the watchers' queues under one lock.
#[derive(Debug)]
pub(crate) struct State {
    /// The newest revision.
    pub(crate) head: Revision,
    /// The newest revision that is no longer part of the history.
    pub(crate) compacted: Revision,
    /// Commits since the last checkpoint.
    pub(crate) overlay: Overlay,
    /// Everything before them.
    pub(crate) tables: Arc<TablesView>,
    /// The watchers.
    pub(crate) hub: Hub,
    /// Why there will be no more commits.
    pub(crate) stopped: Option<Stop>,
}

/// How it came to an end.
#[derive(Debug, Clone)]
pub(crate) enum Stop {
    /// It was closed or dropped.
    Closed,
    /// The disk failed.
    Failed(Error),
}

impl Stop {
    /// What those get who still want something.
    pub(crate) fn error(&self) -> Error {
        match self {
            Self::Closed => Error::closed(),
            Self::Failed(failure) => failure.clone(),
        }
    }
}

impl Shared {
    pub(crate) fn new(state: State) -> Self {
        Self(RwLock::new(state))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, State> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest record of a key, which may be its removal.
    pub(crate) fn newest(&self, key: &str) -> Result<Option<Arc<Record>>, Failure> {
        let tables = {
            let state = self.read();
            if let Some(record) = state.overlay.newest(key) {
                return Ok(Some(record.clone()));
            }
            state.tables.clone()
        };
        Ok(tables.newest(key)?.map(Arc::new))
    }

    /// Makes commits visible.
    pub(crate) fn publish(&self, records: Vec<Arc<Record>>, events: &[Event]) {
        let mut state = self.write();
        for record in records {
            state.head = record.revision;
            state.overlay.push(record);
        }
        state.hub.publish(events);
    }

    /// No commit will follow.
    pub(crate) fn stop(&self, stop: Stop) {
        let mut state = self.write();
        state.hub.end(match &stop {
            Stop::Closed => None,
            Stop::Failed(failure) => Some(failure),
        });
        state.stopped = Some(stop);
    }
}

/// The keys under a prefix at one moment, not read from the tables yet.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) revision: Revision,
    prefix: Box<str>,
    overlay: BTreeMap<Arc<str>, Arc<Record>>,
    tables: Arc<TablesView>,
}

impl Listing {
    pub(crate) fn new(state: &State, prefix: &str) -> Self {
        Self {
            revision: state.head,
            prefix: prefix.into(),
            overlay: state.overlay.newest_under(prefix),
            tables: state.tables.clone(),
        }
    }

    /// Reads it. May wait for the disk.
    pub(crate) fn read(self) -> Result<Vec<KeyValue>, Failure> {
        let mut items = self.tables.list(&self.prefix, &self.overlay)?;
        items.extend(self.overlay.values().filter_map(|record| record.key_value()));
        items.sort_unstable_by(|left, right| left.key.cmp(&right.key));
        Ok(items)
    }
}

/// The commits after a revision up to the moment of its making, handed out piece by piece.
#[derive(Debug)]
pub(crate) struct History {
    prefix: Box<str>,
    /// Everything up to here was handed out.
    position: Revision,
    /// Where it ends.
    upto: Revision,
    overlay: BTreeMap<Revision, Arc<Record>>,
    tables: Arc<TablesView>,
}

/// How many records are read at a time, so that a long history does not sit in memory.
const PIECE: usize = 256;

impl History {
    pub(crate) fn new(state: &State, prefix: &str, after: Revision) -> Self {
        let overlay = state.overlay.by_revision().clone();
        Self { prefix: prefix.into(), position: after, upto: state.head, overlay, tables: state.tables.clone() }
    }

    /// The revision it tells everything up to.
    pub(crate) fn upto(&self) -> Revision {
        self.upto
    }

    /// The next events, or `None` at the end. May wait for the disk.
    pub(crate) fn next_piece(&mut self) -> Result<Option<Vec<Event>>, Failure> {
        let mut records: Vec<_> = self.tables.records_after(self.position, PIECE)?.into_iter().map(Arc::new).collect();
        if records.is_empty() {
            let rest = self.overlay.range((Bound::Excluded(self.position), Bound::Unbounded));
            records = rest.take(PIECE).map(|(_, record)| record.clone()).collect();
        }
        let Some(last) = records.last() else { return Ok(None) };
        self.position = last.revision;
        let under = records.iter().filter(|record| record.key.starts_with(&*self.prefix));
        let events = under.filter_map(|record| self.event(record).transpose());
        events.collect::<Result<_, _>>().map(Some)
    }

    fn event(&self, record: &Record) -> Result<Option<Event>, Failure> {
        let previous = record.previous.map(|revision| self.value_at(revision)).transpose()?;
        Ok(record.event(previous))
    }

    fn value_at(&self, revision: Revision) -> Result<(Bytes, Revision), Failure> {
        let item = match self.overlay.get(&revision) {
            Some(record) => record.key_value(),
            None => self.tables.value_record(revision)?.key_value(),
        };
        item.map(|item| (item.value, item.revision)).ok_or(Failure::Missing(revision))
    }
}

impl From<Failure> for Error {
    fn from(failure: Failure) -> Self {
        Self::Engine(describe(&failure))
    }
}
