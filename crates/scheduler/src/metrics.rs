//! What the scheduler counts, under upstream's names.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use platform::metrics::{Histogram, Kind, Text};

/// From 1 ms, doubled.
const ATTEMPT_SECONDS: &[f64] =
    &[0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.024, 2.048, 4.096, 8.192, 16.384];
/// From 10 ms, doubled.
const POD_SECONDS: &[f64] = &[
    0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92, 163.84, 327.68, 655.36,
    1310.72, 2621.44, 5242.88,
];
const VICTIMS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];
const ATTEMPTS: &[f64] = &[1.0, 2.0, 4.0, 8.0, 16.0];
/// From so many attempts on they are not told apart.
const ATTEMPTS_LIMIT: u32 = 15;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// The Pod has a node.
    Scheduled,
    /// No node takes it.
    Unschedulable,
    /// Something went wrong that has nothing to do with the Pod.
    Error,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Unschedulable => "unschedulable",
            Self::Error => "error",
        }
    }
}

/// How many Pods wait, and where.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pending {
    /// Next in turn.
    pub active: usize,
    /// For their back-off.
    pub backoff: usize,
    /// For something to change.
    pub unschedulable: usize,
    /// For their gates.
    pub gated: usize,
}

/// See the module. Cheap to clone, shared with whoever is asked.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Counted>);

#[derive(Debug)]
struct Counted {
    /// By outcome and profile; their number is that of the attempts.
    attempts: Mutex<BTreeMap<(Outcome, String), Histogram>>,
    algorithm: Histogram,
    preemptions: AtomicU64,
    victims: Histogram,
    pending: [AtomicUsize; 4],
    /// By the number of attempts.
    pod_seconds: Mutex<BTreeMap<u32, Histogram>>,
    pod_attempts: Histogram,
}

impl Default for Counted {
    fn default() -> Self {
        Self {
            attempts: Mutex::default(),
            algorithm: Histogram::new(ATTEMPT_SECONDS),
            preemptions: AtomicU64::default(),
            victims: Histogram::new(VICTIMS),
            pending: Default::default(),
            pod_seconds: Mutex::default(),
            pod_attempts: Histogram::new(ATTEMPTS),
        }
    }
}

impl Metrics {
    /// An attempt ended, after so long.
    pub(crate) fn attempt(&self, outcome: Outcome, profile: &str, took: Duration) {
        let mut attempts = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram =
            attempts.entry((outcome, profile.to_owned())).or_insert_with(|| Histogram::new(ATTEMPT_SECONDS));
        histogram.observe(took.as_secs_f64());
    }

    /// A node was chosen, or none, in so long.
    pub(crate) fn decided(&self, took: Duration) {
        self.0.algorithm.observe(took.as_secs_f64());
    }

    /// Nodes were searched for Pods that could go.
    pub(crate) fn preempting(&self) {
        self.0.preemptions.fetch_add(1, Ordering::Relaxed);
    }

    /// So many Pods go for one.
    #[allow(clippy::cast_precision_loss)] // Pods of one node
    pub(crate) fn victims(&self, count: usize) {
        self.0.victims.observe(count as f64);
    }

    /// A Pod has its node, so long after it came, with so many attempts.
    pub(crate) fn scheduled(&self, attempts: u32, took: Duration) {
        self.0.pod_attempts.observe(f64::from(attempts));
        let mut all = self.0.pod_seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let histogram = all.entry(attempts.min(ATTEMPTS_LIMIT)).or_insert_with(|| Histogram::new(POD_SECONDS));
        histogram.observe(took.as_secs_f64());
    }

    /// So many Pods wait now.
    pub(crate) fn pending(&self, Pending { active, backoff, unschedulable, gated }: Pending) {
        for (gauge, count) in self.0.pending.iter().zip([active, backoff, unschedulable, gated]) {
            gauge.store(count, Ordering::Relaxed);
        }
    }

    /// Writes all of it.
    pub fn write(&self, text: &mut Text) {
        self.write_attempts(text);
        self.write_preemption(text);
        self.write_pods(text);
    }

    fn write_attempts(&self, text: &mut Text) {
        let attempts = self.0.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        let name = "scheduler_schedule_attempts_total";
        let help = "[STABLE] Number of attempts to schedule pods, by the result. 'unschedulable' means a pod could not be \
                    scheduled, while 'error' means an internal scheduler problem.";
        text.family(name, Kind::Counter, help);
        for ((outcome, profile), histogram) in attempts.iter() {
            text.sample(name, &[("profile", profile), ("result", outcome.as_str())], histogram.count());
        }
        let name = "scheduler_scheduling_attempt_duration_seconds";
        let help = "[STABLE] Scheduling attempt latency in seconds (scheduling algorithm + binding)";
        text.family(name, Kind::Histogram, help);
        for ((outcome, profile), histogram) in attempts.iter() {
            text.histogram(name, &[("profile", profile), ("result", outcome.as_str())], histogram);
        }
        let name = "scheduler_scheduling_algorithm_duration_seconds";
        text.family(name, Kind::Histogram, "[ALPHA] Scheduling algorithm latency in seconds");
        text.histogram(name, &[], &self.0.algorithm);
    }

    fn write_preemption(&self, text: &mut Text) {
        let name = "scheduler_preemption_attempts_total";
        text.family(name, Kind::Counter, "[STABLE] Total preemption attempts in the cluster till now");
        text.sample(name, &[], self.0.preemptions.load(Ordering::Relaxed));
        let name = "scheduler_preemption_victims";
        text.family(name, Kind::Histogram, "[STABLE] Number of selected preemption victims");
        text.histogram(name, &[], &self.0.victims);
    }

    fn write_pods(&self, text: &mut Text) {
        let name = "scheduler_pending_pods";
        let help = "[STABLE] Number of pending pods, by the queue type. 'active' means number of pods in activeQ; 'backoff' \
                    means number of pods in backoffQ; 'unschedulable' means number of pods in unschedulablePods that the \
                    scheduler attempted to schedule and failed; 'gated' is the number of unschedulable pods that the \
                    scheduler never attempted to schedule because they are gated.";
        text.family(name, Kind::Gauge, help);
        for (gauge, queue) in self.0.pending.iter().zip(["active", "backoff", "unschedulable", "gated"]) {
            text.sample(name, &[("queue", queue)], gauge.load(Ordering::Relaxed));
        }
        let name = "scheduler_pod_scheduling_attempts";
        text.family(name, Kind::Histogram, "[STABLE] Number of attempts to successfully schedule a pod.");
        text.histogram(name, &[], &self.0.pod_attempts);
        let name = "scheduler_pod_scheduling_sli_duration_seconds";
        let help = "[BETA] E2e latency for a pod being scheduled, from the time the pod enters the scheduling queue and \
                    might involve multiple scheduling attempts.";
        text.family(name, Kind::Histogram, help);
        for (attempts, histogram) in self.0.pod_seconds.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let more = if *attempts == ATTEMPTS_LIMIT { "+" } else { "" };
            text.histogram(name, &[("attempts", &format!("{attempts}{more}"))], histogram);
        }
    }
}
