//! How long a container that keeps exiting waits before it is started again.
//!
//! The first restart is immediate. Each restart doubles the wait that the *next* exit causes, counted from that exit;
//! a container that ran for a while starts over.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// The wait after the second exit.
pub const INITIAL: Duration = Duration::from_secs(10);
/// The longest wait.
pub const MAX: Duration = Duration::from_secs(300);
/// A container that was left alone for this long has recovered.
pub const RESET_AFTER: Duration = Duration::from_secs(600);

/// The waits of one Pod's containers, by container name.
#[derive(Debug, Clone, Default)]
pub struct CrashBackoff {
    entries: HashMap<String, Entry>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    delay: Duration,
    restarted_at: Timestamp,
}

impl CrashBackoff {
    /// The wait in force for a container that exited at `finished_at`, and how much of it is left at `now`; `None`
    /// when it may start.
    pub fn waiting(&self, container: &str, finished_at: Timestamp, now: Timestamp) -> Option<Wait> {
        let entry = self.entries.get(container)?;
        if elapsed(entry.restarted_at, finished_at) > RESET_AFTER {
            return None;
        }
        let left = entry.delay.saturating_sub(elapsed(finished_at, now));
        (!left.is_zero()).then_some(Wait { delay: entry.delay, left })
    }

    /// Records that a container which had exited before was started again at `now`.
    pub fn restarted(&mut self, container: &str, now: Timestamp) {
        let delay = match self.entries.get(container) {
            Some(entry) if elapsed(entry.restarted_at, now) <= RESET_AFTER => (entry.delay * 2).min(MAX),
            _ => INITIAL,
        };
        self.entries.insert(container.to_owned(), Entry { delay, restarted_at: now });
    }
}

/// A wait: its full length (what messages say) and the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// The full length.
    pub delay: Duration,
    /// What is left.
    pub left: Duration,
}

fn elapsed(from: Timestamp, to: Timestamp) -> Duration {
    to.duration_since(from).max(SignedDuration::ZERO).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).expect("in range")
    }

    #[test]
    fn first_restart_is_immediate_then_waits_double() {
        let mut backoff = CrashBackoff::default();
        let mut now = 0;
        let mut delays = Vec::new();
        for _ in 0..7 {
            let wait = backoff.waiting("c", at(now), at(now));
            delays.push(wait.map_or(0, |wait| wait.delay.as_secs()));
            now += wait.map_or(0, |wait| wait.left.as_secs() as i64);
            assert_eq!(backoff.waiting("c", at(now - 300), at(now)), None);
            backoff.restarted("c", at(now));
        }
        assert_eq!(delays, [0, 10, 20, 40, 80, 160, 300]);
    }

    #[test]
    fn the_wait_counts_from_the_exit() {
        let mut backoff = CrashBackoff::default();
        backoff.restarted("c", at(0));
        let wait = backoff.waiting("c", at(100), at(104)).expect("waits");
        assert_eq!((wait.delay.as_secs(), wait.left.as_secs()), (10, 6));
        assert_eq!(backoff.waiting("other", at(100), at(104)), None);
    }

    #[test]
    fn ten_minutes_of_running_reset_it() {
        let mut backoff = CrashBackoff::default();
        (0..4).for_each(|_| backoff.restarted("c", at(0)));
        assert!(backoff.waiting("c", at(500), at(501)).is_some());
        assert_eq!(backoff.waiting("c", at(601), at(601)), None);
        backoff.restarted("c", at(601));
        assert_eq!(backoff.waiting("c", at(602), at(602)).map(|wait| wait.delay), Some(INITIAL));
    }
}
