//! Exponential back-off per key, as a value: the caller passes the time in.

use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// A ladder of delays: `initial`, doubled after each failure up to `max`; forgotten after `reset_after` without failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ladder {
    /// The first delay.
    pub initial: Duration,
    /// The longest delay.
    pub max: Duration,
    /// A key that did not fail for this long starts again at `initial`.
    pub reset_after: Duration,
}

/// Back-off state of many keys.
#[derive(Debug)]
pub struct Backoff<K> {
    ladder: Ladder,
    entries: HashMap<K, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    delay: Duration,
    failed_at: Timestamp,
}

impl<K: Eq + Hash> Backoff<K> {
    /// No key has failed yet.
    pub fn new(ladder: Ladder) -> Self {
        Self { ladder, entries: HashMap::new() }
    }

    /// Records a failure at `now` and returns the delay that follows it.
    pub fn fail(&mut self, key: K, now: Timestamp) -> Duration {
        let ladder = self.ladder;
        let entry = self.entries.entry(key).and_modify(|entry| {
            entry.delay = if since(entry.failed_at, now) > ladder.reset_after {
                ladder.initial
            } else {
                (entry.delay * 2).min(ladder.max)
            };
            entry.failed_at = now;
        });
        entry.or_insert(Entry { delay: ladder.initial, failed_at: now }).delay
    }

    /// How long the key still has to wait at `now`; zero when it may go ahead.
    pub fn remaining(&self, key: &K, now: Timestamp) -> Duration {
        self.entries.get(key).map_or(Duration::ZERO, |entry| entry.delay.saturating_sub(since(entry.failed_at, now)))
    }

    /// The delay that followed the key's last failure, if it failed.
    pub fn delay(&self, key: &K) -> Option<Duration> {
        self.entries.get(key).map(|entry| entry.delay)
    }

    /// Forgets a key: it succeeded or is gone.
    pub fn forget(&mut self, key: &K) {
        self.entries.remove(key);
    }
}

/// Time from `earlier` to `now`, zero when the clock went backwards.
fn since(earlier: Timestamp, now: Timestamp) -> Duration {
    now.duration_since(earlier).max(SignedDuration::ZERO).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LADDER: Ladder = Ladder {
        initial: Duration::from_secs(10),
        max: Duration::from_secs(300),
        reset_after: Duration::from_secs(600),
    };

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    #[test]
    fn doubles_up_to_the_maximum_and_resets_after_quiet() {
        let mut backoff = Backoff::new(LADDER);
        let delays: Vec<u64> = (0..7).map(|n| backoff.fail("a", at(n)).as_secs()).collect();
        assert_eq!(delays, [10, 20, 40, 80, 160, 300, 300]);
        assert_eq!(backoff.remaining(&"a", at(106)), Duration::from_secs(200));
        assert_eq!(backoff.remaining(&"a", at(400)), Duration::ZERO);
        assert_eq!(backoff.fail("a", at(6 + 601)).as_secs(), 10);
        backoff.forget(&"a");
        assert_eq!(backoff.delay(&"a"), None);
    }
}
