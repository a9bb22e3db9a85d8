//! What waits for one watcher: shared by the cache, which adds, and the watch, which takes.
//!
//! A backlog is bounded in changes and in bytes. One that would grow past either is cleared and over, at once: a client
//! that has stopped reading holds no memory until its connection ends.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::entry::Entry;
use super::{Delivery, WATCH_BACKLOG, WATCH_BACKLOG_BYTES};

/// Memory a queue keeps when it is empty, in places.
const IDLE_CAPACITY: usize = 64;

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    snapshot: VecDeque<Arc<Entry>>,
    replay: VecDeque<Delivery>,
    fresh: VecDeque<Delivery>,
    /// Bytes of the changes in `fresh`.
    bytes: usize,
    over: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What may be taken from a backlog without waiting.
#[derive(Debug)]
pub enum Waiting {
    /// A change.
    Delivery(Delivery),
    /// Nothing just now.
    Nothing,
    /// Nothing any more.
    Over,
}

/// The watch's end of a backlog.
#[derive(Debug)]
pub struct Backlog(Arc<Shared>);

/// The cache's end of a backlog. Dropping it ends the watch after what waits.
#[derive(Debug)]
pub(super) struct Feeder(Arc<Shared>);

/// Both ends of a backlog that begins with a snapshot and what has happened already.
pub(super) fn backlog(snapshot: Vec<Arc<Entry>>, replay: Vec<Delivery>) -> (Feeder, Backlog) {
    let queue = Queue { snapshot: snapshot.into(), replay: replay.into(), ..Queue::default() };
    let shared = Arc::new(Shared { queue: Mutex::new(queue), changed: Notify::new() });
    (Feeder(Arc::clone(&shared)), Backlog(shared))
}

impl Feeder {
    /// Adds a change. `false` when nobody reads any more, or too much waits: then the backlog is over.
    pub(super) fn add(&self, delivery: Delivery) -> bool {
        let mut queue = self.0.lock();
        if queue.over {
            return false;
        }
        let bytes = queue.bytes + delivery.event.carried_bytes();
        let fits = queue.fresh.is_empty() || (queue.fresh.len() < WATCH_BACKLOG && bytes <= WATCH_BACKLOG_BYTES);
        if fits {
            queue.bytes = bytes;
            queue.fresh.push_back(delivery);
        } else {
            *queue = Queue { over: true, ..Queue::default() };
        }
        drop(queue);
        self.0.changed.notify_one();
        fits
    }

    /// Whether the watch is gone.
    pub(super) fn is_closed(&self) -> bool {
        self.0.lock().over
    }
}

impl Drop for Feeder {
    fn drop(&mut self) {
        self.0.lock().over = true;
        self.0.changed.notify_one();
    }
}

impl Backlog {
    /// The next objects of the snapshot, so many at most; none when it has been read.
    pub fn snapshot(&self, limit: usize) -> Vec<Arc<Entry>> {
        let mut queue = self.0.lock();
        let count = queue.snapshot.len().min(limit);
        let entries = queue.snapshot.drain(..count).collect();
        if queue.snapshot.is_empty() {
            queue.snapshot = VecDeque::new();
        }
        entries
    }

    /// The next of the changes that had happened before this watch began.
    pub fn replay(&self) -> Option<Delivery> {
        let mut queue = self.0.lock();
        let delivery = queue.replay.pop_front();
        if queue.replay.is_empty() {
            queue.replay = VecDeque::new();
        }
        delivery
    }

    /// The next change, if one waits.
    pub fn take(&self) -> Waiting {
        let mut queue = self.0.lock();
        let Some(delivery) = queue.fresh.pop_front() else {
            return if queue.over { Waiting::Over } else { Waiting::Nothing };
        };
        queue.bytes -= delivery.event.carried_bytes();
        if queue.fresh.is_empty() && queue.fresh.capacity() > IDLE_CAPACITY {
            queue.fresh = VecDeque::new();
        }
        Waiting::Delivery(delivery)
    }

    /// The next change; `None` when there is none any more.
    pub async fn next(&self) -> Option<Delivery> {
        loop {
            match self.take() {
                Waiting::Delivery(delivery) => return Some(delivery),
                Waiting::Over => return None,
                Waiting::Nothing => self.0.changed.notified().await,
            }
        }
    }
}

impl Drop for Backlog {
    fn drop(&mut self) {
        *self.0.lock() = Queue { over: true, ..Queue::default() };
    }
}

#[cfg(test)]
mod tests {
    use api::Gvk;

    use super::*;
    use crate::encoding::Prefix;
    use crate::watch_cache::{Event, EventKind, Facts};

    const GVK: Gvk = Gvk { group: "", version: "v1", kind: "ConfigMap" };

    fn delivery(bytes: usize) -> Delivery {
        let stored = format!(
            r#"{{"apiVersion":"v1","kind":"ConfigMap","metadata":{{"name":"a"}},"data":{{"a":"{}"}}}}"#,
            "x".repeat(bytes)
        );
        let facts = Facts::read(stored.as_bytes(), &[]).expect("facts");
        let entry = Entry::new(&Prefix::new(&GVK), stored.as_bytes(), 1, facts, EventKind::Added);
        let event = Event::new(1, "default/a".into(), Some(Arc::new(entry)), None);
        Delivery { event: Arc::new(event), kind: EventKind::Added }
    }

    #[tokio::test]
    async fn what_is_added_comes_in_order_and_the_end_after_it() {
        let (feeder, backlog) = backlog(Vec::new(), vec![delivery(1)]);
        assert!(feeder.add(delivery(2)));
        assert!(backlog.replay().is_some() && backlog.replay().is_none());
        assert!(backlog.next().await.is_some());
        assert!(matches!(backlog.take(), Waiting::Nothing));
        assert!(feeder.add(delivery(3)));
        drop(feeder);
        assert!(backlog.next().await.is_some());
        assert!(backlog.next().await.is_none());
    }

    #[tokio::test]
    async fn too_many_changes_end_it_and_nothing_is_kept() {
        let (feeder, backlog) = backlog(Vec::new(), vec![delivery(1)]);
        for _ in 0..WATCH_BACKLOG {
            assert!(feeder.add(delivery(1)));
        }
        assert!(!feeder.add(delivery(1)) && feeder.is_closed());
        assert!(backlog.replay().is_none());
        assert!(backlog.next().await.is_none());
    }

    #[tokio::test]
    async fn too_many_bytes_end_it_but_one_change_of_any_size_is_taken() {
        let (feeder, backlog) = backlog(Vec::new(), Vec::new());
        assert!(feeder.add(delivery(2 * WATCH_BACKLOG_BYTES)));
        assert!(backlog.next().await.is_some());
        for _ in 0..3 {
            assert!(feeder.add(delivery(WATCH_BACKLOG_BYTES / 4)));
        }
        assert!(!feeder.add(delivery(WATCH_BACKLOG_BYTES / 4)));
        assert!(backlog.next().await.is_none());
    }

    #[test]
    fn a_watch_that_is_gone_takes_nothing() {
        let (feeder, backlog) = backlog(Vec::new(), Vec::new());
        drop(backlog);
        assert!(feeder.is_closed() && !feeder.add(delivery(1)));
    }
}
