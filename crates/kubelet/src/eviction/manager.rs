//! Looks, judges, and makes one Pod after the other go.

use std::sync::Arc;
use std::time::Duration;

use api::quantity::Quantity;
use client::EventType;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::judge::{Memory, Observation, Observations, is_met, judge};
use super::rank::{Candidate, rank};
use super::{EvictionConfig, Signal, Threshold, local_storage, message, node_level};
use crate::context::NodeContext;
use crate::image_gc::ImageGc;
use crate::machine::{Machine, Pressure};
use crate::pod::{self, Uid};
use crate::pod_lifecycle::Failure;
use crate::pod_status::{Phase, Verdict, VerdictKind};
use crate::stats::{Detail, Stats};
use crate::sync_loop::{Event, KnownPods};

/// How often the node is looked at: three small files and one question to the file system.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// How often Pods with limits on local storage are measured, which walks their directories.
const STORAGE_INTERVAL: Duration = Duration::from_secs(10);
/// How long the next look waits for a Pod to be gone.
const CLEANUP_TIMEOUT: Duration = Duration::from_secs(30);
/// What a Pod gets when there is no time.
const IMMEDIATE_GRACE_SECONDS: i64 = 1;

/// Ends Pods when the node runs short.
pub struct EvictionManager {
    /// The node.
    pub context: Arc<NodeContext>,
    /// When it counts as short.
    pub config: EvictionConfig,
    /// What removes images.
    pub image_gc: ImageGc,
    /// What the node is.
    pub machine: Machine,
    /// The node's name.
    pub node_name: String,
    /// What Pods use.
    pub stats: Arc<Stats>,
    /// Pods that are here.
    pub pods: watch::Receiver<KnownPods>,
    /// The sync loop, which ends them.
    pub events: mpsc::Sender<Event>,
}

