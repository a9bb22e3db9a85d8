//! The seats of one priority level, and fair queues in front of them. Pure: time comes in, wake-ups go out.
//!
//! Requests of many flows share few queues. Among queues that have something to wait for, seats go to the one whose
//! next request would *finish* first if all queues were served at the same rate: each queue carries a virtual start
//! that moves on with what it was served. A flow that asks for much therefore delays itself, not the others.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::dealer::Hand;
use super::demand::{Demand, DemandStats};

/// How long a request is taken to last until it is known, as upstream's guess.
const ESTIMATED_SERVICE: Duration = Duration::from_millis(3);

/// What happens to a request when there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Policy {
    /// There always is one.
    Exempt,
    /// It is refused.
    Reject,
    /// It waits.
    Queue(Queuing),
}

/// The queues of a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queuing {
    /// How many there are.
    pub queues: usize,
    /// How many of them one flow may use.
    pub hand_size: usize,
    /// How many requests may wait in each.
    pub queue_length: usize,
}

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Refusal {
    /// No seat, and this level does not queue.
    ConcurrencyLimit,
    /// No seat, and no place to wait.
    QueueFull,
    /// It waited too long.
    TimeOut,
    /// The client went away while it waited.
    Cancelled,
}

impl Refusal {
    /// As metrics call it.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConcurrencyLimit => "concurrency-limit",
            Self::QueueFull => "queue-full",
            Self::TimeOut => "time-out",
            Self::Cancelled => "cancelled",
        }
    }
}

/// A request that has its seats. Must be given back by [`QueueSet::finish`].
#[derive(Debug)]
#[must_use]
pub struct Seated {
    queue: Option<usize>,
    seats: usize,
    started: Instant,
}

/// A request that waits. Ends by its wake-up, or by [`QueueSet::abandon`].
#[derive(Debug)]
#[must_use]
pub struct Waiter {
    queue: usize,
    id: u64,
}

/// What becomes of a new request.
#[derive(Debug)]
pub enum Start {
    /// It goes ahead.
    Seated(Seated),
    /// It waits for its wake-up.
    Waits(Waiter),
    /// It does not.
    Refused(Refusal),
}

#[derive(Debug)]
struct Waiting<W> {
    id: u64,
    seats: usize,
    /// The virtual time it came at: it is not served before, however long its queue was idle.
    arrival: f64,
    wake: W,
}

#[derive(Debug)]
struct Queue<W> {
    waiting: VecDeque<Waiting<W>>,
    seats_waiting: usize,
    executing: usize,
    /// The virtual time at which its next request starts.
    next_start: f64,
}

impl<W> Queue<W> {
    fn new() -> Self {
        Self { waiting: VecDeque::new(), seats_waiting: 0, executing: 0, next_start: 0.0 }
    }

    fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.executing == 0
    }

    /// A queue that cannot use its share must not save it up.
    fn bound_start(&mut self) {
        if let Some(oldest) = self.waiting.front() {
            self.next_start = self.next_start.max(oldest.arrival);
        }
    }
}

/// Seats and queues. `W` wakes a request that waits.
#[derive(Debug)]
pub struct QueueSet<W> {
    policy: Policy,
    limit: usize,
    queues: Vec<Queue<W>>,
    /// Queues that have something waiting or executing.
    active: usize,
    /// Virtual time: the seat-seconds each active queue could have had so far.
    progress: f64,
    progress_at: Instant,
    /// The queue that was served last.
    last_served: usize,
    enqueued: u64,
    waiting: usize,
    seats_waiting: usize,
    executing: usize,
    seats_in_use: usize,
    demand: Demand,
}

/// Requests that have got their seats.
pub type Woken<W> = Vec<(W, Seated)>;

impl<W> QueueSet<W> {
    /// An idle level.
    pub fn new(policy: Policy, limit: usize, now: Instant) -> Self {
        let mut set = Self {
            policy: Policy::Reject,
            limit,
            queues: Vec::new(),
            active: 0,
            progress: 0.0,
            progress_at: now,
            last_served: 0,
            enqueued: 0,
            waiting: 0,
            seats_waiting: 0,
            executing: 0,
            seats_in_use: 0,
            demand: Demand::new(now),
        };
        set.set_policy(policy);
        set
    }

