//! How long a container that keeps exiting waits before it is started again.
//!
//! The first restart is immediate. Each restart doubles the wait that the *next* exit causes, counted from that exit;
//! a container that ran for a while starts over, and so does one whose image changed. How long it ran is what the
//! runtime says: the kubelet hears of starts and exits late, and the clock may have been set since.

use std::collections::HashMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Container;

use crate::labels::container_hash;
use crate::observed::Exit;

/// The wait after the second exit, unless a node's longest wait is shorter.
pub const INITIAL: Duration = Duration::from_secs(10);
/// The longest wait unless a node is told otherwise.
pub const MAX: Duration = Duration::from_secs(300);
/// A container that ran for longer than this has recovered.
pub const RESET_AFTER: Duration = Duration::from_secs(600);

/// The waits of one Pod's containers, by container name.
#[derive(Debug, Clone)]
pub struct CrashBackoff {
    max: Duration,
    entries: HashMap<String, Entry>,
}

#[derive(Debug, Clone)]
struct Entry {
    delay: Duration,
    /// Of the container as it was restarted.
    hash: String,
}

impl CrashBackoff {
    /// Nothing waits yet; nothing ever will for longer than `max`.
    pub fn new(max: Duration) -> Self {
        Self { max, entries: HashMap::new() }
    }

    /// The wait in force for a container that ended with `exit`, and how much of it is left at `now`; `None` when it
    /// may start.
    pub fn waiting(&self, container: &Container, exit: &Exit, now: Timestamp) -> Option<Wait> {
        let entry = self.entry(container, exit)?;
        let left = entry.delay.saturating_sub(elapsed(exit.finished_at, now));
        (!left.is_zero()).then_some(Wait { delay: entry.delay, left })
    }

    /// Records that a container which had ended with `exit` was started again.
    pub fn restarted(&mut self, container: &Container, exit: &Exit) {
        let delay = match self.entry(container, exit) {
            Some(entry) => (entry.delay * 2).min(self.max),
            None => INITIAL.min(self.max),
        };
        let entry = Entry { delay, hash: container_hash(container) };
        self.entries.insert(container.name.clone(), entry);
    }

    /// What is remembered of the container, unless it recovered before it exited or became another one.
    fn entry(&self, container: &Container, exit: &Exit) -> Option<&Entry> {
        let entry = self.entries.get(&container.name)?;
        let recovered = exit.started_at.is_some_and(|started_at| elapsed(started_at, exit.finished_at) > RESET_AFTER);
        (!recovered && entry.hash == container_hash(container)).then_some(entry)
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
    use crate::testing::at;

    fn container(image: &str) -> Container {
        Container { name: "c".to_owned(), image: Some(image.to_owned()), ..Container::default() }
    }

    /// Ran from one second to another.
    fn ran(started: i64, finished: i64) -> Exit {
        Exit {
            started_at: Some(at(started)),
            finished_at: at(finished),
            exit_code: 1,
            reason: "Error".to_owned(),
            message: String::new(),
        }
    }

    fn after_crashes(count: usize) -> CrashBackoff {
        let mut backoff = CrashBackoff::new(MAX);
        (0..count).for_each(|_| backoff.restarted(&container("x"), &ran(0, 0)));
        backoff
    }

    fn delays(max: Duration, exits: usize) -> Vec<u64> {
        let (mut backoff, c) = (CrashBackoff::new(max), container("x"));
        let mut now = 0;
        let mut delays = Vec::new();
        for _ in 0..exits {
            let exit = ran(now, now);
            let wait = backoff.waiting(&c, &exit, at(now));
            delays.push(wait.map_or(0, |wait| wait.delay.as_secs()));
            now += wait.map_or(0, |wait| wait.left.as_secs() as i64);
            assert_eq!(backoff.waiting(&c, &exit, at(now)), None);
            backoff.restarted(&c, &exit);
        }
        delays
    }

    #[test]
    fn first_restart_is_immediate_then_waits_double() {
        assert_eq!(delays(MAX, 7), [0, 10, 20, 40, 80, 160, 300]);
    }

    #[test]
    fn a_node_may_wait_less() {
        assert_eq!(delays(Duration::from_secs(30), 5), [0, 10, 20, 30, 30]);
        assert_eq!(delays(Duration::from_secs(2), 4), [0, 2, 2, 2]);
    }

    #[test]
    fn the_wait_counts_from_the_exit() {
        let (backoff, c) = (after_crashes(1), container("x"));
        let wait = backoff.waiting(&c, &ran(0, 100), at(104)).expect("waits");
        assert_eq!((wait.delay.as_secs(), wait.left.as_secs()), (10, 6));
        let other = Container { name: "other".to_owned(), ..Container::default() };
        assert_eq!(backoff.waiting(&other, &ran(0, 100), at(104)), None);
    }

    #[test]
    fn ten_minutes_of_running_reset_it() {
        let (mut backoff, c) = (after_crashes(4), container("x"));
        assert!(backoff.waiting(&c, &ran(0, 600), at(601)).is_some());
        assert_eq!(backoff.waiting(&c, &ran(0, 601), at(601)), None);
        backoff.restarted(&c, &ran(0, 601));
        assert_eq!(backoff.waiting(&c, &ran(601, 602), at(602)).map(|wait| wait.delay), Some(INITIAL));
    }

    #[test]
    fn what_is_not_running_is_no_recovery() {
        let c = container("x");
        // It ran for 400 s and waited for 300 s more.
        let mut backoff = after_crashes(6);
        backoff.restarted(&c, &ran(0, 400));
        assert_eq!(backoff.waiting(&c, &ran(700, 701), at(701)).map(|wait| wait.delay), Some(MAX));
        // It never came to run.
        let backoff = after_crashes(6);
        let failed = Exit { started_at: None, ..ran(0, 5000) };
        assert_eq!(backoff.waiting(&c, &failed, at(5000)).map(|wait| wait.delay), Some(MAX));
        // It was started after the clock had been set back, and its start took a while to be heard of.
        assert_eq!(backoff.waiting(&c, &ran(-5000, -4990), at(-4990)).map(|wait| wait.delay), Some(MAX));
    }

    #[test]
    fn another_image_is_another_container() {
        assert_eq!(after_crashes(4).waiting(&container("y"), &ran(1, 1), at(1)), None);
    }
}
