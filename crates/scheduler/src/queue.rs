//! Pods that wait for a node.
//!
//! ```text
//!            add                       pop
//!  (new) ─────────> Active ──────────────────────────> (being scheduled)
//!    │                ^  ^                                 │      │
//!    │ gated          │  │ back-off over                   │      │ no node
//!    v                │  └── Backoff <─────────────────────┘      v
//!  Gated ─────────────┘        ^         failed        Unschedulable
//!         gates removed        └──────────────────────────────────┘
//!                                   an event could help, or 5 minutes passed
//! ```
//!
//! Back-off is 1 s after the first attempt, doubled up to 10 s, if nobody says otherwise. A Pod in back-off that an event woke is handed out
//! early when nothing else is to be done, so that a label on a node binds a Pod at once. Nothing is polled: the owner
//! sleeps until [`Queue::next_deadline`]. Time is passed in.

#[cfg(test)]
mod tests;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use crate::framework::PluginSet;
use crate::metrics::Pending;
use crate::plugins::scheduling_gates;
use crate::pod_info::{PodInfo, Uid};

/// However sure we are that nothing changed, a Pod is tried again after this long.
const UNSCHEDULABLE_MAX: Duration = Duration::from_secs(300);

/// A moment, with a number that keeps equal moments apart.
type Slot = (Instant, u64);
/// Higher priority first, then first come, first served.
type Rank = (Reverse<i32>, u64);

#[derive(Debug)]
struct Entry {
    pod: Arc<PodInfo>,
    /// Since when nothing but the scheduler holds it back; none while it is gated.
    since: Option<Instant>,
    /// Completed attempts.
    attempts: u32,
    place: Place,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    Active(Rank),
    /// Until the moment of the slot, or earlier after a wake-up.
    Backoff(Slot),
    /// The API failed: never earlier.
    ErrorBackoff(Slot),
    /// Since the attempt ended at this moment.
    Unschedulable(Slot, PluginSet),
    Gated,
    /// Handed out.
    InFlight,
}

/// How long a Pod that failed waits at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    /// After the first attempt.
    pub initial: Duration,
    /// After any number of attempts.
    pub max: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Duration::from_secs(1), max: Duration::from_secs(10) }
    }
}

impl Backoff {
    /// The delay after so many attempts.
    fn after(self, attempts: u32) -> Duration {
        let doublings = attempts.saturating_sub(1).min(16);
        self.initial.saturating_mul(2u32.pow(doublings)).min(self.max)
    }
}

/// See the module.
#[derive(Debug, Default)]
pub struct Queue {
    backoff_times: Backoff,
    entries: HashMap<Uid, Entry>,
    active: BTreeMap<Rank, Uid>,
    backoff: BTreeMap<Slot, Uid>,
    error_backoff: BTreeMap<Slot, Uid>,
    /// With who rejected each.
    unschedulable: BTreeMap<Slot, (Uid, PluginSet)>,
    sequence: u64,
    gated: usize,
}

/// From now on, unless it is gated.
fn since(pod: &PodInfo, now: Instant) -> Option<Instant> {
    (!scheduling_gates::holds_back(pod)).then_some(now)
}

impl Queue {
    /// An empty queue.
    pub fn new(backoff_times: Backoff) -> Self {
        Self { backoff_times, ..Self::default() }
    }

    /// Adds a Pod, or takes over its new state. When what decides about it changed, it is tried again.
    pub fn set(&mut self, pod: Arc<PodInfo>, now: Instant) {
        let Some(entry) = self.entries.get_mut(&pod.uid) else {
            let uid = Arc::clone(&pod.uid);
            self.entries
                .insert(Arc::clone(&uid), Entry { since: since(&pod, now), pod, attempts: 0, place: Place::InFlight });
            return self.activate(&uid);
        };
        let changed = entry.pod.facts != pod.facts;
        let uid = Arc::clone(&pod.uid);
        entry.since = entry.since.or_else(|| since(&pod, now));
        entry.pod = pod;
        match entry.place {
            Place::Active(_) | Place::Gated if changed => self.activate(&uid),
            Place::Unschedulable(..) if changed => self.wake(&uid, now),
            _ => {}
        }
    }

    /// Forgets a Pod: it has a node, ended, or is gone.
    pub fn remove(&mut self, uid: &str) {
        self.unplace(uid);
        self.entries.remove(uid);
    }

    /// The next Pod to schedule; in flight until [`Self::park`], [`Self::retry`] or [`Self::remove`].
    pub fn pop(&mut self, now: Instant) -> Option<Arc<PodInfo>> {
        self.advance(now);
        let uid = match self.active.pop_first() {
            Some((_, uid)) => uid,
            None => self.backoff.pop_first()?.1,
        };
        let entry = self.entries.get_mut(&uid)?;
        entry.place = Place::InFlight;
        entry.attempts = entry.attempts.saturating_add(1);
        Some(Arc::clone(&entry.pod))
    }

    /// Whether [`Self::pop`] has something to hand out.
    pub fn has_work(&mut self, now: Instant) -> bool {
        self.advance(now);
        !(self.active.is_empty() && self.backoff.is_empty())
    }

    /// No node takes the Pod: it waits until something changes that these plugins look at.
    pub fn park(&mut self, uid: &str, rejected_by: PluginSet, now: Instant) {
        let slot = self.slot(now);
        self.place(uid, Place::Unschedulable(slot, rejected_by));
    }

