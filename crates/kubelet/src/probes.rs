//! Startup, readiness and liveness probes.
//!
//! Every probe of every running container is a small task that sleeps on the runtime's one timer wheel. It counts
//! outcomes against its thresholds ([`Tally`]), records what is settled in the Pod's results, and wakes the Pod's
//! worker when that is news. Probes of an instance start when it runs (readiness and liveness when it has started) and
//! end with it.

mod action;
mod results;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use client::EventType;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use platform::tasks::{TaskKind, spawn};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use crate::events::Events;
use crate::observed::{ContainerState, ObservedPod};
use crate::pod;

pub use results::{ProbeFailure, ProbeKind, ProbeResults};

/// The probes of one Pod.
pub struct Prober {
    runtime: Arc<dyn cri::RuntimeService>,
    events: Events,
    wake: Arc<Notify>,
    results: Arc<Mutex<ProbeResults>>,
    tasks: HashMap<(String, ProbeKind), ProbeTask>,
}

/// A probe's task; it ends when this is dropped.
struct ProbeTask(JoinHandle<()>);

impl Drop for ProbeTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Prober {
    /// No probe runs yet. News wake whoever waits on `wake`.
    pub fn new(runtime: Arc<dyn cri::RuntimeService>, events: Events, wake: Arc<Notify>) -> Self {
        Self { runtime, events, wake, results: Arc::default(), tasks: HashMap::new() }
    }

    /// What is settled by now.
    pub fn results(&self) -> ProbeResults {
        lock(&self.results).clone()
    }

    /// Starts the probes that running containers need now, ends those of containers that are gone.
    pub fn update(&mut self, pod: &Arc<Pod>, observed: &ObservedPod, host_ips: &[String], now: Timestamp) {
        let running =
            |id: &str| observed.containers.iter().any(|container| container.id == id && container.is_running());
        self.tasks.retain(|(id, _), _| running(id));
        lock(&self.results).retain(running);
        let ip = if pod::is_host_network(pod) {
            host_ips.first().cloned()
        } else {
            observed.sandbox().and_then(|sandbox| sandbox.ips.first().cloned())
        };
        for container in &observed.containers {
            let ContainerState::Running { started_at } = container.state else { continue };
            let Some((_, spec)) = pod::find_container(pod, &container.name) else { continue };
            let started = lock(&self.results).is_started(spec, &container.id);
            for (kind, probe) in wanted(spec, started) {
                let key = (container.id.clone(), kind);
                if self.tasks.contains_key(&key) {
                    continue;
                }
                let age = now.duration_since(started_at).try_into().unwrap_or(Duration::ZERO);
                let run = ProbeRun {
                    runtime: Arc::clone(&self.runtime),
                    events: self.events.clone(),
                    wake: Arc::clone(&self.wake),
                    results: Arc::clone(&self.results),
                    pod: Arc::clone(pod),
                    container: spec.clone(),
                    container_id: container.id.clone(),
                    pod_ip: ip.clone(),
                    kind,
                    probe: probe.clone(),
                };
                let delay = seconds(probe.initial_delay_seconds, 0).saturating_sub(age);
                self.tasks.insert(key, ProbeTask(spawn(TaskKind::Worker, "probe", run.run(delay))));
            }
        }
    }

    /// Ends all probes: the Pod is ending.
    pub fn stop(&mut self) {
        self.tasks.clear();
    }
}

/// The probes a container needs at this point: first the startup probe alone, then the others.
fn wanted(container: &Container, started: bool) -> Vec<(ProbeKind, &Probe)> {
    let startup = container.startup_probe.as_ref().map(|probe| (ProbeKind::Startup, probe)).filter(|_| !started);
    let readiness = container.readiness_probe.as_ref().map(|probe| (ProbeKind::Readiness, probe));
    let liveness = container.liveness_probe.as_ref().map(|probe| (ProbeKind::Liveness, probe));
    let later = readiness.into_iter().chain(liveness).filter(|_| started);
    startup.into_iter().chain(later).collect()
}

struct ProbeRun {
    runtime: Arc<dyn cri::RuntimeService>,
    events: Events,
    wake: Arc<Notify>,
    results: Arc<Mutex<ProbeResults>>,
    pod: Arc<Pod>,
    container: Container,
    container_id: String,
    pod_ip: Option<String>,
    kind: ProbeKind,
    probe: Probe,
}

impl ProbeRun {
    async fn run(self, delay: Duration) {
        tokio::time::sleep(delay).await;
        let mut tally = Tally::new(&self.probe);
        loop {
            let outcome = self.attempt().await;
            if let Some(settled) = tally.count(outcome.is_ok()) {
                let news = lock(&self.results).record(&self.container_id, self.kind, settled);
                if news {
                    self.wake.notify_one();
                }
                // A container that started needs no more asking; one that is to be killed neither.
                let done = match self.kind {
                    ProbeKind::Startup => true,
                    ProbeKind::Liveness => !settled,
                    ProbeKind::Readiness => false,
                };
                if done {
                    return;
                }
            }
            tokio::time::sleep(seconds(self.probe.period_seconds, 10)).await;
        }
    }

    /// Probes once and reports a failure.
    async fn attempt(&self) -> Result<(), ()> {
        let limit = seconds(self.probe.timeout_seconds, 1);
        let action =
            action::run(&*self.runtime, &self.container_id, &self.container, &self.probe, self.pod_ip.as_deref());
        let outcome = match tokio::time::timeout(limit, action).await {
            Ok(outcome) => outcome,
            Err(_) => Err(action::timeout_message(&self.probe, limit)),
        };
        outcome.map_err(|output| {
            let message = format!("{} probe failed: {output}", self.kind.title());
            self.events.container(&self.pod, &self.container.name, EventType::Warning, "Unhealthy", message);
        })
    }
}

/// Counts outcomes in a row until a threshold is reached.
#[derive(Debug, Clone)]
struct Tally {
    success_threshold: u32,
    failure_threshold: u32,
    last: Option<bool>,
    in_a_row: u32,
}

impl Tally {
    fn new(probe: &Probe) -> Self {
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
    fn count(&mut self, success: bool) -> Option<bool> {
        self.in_a_row = if self.last == Some(success) { self.in_a_row.saturating_add(1) } else { 1 };
        self.last = Some(success);
        let threshold = if success { self.success_threshold } else { self.failure_threshold };
        (self.in_a_row >= threshold).then_some(success)
    }
}

fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
}

fn lock(results: &Mutex<ProbeResults>) -> MutexGuard<'_, ProbeResults> {
    results.lock().unwrap_or_else(PoisonError::into_inner)
}