    /// Changes the policy. Requests that wait keep their places.
    pub fn set_policy(&mut self, policy: Policy) {
        self.policy = policy;
        if let Policy::Queue(queuing) = policy {
            let count = self.queues.len().max(queuing.queues);
            self.queues.resize_with(count, Queue::new);
        }
        self.drop_excess_queues();
    }

    /// Changes how many seats there are; returns who gets one by that.
    pub fn set_limit(&mut self, now: Instant, limit: usize) -> Woken<W> {
        self.sync(now);
        self.limit = limit;
        self.dispatch(now)
    }

    /// How many seats there are.
    pub fn limit(&self) -> usize {
        self.limit
    }

    /// Seats taken, and requests that have them.
    pub fn in_use(&self) -> (usize, usize) {
        (self.seats_in_use, self.executing)
    }

    /// Requests that wait.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether a request's flow matters.
    pub fn tells_flows_apart(&self) -> bool {
        matches!(self.policy, Policy::Queue(queuing) if queuing.queues > 1)
    }

    /// The demand since this was last asked.
    pub fn take_demand(&mut self, now: Instant, periods: u32) -> DemandStats {
        self.demand.take(now, periods)
    }

    /// A new request of a flow, which takes `seats`. `wake` is made only if it has to wait.
    pub fn start(&mut self, now: Instant, seats: usize, flow: u64, wake: impl FnOnce() -> W) -> (Start, Woken<W>) {
        self.sync(now);
        let queuing = match self.policy {
            Policy::Queue(queuing) => queuing,
            Policy::Reject if !self.fits(seats) => return (Start::Refused(Refusal::ConcurrencyLimit), Vec::new()),
            Policy::Reject | Policy::Exempt => return (Start::Seated(self.seat(now, None, seats)), Vec::new()),
        };
        let index = self.choose(flow, queuing);
        if self.seats_in_use >= self.limit && self.queues[index].waiting.len() >= queuing.queue_length {
            return (Start::Refused(Refusal::QueueFull), Vec::new());
        }
        if self.queues[index].is_idle() {
            self.queues[index].next_start = self.progress;
            self.active += 1;
        }
        if self.waiting == 0 && self.seats_in_use < self.limit && self.fits(seats) {
            return (Start::Seated(self.serve(now, index, seats)), Vec::new());
        }
        self.enqueued += 1;
        let request = Waiting { id: self.enqueued, seats, arrival: self.progress, wake: wake() };
        let waiter = Waiter { queue: index, id: request.id };
        let queue = &mut self.queues[index];
        queue.waiting.push_back(request);
        queue.seats_waiting += seats;
        queue.bound_start();
        self.waiting += 1;
        self.seats_waiting += seats;
        self.note_demand(now);
        (Start::Waits(waiter), self.dispatch(now))
    }

    /// Gives seats back; returns who gets them.
    pub fn finish(&mut self, now: Instant, seated: Seated) -> Woken<W> {
        self.sync(now);
        self.executing -= 1;
        self.seats_in_use -= seated.seats;
        if let Some(index) = seated.queue {
            let queue = &mut self.queues[index];
            queue.executing -= 1;
            // The start moved on by a guess; now it is known how long it took.
            let took = now.saturating_duration_since(seated.started).as_secs_f64();
            queue.next_start -= seated.seats as f64 * (ESTIMATED_SERVICE.as_secs_f64() - took);
            queue.bound_start();
            self.note_idle(index);
        }
        self.note_demand(now);
        self.dispatch(now)
    }

    /// Takes a request out that waits no longer; returns whether it still waited.
    pub fn abandon(&mut self, now: Instant, waiter: &Waiter) -> bool {
        self.sync(now);
        let queue = &mut self.queues[waiter.queue];
        let Some(position) = queue.waiting.iter().position(|waiting| waiting.id == waiter.id) else { return false };
        let Some(request) = queue.waiting.remove(position) else { return false };
        queue.seats_waiting -= request.seats;
        queue.bound_start();
        self.waiting -= 1;
        self.seats_waiting -= request.seats;
        self.note_idle(waiter.queue);
        self.note_demand(now);
        true
    }

