//! One priority level at work: the lock around its queues, and the wait for a seat.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::Instant;

use super::queue_set::{Policy, QueueSet, Refusal, Seated, Start, Waiter, Woken};
use super::retry_after::RetryAfter;
use super::stats::FlowStats;

type Wake = oneshot::Sender<Seated>;

/// A priority level. Outlives changes of its configuration.
#[derive(Debug)]
pub struct Level {
    /// Its name.
    pub name: String,
    set: Mutex<QueueSet<Wake>>,
    refusals: Mutex<RetryAfter>,
    began: Instant,
}

impl Level {
    /// An idle level.
    pub fn new(name: &str, policy: Policy, limit: usize, now: Instant) -> Self {
        let set = Mutex::new(QueueSet::new(policy, limit, now));
        Self { name: name.to_owned(), set, refusals: Mutex::default(), began: now }
    }

    /// The queues. Held for moments only.
    pub fn set(&self) -> MutexGuard<'_, QueueSet<Wake>> {
        self.set.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how many seats there are.
    pub fn set_limit(&self, now: Instant, limit: usize) {
        let woken = self.set().set_limit(now, limit);
        wake(woken);
    }

    /// Notes a refusal; returns after how many seconds the client may come again.
    pub fn refuse(&self) -> u32 {
        let second = self.began.elapsed().as_secs();
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner).refuse(second)
    }

    /// Gets a request its seats, waiting for them so long at most. Gives up its place when dropped while it waits.
    ///
    /// # Errors
    /// Why it gets none.
    pub async fn enter(
        self: &Arc<Self>,
        stats: &Arc<FlowStats>,
        seats: usize,
        flow: u64,
        patience: Duration,
    ) -> Result<Permit, Refusal> {
        let now = Instant::now();
        let mut granted = None;
        let (start, woken) = self.set().start(now, seats, flow, || {
            let (sender, receiver) = oneshot::channel();
            granted = Some(receiver);
            sender
        });
        // Among those woken may be this very request: its sender is told like any.
        wake(woken);
        let permit = |seated| Permit::new(self, stats, seated, seats);
        let waiter = match start {
            Start::Seated(seated) => return Ok(permit(seated)),
            Start::Refused(refusal) => {
                stats.refuse(refusal);
                return Err(refusal);
            }
            Start::Waits(waiter) => waiter,
        };
        let granted = granted.expect("whoever waits has a wake-up");
        let mut place = Place { level: self, stats, waiter, granted, given_up: Refusal::Cancelled };
        stats.waits(1);
        let outcome = tokio::time::timeout(patience, &mut place.granted).await;
        stats.waited(now.elapsed());
        match outcome {
            Ok(Ok(seated)) => Ok(permit(seated)),
            Ok(Err(_)) | Err(_) => {
                place.given_up = Refusal::TimeOut;
                Err(Refusal::TimeOut)
            }
        }
    }

    fn leave(&self, seated: Seated) {
        let woken = self.set().finish(Instant::now(), seated);
        wake(woken);
    }
}

fn wake(woken: Woken<Wake>) {
    for (sender, seated) in woken {
        // Who is gone has given up its place; see `Place`'s end, which takes what was sent before.
        drop(sender.send(seated));
    }
}

/// A place in a queue.
struct Place<'a> {
    level: &'a Arc<Level>,
    stats: &'a FlowStats,
    waiter: Waiter,
    granted: oneshot::Receiver<Seated>,
    /// Why it is left, if it is before its turn.
    given_up: Refusal,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.stats.waits(-1);
        if self.level.set().abandon(Instant::now(), &self.waiter) {
            return self.stats.refuse(self.given_up);
        }
        // Seats that came too late go to the next.
        self.granted.close();
        if let Ok(seated) = self.granted.try_recv() {
            self.level.leave(seated);
        }
    }
}

/// Seats, until dropped.
#[derive(Debug)]
pub struct Permit {
    level: Arc<Level>,
    stats: Arc<FlowStats>,
    seated: Option<Seated>,
    seats: usize,
    since: Instant,
}

impl Permit {
    fn new(level: &Arc<Level>, stats: &Arc<FlowStats>, seated: Seated, seats: usize) -> Self {
        stats.executes(1, seats);
        Self { level: level.clone(), stats: stats.clone(), seated: Some(seated), seats, since: Instant::now() }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.stats.executed(self.seats, self.since.elapsed());
        if let Some(seated) = self.seated.take() {
            self.level.leave(seated);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::super::queue_set::Queuing;
    use super::*;

    const LONG: Duration = Duration::from_secs(15);

    fn level(limit: usize) -> (Arc<Level>, Arc<FlowStats>) {
        let queuing = Queuing { queues: 1, hand_size: 1, queue_length: 10 };
        (Arc::new(Level::new("l", Policy::Queue(queuing), limit, Instant::now())), Arc::default())
    }

    #[tokio::test(start_paused = true)]
    async fn a_seat_that_is_given_back_goes_to_who_waits() {
        let (level, stats) = level(1);
        let first = level.enter(&stats, 1, 0, LONG).await.expect("free");
        let mut second = Box::pin(level.enter(&stats, 1, 0, LONG));
        assert!(second.as_mut().now_or_never().is_none());
        drop(first);
        let second = second.await.expect("woken");
        drop(second);
        assert_eq!(level.set().in_use(), (0, 0));
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_ends_by_patience_or_by_the_client() {
        let (level, stats) = level(1);
        let _first = level.enter(&stats, 1, 0, LONG).await.expect("free");
        assert_eq!(level.enter(&stats, 1, 0, LONG).await.err(), Some(Refusal::TimeOut));
        let mut gone = Box::pin(level.enter(&stats, 1, 0, LONG));
        assert!(gone.as_mut().now_or_never().is_none());
        assert_eq!(level.set().waiting(), 1);
        drop(gone);
        assert_eq!(level.set().waiting(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn seats_for_somebody_who_has_gone_are_not_lost() {
        let (level, stats) = level(1);
        let first = level.enter(&stats, 1, 0, LONG).await.expect("free");
        let mut gone = Box::pin(level.enter(&stats, 1, 0, LONG));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(first); // the seat is on its way
        drop(gone);
        assert_eq!(level.set().in_use(), (0, 0));
    }
}