impl EvictionManager {
    /// Runs until the future is dropped.
    pub async fn run(mut self) {
        let mut memory = Memory::default();
        let mut storage_due = tokio::time::Instant::now();
        loop {
            let seen = self.look();
            let judgement = judge(&self.config, &mut memory, &seen, self.context.clock.now());
            let pressure = judgement.pressure;
            self.context.pressure.send_if_modified(|known| {
                let changed = *known != pressure;
                *known = pressure;
                changed
            });
            if tokio::time::Instant::now() >= storage_due {
                storage_due = tokio::time::Instant::now() + STORAGE_INTERVAL;
                if self.evict_greedy().await {
                    continue;
                }
            }
            if let Some(threshold) = judgement.met.first() {
                self.reclaim(threshold, &seen).await;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    fn look(&self) -> Observations {
        let pressure = Pressure::read(&self.context.paths.root);
        let bytes = |value: u64| Quantity::from_bytes(i64::try_from(value).unwrap_or(i64::MAX));
        let count = |value: u64| Quantity::from_value(i64::try_from(value).unwrap_or(i64::MAX));
        let of = |available, capacity| Observation { available, capacity };
        let space = of(bytes(pressure.disk_available_bytes), bytes(pressure.disk_bytes));
        let mut seen = Observations::from([
            (Signal::MemoryAvailable, of(bytes(pressure.memory_available_bytes), bytes(self.machine.memory_bytes))),
            // Images live on the same file system, which is judged once.
            (Signal::NodefsAvailable, space),
        ]);
        if pressure.inodes > 0 {
            let inodes = of(count(pressure.inodes_available), count(pressure.inodes));
            seen.insert(Signal::NodefsInodesFree, inodes);
        }
        if let Some(tasks) = task_count().filter(|_| self.machine.pid_limit > 0) {
            let free = self.machine.pid_limit.saturating_sub(tasks);
            seen.insert(Signal::PidAvailable, of(count(free), count(self.machine.pid_limit)));
        }
        seen
    }

    /// Pods that still run or will.
    fn active(&self) -> Vec<Arc<Pod>> {
        let pods = self.pods.borrow();
        let ended = |pod: &Pod| pod.status.as_ref().is_some_and(|status| Phase::of(status).is_terminal());
        pods.values().filter(|pod| !ended(pod)).cloned().collect()
    }

    async fn measure(&self, pods: Vec<Arc<Pod>>) -> Vec<Candidate> {
        let summary = self.stats.summary(pods.clone(), Detail::All).await;
        let stats = summary.map(|summary| summary.pods).unwrap_or_else(|error| {
            warn!(%error, "Pods cannot be measured");
            Vec::new()
        });
        let of = |pod: &Arc<Pod>| stats.iter().find(|one| one.pod_ref.uid == pod::uid(pod).as_str()).cloned();
        pods.into_iter().map(|pod| Candidate { stats: of(&pod), pod }).collect()
    }

    /// Ends Pods that exceed their limits on local storage. Answers whether there was one.
    async fn evict_greedy(&mut self) -> bool {
        let limited: Vec<Arc<Pod>> = self.active().into_iter().filter(|pod| local_storage::is_limited(pod)).collect();
        if limited.is_empty() {
            return false;
        }
        let mut evicted = Vec::new();
        for candidate in self.measure(limited).await {
            let excess = candidate.stats.as_ref().and_then(|stats| local_storage::excess(&candidate.pod, stats));
            let Some(excess) = excess else { continue };
            if self.evict(&candidate.pod, excess, IMMEDIATE_GRACE_SECONDS, VerdictKind::Stopped).await {
                evicted.push(pod::uid(&candidate.pod));
            }
        }
        for uid in &evicted {
            self.wait_until_gone(uid).await;
        }
        !evicted.is_empty()
    }

    /// Makes the first Pod go that may.
    async fn reclaim(&mut self, threshold: &Threshold, seen: &Observations) {
        let resource = threshold.signal.resource();
        let message = format!("Attempting to reclaim {resource}");
        self.context.events.node(&self.node_name, EventType::Warning, "EvictionThresholdMet", message);
        if threshold.signal.is_of_disk() {
            let pods = self.pods.borrow().clone();
            node_level::reclaim(&self.context, &self.image_gc, &pods).await;
            if !is_met(threshold, &self.look()) {
                return info!(resource, "enough was reclaimed without evicting a Pod");
            }
        }
        let mut candidates = self.measure(self.active()).await;
        rank(&mut candidates, threshold.signal);
        for Candidate { pod, stats } in candidates {
            let own = pod::termination_grace_seconds(&pod);
            let grace_seconds = match threshold.is_hard() {
                true => IMMEDIATE_GRACE_SECONDS,
                false => self.config.max_pod_grace_period_seconds.min(own),
            };
            let message = message::pressure(threshold, seen, &pod, stats.as_ref());
            if self.evict(&pod, message, grace_seconds, VerdictKind::Disrupted).await {
                return self.wait_until_gone(&pod::uid(&pod)).await;
            }
        }
        info!(resource, "short, and no Pod may be evicted");
    }

    /// Ends a Pod, unless the system needs it.
    async fn evict(&self, pod: &Pod, message: String, grace_seconds: i64, kind: VerdictKind) -> bool {
        if pod::is_critical(pod) || pod.metadata.deletion_timestamp.is_some() {
            return false;
        }
        self.context.events.warning(pod, "Evicted", message.clone());
        let verdict = Verdict { reason: "Evicted".into(), message, kind };
        let failure = Failure { verdict, grace_seconds: Some(grace_seconds) };
        self.events.send(Event::Fail(pod::uid(pod), failure)).await.is_ok()
    }

    async fn wait_until_gone(&mut self, uid: &Uid) {
        let over = |pods: &KnownPods| {
            let status = pods.get(uid).map(|pod| pod.status.as_ref());
            status.is_none_or(|status| status.is_some_and(|status| Phase::of(status).is_terminal()))
        };
        // Too late is fine: the next look finds out what is left.
        let _ = tokio::time::timeout(CLEANUP_TIMEOUT, self.pods.wait_for(over)).await;
    }
}

/// How many tasks the kernel has.
fn task_count() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').nth(3)?.split_once('/')?.1.parse().ok()
}
