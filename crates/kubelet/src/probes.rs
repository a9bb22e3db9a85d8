//! Startup, readiness and liveness probes.
//!
//! A Pod's [`Prober`] puts a job for every probe of every running container into the node's one [`Schedule`]. A job
//! asks ([`action`]), counts outcomes against its thresholds ([`run`]), records what is settled in the Pod's results,
//! and wakes the Pod's worker when that is news. Probes of an instance start when it runs (readiness and liveness when
//! it has started) and end with it; when the Pod ends only readiness is still asked for.
//!
//! What a container was found to be before this kubelet started stays true until a probe says otherwise: a restart of
//! the daemon makes no Pod unready.

mod action;
mod counts;
mod grpc;
mod results;
mod run;
mod schedule;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, Probe};
use tokio::sync::Notify;

use crate::events::Events;
use crate::observed::{ContainerState, ObservedContainer, ObservedPod};
use crate::pod;
use run::{ProbeRun, Tally};
use schedule::Ticket;

pub use counts::{CountKey, ProbeCounts};
pub use results::{ProbeFailure, ProbeKind, ProbeResults};
pub use schedule::Schedule;

/// The probes of one Pod.
pub struct Prober {
    schedule: Arc<Schedule>,
    runtime: Arc<dyn cri::RuntimeService>,
    events: Events,
    wake: Arc<Notify>,
    counts: Arc<ProbeCounts>,
    results: Arc<Mutex<ProbeResults>>,
    tickets: HashMap<(String, ProbeKind), Ticket>,
    adopted: bool,
}

impl Prober {
    /// No probe runs yet. News wake whoever waits on `wake`.
    pub fn new(
        schedule: Arc<Schedule>,
        runtime: Arc<dyn cri::RuntimeService>,
        events: Events,
        wake: Arc<Notify>,
        counts: Arc<ProbeCounts>,
    ) -> Self {
        let (results, tickets) = (Arc::default(), HashMap::new());
        Self { schedule, runtime, events, wake, counts, results, tickets, adopted: false }
    }

    /// What is settled by now.
    pub fn results(&self) -> ProbeResults {
        lock(&self.results).clone()
    }

    /// Starts the probes that running containers need now, ends those of containers that are gone.
    pub fn update(&mut self, pod: &Arc<Pod>, observed: &ObservedPod, host_ips: &[String], now: Timestamp) {
        if !std::mem::replace(&mut self.adopted, true) {
            lock(&self.results).adopt(pod, observed);
        }
        self.forget_gone(observed);
        let ip = if pod::is_host_network(pod) {
            host_ips.first().cloned()
        } else {
            observed.sandbox().and_then(|sandbox| sandbox.ips.first().cloned())
        };
        for container in &observed.containers {
            let ContainerState::Running { started_at } = container.state else { continue };
            let Some((_, spec)) = pod::find_container(pod, &container.name) else { continue };
            let started = lock(&self.results).is_started(&spec, &container.id);
            for (kind, probe) in wanted(&spec, started) {
                let key = (container.id.clone(), kind);
                if !self.tickets.contains_key(&key) {
                    let age = now.duration_since(started_at).try_into().unwrap_or(Duration::ZERO);
                    let delay = self.first_delay(&key, probe, age);
                    let job = self.job(pod, &spec, container, ip.clone(), kind, probe);
                    self.tickets.insert(key, self.schedule.add(Arc::new(job), delay));
                }
            }
        }
    }

    /// Ends the probes of containers that do not run any more. They are unready then.
    pub fn forget_gone(&mut self, observed: &ObservedPod) {
        let running =
            |id: &str| observed.containers.iter().any(|container| container.id == id && container.is_running());
        self.tickets.retain(|(id, _), _| running(id));
        lock(&self.results).retain(running);
    }

    /// The Pod is ending: from now on it only matters whether it should get traffic.
    pub fn only_readiness(&mut self) {
        self.tickets.retain(|(_, kind), _| *kind == ProbeKind::Readiness);
    }

    /// The initial delay, counted from the container's start. Probes of containers that were known to be well before
    /// this kubelet started do not all come at once.
    fn first_delay(&self, key: &(String, ProbeKind), probe: &Probe, age: Duration) -> Duration {
        let delay = seconds(probe.initial_delay_seconds, 0).saturating_sub(age);
        if !lock(&self.results).is_adopted(&key.0) {
            return delay;
        }
        let mut hasher = DefaultHasher::new();
        key.hash(&mut hasher);
        let share = hasher.finish() % 1000;
        delay + seconds(probe.period_seconds, 10) * u32::try_from(share).unwrap_or(0) / 1000
    }

    fn job(
        &self,
        pod: &Arc<Pod>,
        spec: &Container,
        container: &ObservedContainer,
        pod_ip: Option<String>,
        kind: ProbeKind,
        probe: &Probe,
    ) -> ProbeRun {
        ProbeRun {
            runtime: Arc::clone(&self.runtime),
            events: self.events.clone(),
            wake: Arc::clone(&self.wake),
            counts: Arc::clone(&self.counts),
            results: Arc::clone(&self.results),
            pod: Arc::clone(pod),
            container: spec.clone(),
            container_id: container.id.clone(),
            pod_ip,
            kind,
            probe: probe.clone(),
            tally: Mutex::new(Tally::new(probe)),
        }
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

fn seconds(value: Option<i32>, default: u64) -> Duration {
    Duration::from_secs(value.and_then(|value| u64::try_from(value).ok()).unwrap_or(default))
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
