//! One probe of one container instance: asks, counts, and records what is settled.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use client::EventType;
use futures::future::BoxFuture;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use tokio::sync::Notify;

use super::action::{self, Outcome};
use super::counts::ProbeCounts;
use super::results::{ProbeKind, ProbeResults};
use super::schedule::{Job, Next};
use super::{lock, seconds};
use crate::events::Events;

/// Attempts per probe while it can't be told how the container is.
const ATTEMPTS: usize = 3;

/// Everything a probe needs, and its count so far.
pub(super) struct ProbeRun {
    pub runtime: Arc<dyn cri::RuntimeService>,
    pub events: Events,
    /// Told when the results say something new.
    pub wake: Arc<Notify>,
    pub counts: Arc<ProbeCounts>,
    pub results: Arc<Mutex<ProbeResults>>,
    pub pod: Arc<Pod>,
    pub container: Container,
    pub container_id: String,
    pub pod_ip: Option<String>,
    pub kind: ProbeKind,
    pub probe: Probe,
    pub tally: Mutex<Tally>,
}

impl Job for ProbeRun {
    fn period(&self) -> Duration {
        seconds(self.probe.period_seconds, 10)
    }

    fn run(self: Arc<Self>) -> BoxFuture<'static, Next> {
        Box::pin(async move {
            match self.attempt().await {
                Some(success) => {
                    self.counts.add(&self.pod, &self.container.name, self.kind, success);
                    self.settle(success)
                }
                // Nobody knows how the container is: that neither counts nor interrupts a count.
                None => Next::Again,
            }
        })
    }
}

impl ProbeRun {
    fn settle(&self, success: bool) -> Next {
        let Some(settled) = lock(&self.tally).count(success) else { return Next::Again };
        if lock(&self.results).record(&self.container_id, self.kind, settled) {
            self.wake.notify_one();
        }
        // A container that started needs no more asking; one that is to be killed neither.
        match self.kind {
            ProbeKind::Startup => Next::Never,
            ProbeKind::Liveness if !settled => Next::Never,
            ProbeKind::Liveness | ProbeKind::Readiness => Next::Again,
        }
    }

    /// Probes and reports what is amiss; `None` when it could not be found out.
    async fn attempt(&self) -> Option<bool> {
        let mut outcome = self.ask().await;
        for _ in 1..ATTEMPTS {
            if !matches!(outcome, Outcome::Unknown(_)) {
                break;
            }
            outcome = self.ask().await;
        }
        let title = self.kind.title();
        match outcome {
            Outcome::Success => Some(true),
            Outcome::Warning(text) => {
                self.warn("ProbeWarning", format!("{title} probe warning: {text}"));
                Some(true)
            }
            Outcome::Failure(text) => {
                self.warn("Unhealthy", format!("{title} probe failed: {text}"));
                Some(false)
            }
            Outcome::Unknown(text) => {
                self.warn("Unhealthy", format!("{title} probe errored and resulted in unknown state: {text}"));
                None
            }
        }
    }

    async fn ask(&self) -> Outcome {
        action::run(&*self.runtime, &self.container_id, &self.container, &self.probe, self.pod_ip.as_deref()).await
    }

    fn warn(&self, reason: &str, message: String) {
        self.events.container(&self.pod, &self.container.name, EventType::Warning, reason, message);
    }
}

/// Counts outcomes in a row until a threshold is reached.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    success_threshold: u32,
    failure_threshold: u32,
    last: Option<bool>,
    in_a_row: u32,
}

impl Tally {
    pub fn new(probe: &Probe) -> Self {
        let threshold =
            |value: Option<i32>, default| value.and_then(|value| u32::try_from(value).ok()).unwrap_or(default);
        Self {
            success_threshold: threshold(probe.success_threshold, 1),
            failure_threshold: threshold(probe.failure_threshold, 3),
            last: None,
            in_a_row: 0,
        }
    }

    /// The settled outcome once there were enough in a row.
    pub fn count(&mut self, success: bool) -> Option<bool> {
        self.in_a_row = if self.last == Some(success) { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let threshold = if success { self.success_threshold } else { self.failure_threshold };
        (self.in_a_row >= threshold).then_some(success)
    }
}
