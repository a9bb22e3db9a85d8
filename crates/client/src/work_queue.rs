//! Keys to reconcile.
//!
//! A key is in the queue at most once however often it is added, and one key is never handed out twice at a time: when
//! it is added while being worked on, it comes again afterwards. Waiting costs nothing; there is no polling.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Delay after a key's first failure; doubled with each further one.
const RETRY_INITIAL: Duration = Duration::from_millis(5);
/// The longest delay between two attempts on one key.
const RETRY_MAX: Duration = Duration::from_secs(60);

/// A queue of keys. Clones are handles of the same queue.
pub struct WorkQueue<K> {
    shared: Arc<Shared<K>>,
}

struct Shared<K> {
    state: Mutex<State<K>>,
    changed: Notify,
}

struct State<K> {
    /// Keys that can be handed out now, oldest first.
    ready: VecDeque<K>,
    /// Keys that are in `ready`, or will be when their claim ends.
    dirty: HashSet<K>,
    /// Keys that are handed out.
    claimed: HashSet<K>,
    /// Keys that become ready later; the number keeps equal deadlines apart.
    delayed: BTreeMap<(Instant, u64), K>,
    /// The earliest deadline of each key in `delayed`.
    deadlines: HashMap<K, (Instant, u64)>,
    failures: HashMap<K, u32>,
    sequence: u64,
}

impl<K> Clone for WorkQueue<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Clone + Eq + Hash> Default for WorkQueue<K> {
    fn default() -> Self {
        Self::new()
    }
}

impl<K: Clone + Eq + Hash> WorkQueue<K> {
    /// An empty queue.
    pub fn new() -> Self {
        let state = State {
            ready: VecDeque::new(),
            dirty: HashSet::new(),
            claimed: HashSet::new(),
            delayed: BTreeMap::new(),
            deadlines: HashMap::new(),
            failures: HashMap::new(),
            sequence: 0,
        };
        Self { shared: Arc::new(Shared { state: Mutex::new(state), changed: Notify::new() }) }
    }

    /// Wants the key looked at as soon as possible.
    pub fn add(&self, key: K) {
        if self.state().add(key) {
            self.shared.changed.notify_one();
        }
    }

    /// Wants the key looked at after `delay`. An earlier wish stands; adding the key meanwhile does not cancel it.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        self.state().add_at(key, Instant::now() + delay);
        self.shared.changed.notify_one();
    }

    /// Wants the key looked at again after a failure: later each time, until [`forget`](Self::forget).
    pub fn add_failed(&self, key: K) {
        let delay = self.state().fail(&key);
        self.add_after(key, delay);
    }

    /// The key succeeded or is gone: its next failure is its first.
    pub fn forget(&self, key: &K) {
        self.state().failures.remove(key);
    }

    /// How many keys wait to be handed out now.
    pub fn len(&self) -> usize {
        self.state().ready.len()
    }

    /// Whether no key waits to be handed out now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for the next key and claims it until the claim is dropped. Safe to cancel; any number of tasks may wait.
    pub async fn next(&self) -> Claim<K> {
        loop {
            // Registered before looking, so that an `add` in between is not missed.
            let changed = self.shared.changed.notified();
            let (claimed, deadline) = {
                let mut state = self.state();
                state.promote(Instant::now());
                let claimed = state.claim();
                (claimed, state.delayed.keys().next().map(|(deadline, _)| *deadline))
            };
            if let Some(key) = claimed {
                // A wake-up can stand for several keys: pass it on.
                self.shared.changed.notify_one();
                return Claim { key, queue: self.clone() };
            }
            match deadline {
                Some(deadline) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(deadline) => {}
                },
                None => changed.await,
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        // Nothing panics while it holds the lock.
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Clone + Eq + Hash> State<K> {
    /// Returns whether a key became ready.
    fn add(&mut self, key: K) -> bool {
        if !self.dirty.insert(key.clone()) || self.claimed.contains(&key) {
            return false;
        }
        self.ready.push_back(key);
        true
    }

    fn add_at(&mut self, key: K, deadline: Instant) {
        if let Some(earlier) = self.deadlines.get(&key).copied() {
            if earlier.0 <= deadline {
                return;
            }
            self.delayed.remove(&earlier);
        }
        self.sequence += 1;
        let slot = (deadline, self.sequence);
        self.deadlines.insert(key.clone(), slot);
        self.delayed.insert(slot, key);
    }

    fn fail(&mut self, key: &K) -> Duration {
        let failures = self.failures.entry(key.clone()).or_insert(0);
        let delay = RETRY_INITIAL.saturating_mul(1u32.checked_shl(*failures).unwrap_or(u32::MAX)).min(RETRY_MAX);
        *failures = failures.saturating_add(1);
        delay
    }

    /// Makes the keys ready whose time has come.
    fn promote(&mut self, now: Instant) {
        while let Some(entry) = self.delayed.first_entry() {
            if entry.key().0 > now {
                return;
            }
            let key = entry.remove();
            self.deadlines.remove(&key);
            self.add(key);
        }
    }

    fn claim(&mut self) -> Option<K> {
        let key = self.ready.pop_front()?;
        self.dirty.remove(&key);
        self.claimed.insert(key.clone());
        Some(key)
    }

    /// Returns whether the key became ready again.
    fn release(&mut self, key: &K) -> bool {
        self.claimed.remove(key);
        let again = self.dirty.contains(key);
        if again {
            self.ready.push_back(key.clone());
        }
        again
    }
}

/// The right to work on one key; ends when dropped.
pub struct Claim<K: Clone + Eq + Hash> {
    key: K,
    queue: WorkQueue<K>,
}

impl<K: Clone + Eq + Hash> Deref for Claim<K> {
    type Target = K;

    fn deref(&self) -> &K {
        &self.key
    }
}

impl<K: Clone + Eq + Hash> Drop for Claim<K> {
    fn drop(&mut self) {
        let again = self.queue.state().release(&self.key);
        if again {
            self.queue.shared.changed.notify_one();
        }
    }
}
