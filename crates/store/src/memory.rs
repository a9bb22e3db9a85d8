//! The in-memory engine, for tests and simulation: nothing survives it.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use futures::StreamExt;

use crate::history::{HistoryLimits, HistorySize};
use crate::watch::{Hub, WATCH_QUEUE};
use crate::{Error, Event, EventStream, Expect, KeyValue, Notice, Op, Revision, Snapshot, Store};

/// A store whose every commit is as durable as the process. History is bounded by commits and bytes; it reads no clock,
/// so that the age bound does not apply.
#[derive(Debug)]
pub struct MemoryStore {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    head: Revision,
    compacted: Revision,
    current: BTreeMap<Arc<str>, KeyValue>,
    log: VecDeque<Event>,
    limits: HistoryLimits,
    size: HistorySize,
    hub: Hub,
    closed: bool,
}

impl Default for MemoryStore {
    fn default() -> Self {
        Self::new(HistoryLimits::default())
    }
}

impl MemoryStore {
    /// An empty store.
    pub fn new(limits: HistoryLimits) -> Self {
        Self::with_watch_queue(limits, WATCH_QUEUE)
    }

    pub(crate) fn with_watch_queue(limits: HistoryLimits, queue: usize) -> Self {
        let state = State {
            head: Revision(0),
            compacted: Revision(0),
            current: BTreeMap::new(),
            log: VecDeque::new(),
            limits,
            size: HistorySize::default(),
            hub: Hub::new(queue),
            closed: false,
        };
        Self { state: Mutex::new(state) }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn commit(&mut self, key: &str, expect: Expect, op: Op) -> Result<Revision, Error> {
        if self.closed {
            return Err(Error::closed());
        }
        let current = self.current.get(key).cloned();
        if !expect.holds(current.as_ref()) || (current.is_none() && op == Op::Delete) {
            return Err(Error::Conflict { current });
        }
        let revision = Revision(self.head.0 + 1);
        let key: Arc<str> = key.into();
        let value = match op {
            Op::Put { value, .. } => {
                let item = KeyValue { key: key.clone(), value: value.clone(), revision };
                self.current.insert(key.clone(), item);
                Some(value)
            }
            Op::Delete => {
                self.current.remove(&key);
                None
            }
        };
        self.head = revision;
        let event = Event { key, value, previous: current.map(|item| (item.value, item.revision)), revision };
        self.hub.publish(std::slice::from_ref(&event));
        self.size.add(event_bytes(&event));
        self.log.push_back(event);
        while self.limits.exceeded_by(self.size, std::time::Duration::ZERO) {
            self.forget_oldest();
        }
        Ok(revision)
    }

    fn forget_oldest(&mut self) {
        if let Some(event) = self.log.pop_front() {
            self.size.remove(event_bytes(&event));
            self.compacted = event.revision;
        }
    }
}

/// What an event counts for in the history.
fn event_bytes(event: &Event) -> u64 {
    (event.key.len() + event.value.as_ref().map_or(0, bytes::Bytes::len)) as u64
}

#[async_trait]
impl Store for MemoryStore {
    fn revision(&self) -> Revision {
        self.lock().head
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, Error> {
        Ok(self.lock().current.get(key).cloned())
    }

    async fn list(&self, prefix: &str) -> Result<Snapshot, Error> {
        let state = self.lock();
        let items = state.current.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let items = items.take_while(|(key, _)| key.starts_with(prefix)).map(|(_, item)| item.clone()).collect();
        Ok(Snapshot { revision: state.head, items })
    }

    async fn commit(&self, key: &str, expect: Expect, op: Op) -> Result<Revision, Error> {
        self.lock().commit(key, expect, op)
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<EventStream, Error> {
        let mut state = self.lock();
        if state.closed {
            return Err(Error::closed());
        }
        if after < state.compacted {
            return Err(Error::Compacted { requested: after, oldest: state.compacted });
        }
        let missed = state.log.iter().filter(|event| event.revision > after && event.key.starts_with(prefix));
        let reached = (after < state.head).then_some(Notice::Reached(state.head));
        let missed: Vec<_> = missed.cloned().map(Notice::Commit).chain(reached).map(Ok).collect();
        let after = after.max(state.head);
        Ok(futures::stream::iter(missed).chain(state.hub.subscribe(prefix, after).into_stream()).boxed())
    }

    async fn compact(&self, before: Revision) -> Result<(), Error> {
        let mut state = self.lock();
        while state.log.front().is_some_and(|event| event.revision < before) {
            state.forget_oldest();
        }
        Ok(())
    }

    async fn close(&self) -> Result<(), Error> {
        let mut state = self.lock();
        state.closed = true;
        state.hub.end(None);
        Ok(())
    }
}
