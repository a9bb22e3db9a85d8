//! Looks, judges, and makes one Pod after the other go.

use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use k8s_openapi::api::core::v1::Pod;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tracing::{info, warn};

use super::judge::{Memory, Observations, is_met, judge};
use super::look::{FileSystems, look};
use super::memory_events::MemoryEvents;
use super::rank::{Candidate, rank};
use super::{Disks, EvictionConfig, Threshold, local_storage, message, node_level};
use crate::context::NodeContext;
use crate::image_gc::ImageGc;
use crate::machine::Machine;
use crate::pod::{self, Uid};
use crate::pod_lifecycle::Failure;
use crate::pod_status::{Phase, Verdict, VerdictKind};
use crate::stats::{Detail, Stats};
use crate::sync_loop::{Event, KnownPods};

/// How often the node is looked at for what the kernel does not tell: disks and process ids.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// Memory that moves about a threshold makes many events; the node is looked at this long after the first.
const SETTLE_PERIOD: Duration = Duration::from_millis(50);
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
        let file_systems = self.find_file_systems().await;
        let disks = file_systems.disks();
        self.config = self.config.for_disks(disks);
        let mut memory = Memory::default();
        let mut storage_due = Instant::now();
        loop {
            let seen = look(&self.context, &self.machine, &file_systems);
            let judgement = judge(&self.config, &mut memory, &seen, self.context.clock.now());
            let pressure = judgement.pressure;
            self.context.pressure.send_if_modified(|known| {
                let changed = *known != pressure;
                *known = pressure;
                changed
            });
            if Instant::now() >= storage_due {
                storage_due = Instant::now() + STORAGE_INTERVAL;
                if self.evict_greedy().await {
                    continue;
                }
            }
            if let Some(threshold) = judgement.met.first()
                && self.reclaim(threshold, &seen, &file_systems, disks).await
            {
                continue;
            }
            self.pause(&seen, judgement.changes_after).await;
        }
    }

    async fn find_file_systems(&self) -> FileSystems {
        loop {
            match FileSystems::find(&self.context).await {
                Ok(found) => return found,
                Err(error) => warn!(%error, "the runtime does not tell where images are"),
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Waits until there is something to see.
    async fn pause(&self, seen: &Observations, changes_after: Option<Duration>) {
        let events = MemoryEvents::listen(&self.context, &self.config.thresholds, seen);
        let times = [changes_after, events.look_after()].into_iter().flatten();
        if tokio::time::timeout(times.fold(LOOK_INTERVAL, Duration::min), events.passed()).await.is_ok() {
            tokio::time::sleep(SETTLE_PERIOD).await;
        }
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

    /// Makes room. Answers whether there was anything to gain.
    async fn reclaim(
        &mut self,
        threshold: &Threshold,
        seen: &Observations,
        file_systems: &FileSystems,
        disks: Disks,
    ) -> bool {
        let resource = threshold.signal.resource();
        let message = format!("Attempting to reclaim {resource}");
        self.context.events.node(&self.node_name, EventType::Warning, "EvictionThresholdMet", message);
        if node_level::helps(threshold.signal, disks) {
            let pods = self.pods.borrow().clone();
            node_level::reclaim(&self.context, &self.image_gc, &pods).await;
            if !is_met(threshold, &look(&self.context, &self.machine, file_systems)) {
                info!(resource, "enough was reclaimed without evicting a Pod");
                return true;
            }
        }
        let mut candidates = self.measure(self.active()).await;
        rank(&mut candidates, threshold.signal, disks);
        for Candidate { pod, stats } in candidates {
            let own = pod::termination_grace_seconds(&pod);
            let grace_seconds = match threshold.is_hard() {
                true => IMMEDIATE_GRACE_SECONDS,
                false => self.config.max_pod_grace_period_seconds.min(own),
            };
            let message = message::pressure(threshold, seen, &pod, stats.as_ref());
            if self.evict(&pod, message, grace_seconds, VerdictKind::Disrupted).await {
                self.wait_until_gone(&pod::uid(&pod)).await;
                return true;
            }
        }
        info!(resource, "short, and no Pod may be evicted");
        false
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

    async fn wait_until_gone(&self, uid: &Uid) {
        let mut holding = self.context.holding.subscribe();
        // Too late is fine: the next look finds out what is left.
        let _ = tokio::time::timeout(CLEANUP_TIMEOUT, holding.wait_for(|holding| !holding.contains(uid))).await;
    }
}
