//! The recent changes of one resource: watches resume from them, and lists go on at the revision they began with.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::entry::{Entry, Event};

/// Changes older than this are forgotten, as upstream compacts them.
const MAX_AGE: Duration = Duration::from_secs(300);
/// Memory the changes of one resource may take.
const MAX_BYTES: usize = 16 << 20;
/// So many changes are kept however old they are, unless they take too much memory.
const MIN_EVENTS: usize = 64;

/// A ring of changes in revision order. Holds every change after [`History::complete_after`].
#[derive(Debug)]
pub struct History {
    events: VecDeque<(Instant, Arc<Event>)>,
    bytes: usize,
    complete_after: u64,
}

impl History {
    /// Nothing is known of what happened before or at `revision`.
    pub fn starting_after(revision: u64) -> Self {
        Self { events: VecDeque::new(), bytes: 0, complete_after: revision }
    }

    /// Every change after this revision is here.
    pub fn complete_after(&self) -> u64 {
        self.complete_after
    }

    /// Adds the newest change and forgets what has become too old or too much.
    pub fn push(&mut self, event: Arc<Event>) {
        self.bytes += event.size_bytes();
        self.events.push_back((Instant::now(), event));
        self.forget();
    }

    /// Forgets what has become too old or too much.
    pub fn forget(&mut self) {
        if self.events.len() <= MIN_EVENTS && self.bytes <= MAX_BYTES {
            return;
        }
        let now = Instant::now();
        while let Some((at, oldest)) = self.events.front() {
            let aged = self.events.len() > MIN_EVENTS && now.duration_since(*at) > MAX_AGE;
            if !aged && self.bytes <= MAX_BYTES {
                break;
            }
            self.bytes -= oldest.size_bytes();
            self.complete_after = oldest.revision;
            self.events.pop_front();
        }
        if self.events.capacity() > 8 * self.events.len().max(MIN_EVENTS) {
            self.events.shrink_to(2 * self.events.len());
        }
    }

    /// Adds what happened after one revision and up to another, if this history begins with the latter.
    pub fn prepend(&mut self, after: u64, upto: u64, events: Vec<Arc<Event>>) {
        if self.complete_after != upto {
            return;
        }
        let now = Instant::now();
        for event in events.into_iter().rev() {
            let bytes = self.bytes + event.size_bytes();
            if bytes > MAX_BYTES {
                self.complete_after = event.revision;
                return;
            }
            self.bytes = bytes;
            self.events.push_front((now, event));
        }
        self.complete_after = after;
    }

    /// The changes after a revision, oldest first; `None` when some of them are forgotten.
    pub fn after(&self, revision: u64) -> Option<impl Iterator<Item = &Arc<Event>>> {
        (revision >= self.complete_after).then(|| {
            let start = self.events.partition_point(|(_, event)| event.revision <= revision);
            self.events.range(start..).map(|(_, event)| event)
        })
    }

    /// What has to be put back to see the objects as they were at a revision: per key, the object then.
    pub fn undo_to(&self, revision: u64) -> Option<BTreeMap<Arc<str>, Option<Arc<Entry>>>> {
        let mut before = BTreeMap::new();
        for event in self.after(revision)? {
            before.entry(Arc::clone(&event.key)).or_insert_with(|| event.previous.clone());
        }
        Some(before)
    }
}