    /// Virtual time goes on as fast as each active queue could be served.
    fn sync(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.progress_at).as_secs_f64();
        self.progress_at = now;
        if self.active > 0 {
            let served = (self.seats_in_use + self.seats_waiting).min(self.limit);
            self.progress += passed * served as f64 / self.active as f64;
        }
    }

    /// The queue of a flow that has the least to do. Each request begins to look elsewhere, so that equal ones are
    /// used alike.
    fn choose(&mut self, flow: u64, queuing: Queuing) -> usize {
        let hand = Hand::deal(flow, queuing.queues, queuing.hand_size);
        let cards = hand.cards();
        let offset = self.enqueued as usize % cards.len().max(1);
        let (after, before) = cards.split_at(offset);
        let in_turn = before.iter().chain(after).copied();
        in_turn.min_by_key(|index| self.queues[*index].seats_waiting).unwrap_or(0)
    }

    fn fits(&self, seats: usize) -> bool {
        match self.policy {
            Policy::Exempt => true,
            // A request wider than the level is served alone.
            _ if seats > self.limit => self.executing == 0,
            _ => self.seats_in_use + seats <= self.limit,
        }
    }

    fn seat(&mut self, now: Instant, queue: Option<usize>, seats: usize) -> Seated {
        self.executing += 1;
        self.seats_in_use += seats;
        self.note_demand(now);
        Seated { queue, seats, started: now }
    }

    fn serve(&mut self, now: Instant, index: usize, seats: usize) -> Seated {
        let queue = &mut self.queues[index];
        queue.executing += 1;
        queue.next_start += seats as f64 * ESTIMATED_SERVICE.as_secs_f64();
        queue.bound_start();
        self.last_served = index;
        self.seat(now, Some(index), seats)
    }

    fn dispatch(&mut self, now: Instant) -> Woken<W> {
        let mut woken = Vec::new();
        while self.waiting > 0 && (self.seats_in_use < self.limit || self.policy == Policy::Exempt) {
            let Some(index) = self.first_to_finish() else { break };
            let queue = &mut self.queues[index];
            let seats = queue.waiting.front().map_or(0, |oldest| oldest.seats);
            if !self.fits(seats) {
                break;
            }
            let queue = &mut self.queues[index];
            let Some(request) = queue.waiting.pop_front() else { break };
            queue.seats_waiting -= request.seats;
            self.waiting -= 1;
            self.seats_waiting -= request.seats;
            woken.push((request.wake, self.serve(now, index, seats)));
        }
        woken
    }

    /// The queue whose oldest request would finish first; among equals, the first after the one served last.
    fn first_to_finish(&self) -> Option<usize> {
        let count = self.queues.len();
        let in_turn = (1..=count).map(|step| (self.last_served + step) % count);
        let finish = |index: usize| {
            let queue = &self.queues[index];
            let oldest = queue.waiting.front()?;
            Some((index, queue.next_start + oldest.seats as f64 * ESTIMATED_SERVICE.as_secs_f64()))
        };
        in_turn.filter_map(finish).min_by(|a, b| a.1.total_cmp(&b.1)).map(|(index, _)| index)
    }

    fn note_idle(&mut self, index: usize) {
        if self.queues[index].is_idle() {
            self.active -= 1;
            self.drop_excess_queues();
        }
    }

    /// Queues beyond those configured go when they have become idle.
    fn drop_excess_queues(&mut self) {
        let wanted = match self.policy {
            Policy::Queue(queuing) => queuing.queues,
            Policy::Exempt | Policy::Reject => 0,
        };
        while self.queues.len() > wanted && self.queues.last().is_some_and(Queue::is_idle) {
            self.queues.pop();
        }
    }

    fn note_demand(&mut self, now: Instant) {
        self.demand.set(now, self.seats_in_use + self.seats_waiting);
    }
}

#[cfg(test)]
mod tests;
