//! What metrics tell of one FlowSchema on its priority level.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::queue_set::Refusal;
use crate::metrics::Histogram;

/// Bounds of the durations, in seconds.
pub const SECONDS: &[f64] = &[0.0, 0.005, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0];

/// Every way to be refused.
pub const REFUSALS: [Refusal; 4] =
    [Refusal::ConcurrencyLimit, Refusal::QueueFull, Refusal::TimeOut, Refusal::Cancelled];

/// Counters of one FlowSchema.
#[derive(Debug)]
pub struct FlowStats {
    /// Requests that wait now.
    pub waiting: AtomicI64,
    /// Requests that have their seats now.
    pub executing: AtomicI64,
    /// Those seats.
    pub seats: AtomicI64,
    /// Requests that ever got seats.
    pub dispatched: AtomicU64,
    /// Requests that got none, in the order of [`REFUSALS`].
    pub refused: [AtomicU64; REFUSALS.len()],
    /// How long requests waited.
    pub wait: Histogram,
    /// How long they took then.
    pub execution: Histogram,
}

impl Default for FlowStats {
    fn default() -> Self {
        Self {
            waiting: AtomicI64::new(0),
            executing: AtomicI64::new(0),
            seats: AtomicI64::new(0),
            dispatched: AtomicU64::new(0),
            refused: Default::default(),
            wait: Histogram::new(SECONDS),
            execution: Histogram::new(SECONDS),
        }
    }
}

impl FlowStats {
    /// One more, or one less, waits.
    pub fn waits(&self, change: i64) {
        self.waiting.fetch_add(change, Ordering::Relaxed);
    }

    /// One has waited.
    pub fn waited(&self, duration: Duration) {
        self.wait.observe(duration.as_secs_f64());
    }

    /// So many more have seats.
    pub fn executes(&self, requests: i64, seats: usize) {
        self.executing.fetch_add(requests, Ordering::Relaxed);
        self.seats.fetch_add(signed(seats), Ordering::Relaxed);
        self.dispatched.fetch_add(1, Ordering::Relaxed);
    }

    /// One has given its seats back.
    pub fn executed(&self, seats: usize, duration: Duration) {
        self.executing.fetch_sub(1, Ordering::Relaxed);
        self.seats.fetch_sub(signed(seats), Ordering::Relaxed);
        self.execution.observe(duration.as_secs_f64());
    }

    /// One was refused.
    pub fn refuse(&self, refusal: Refusal) {
        let place = REFUSALS.iter().position(|one| *one == refusal);
        if let Some(count) = place.and_then(|place| self.refused.get(place)) {
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn signed(seats: usize) -> i64 {
    i64::try_from(seats).unwrap_or(i64::MAX)
}