    /// The attempt failed for a reason that has nothing to do with the Pod: it is tried again after its back-off.
    pub fn retry(&mut self, uid: &str, now: Instant) {
        let Some(attempts) = self.entries.get(uid).map(|entry| entry.attempts) else { return };
        let slot = self.slot(now + self.backoff_times.after(attempts));
        self.place(uid, Place::ErrorBackoff(slot));
    }

    /// Wakes the parked Pods that `could_help` now, told who rejected each.
    pub fn wake_if(&mut self, now: Instant, could_help: impl Fn(&PodInfo, PluginSet) -> bool) {
        let entries = &self.entries;
        let could_help = |(uid, rejected_by): &&(Uid, PluginSet)| {
            entries.get(uid).is_some_and(|entry| could_help(&entry.pod, *rejected_by))
        };
        let woken: Vec<Uid> = self.unschedulable.values().filter(could_help).map(|(uid, _)| Arc::clone(uid)).collect();
        for uid in woken {
            self.wake(&uid, now);
        }
    }

    /// Since when the Pod could have had a node, and the attempts so far.
    pub fn history(&self, uid: &str) -> Option<(Instant, u32)> {
        self.entries.get(uid).and_then(|entry| Some((entry.since?, entry.attempts)))
    }

    /// How many Pods wait, and where.
    pub fn pending(&self) -> Pending {
        Pending {
            active: self.active.len(),
            backoff: self.backoff.len() + self.error_backoff.len(),
            unschedulable: self.unschedulable.len(),
            gated: self.gated,
        }
    }

    /// Its current state, if the Pod waits here.
    pub fn get(&self, uid: &str) -> Option<&Arc<PodInfo>> {
        self.entries.get(uid).map(|entry| &entry.pod)
    }

    /// When time alone changes something next.
    pub fn next_deadline(&self) -> Option<Instant> {
        let first = |slots: &BTreeMap<Slot, Uid>| slots.keys().next().map(|slot| slot.0);
        let backoff = first(&self.backoff).into_iter().chain(first(&self.error_backoff));
        let flush = self.unschedulable.keys().next().map(|slot| slot.0 + UNSCHEDULABLE_MAX);
        backoff.chain(flush).min()
    }

    /// Makes those active whose time has come.
    fn advance(&mut self, now: Instant) {
        let due = |slots: &BTreeMap<Slot, Uid>| -> Vec<Uid> {
            slots.iter().take_while(|(slot, _)| slot.0 <= now).map(|(_, uid)| Arc::clone(uid)).collect()
        };
        let mut ready = due(&self.backoff);
        ready.extend(due(&self.error_backoff));
        let waited = self.unschedulable.iter().take_while(|(slot, _)| slot.0 + UNSCHEDULABLE_MAX <= now);
        ready.extend(waited.map(|(_, (uid, _))| Arc::clone(uid)));
        for uid in ready {
            self.activate(&uid);
        }
    }

    fn wake(&mut self, uid: &Uid, now: Instant) {
        let Some(Entry { attempts, place: Place::Unschedulable(parked, _), .. }) = self.entries.get(uid) else {
            return;
        };
        let ready_at = parked.0 + self.backoff_times.after(*attempts);
        if ready_at <= now {
            return self.activate(uid);
        }
        let slot = self.slot(ready_at);
        self.place(uid, Place::Backoff(slot));
    }

    fn activate(&mut self, uid: &Uid) {
        let Some(entry) = self.entries.get(uid) else { return };
        if scheduling_gates::holds_back(&entry.pod) {
            return self.place(uid, Place::Gated);
        }
        let priority = Reverse(entry.pod.facts.priority);
        self.sequence += 1;
        self.place(uid, Place::Active((priority, self.sequence)));
    }

    fn slot(&mut self, moment: Instant) -> Slot {
        self.sequence += 1;
        (moment, self.sequence)
    }

    fn place(&mut self, uid: &str, place: Place) {
        self.unplace(uid);
        let Some(entry) = self.entries.get_mut(uid) else { return };
        entry.place = place;
        let uid = Arc::clone(&entry.pod.uid);
        match place {
            Place::Active(rank) => self.active.insert(rank, uid),
            Place::Backoff(slot) => self.backoff.insert(slot, uid),
            Place::ErrorBackoff(slot) => self.error_backoff.insert(slot, uid),
            Place::Unschedulable(slot, rejected_by) => {
                self.unschedulable.insert(slot, (uid, rejected_by));
                None
            }
            Place::Gated => {
                self.gated += 1;
                None
            }
            Place::InFlight => None,
        };
    }

    fn unplace(&mut self, uid: &str) {
        let Some(entry) = self.entries.get_mut(uid) else { return };
        match std::mem::replace(&mut entry.place, Place::InFlight) {
            Place::Active(rank) => self.active.remove(&rank),
            Place::Backoff(slot) => self.backoff.remove(&slot),
            Place::ErrorBackoff(slot) => self.error_backoff.remove(&slot),
            Place::Unschedulable(slot, _) => self.unschedulable.remove(&slot).map(|(uid, _)| uid),
            Place::Gated => {
                self.gated -= 1;
                None
            }
            Place::InFlight => None,
        };
    }
}
