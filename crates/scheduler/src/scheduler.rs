//! The loop.
//!
//! **Flow**: a change of a Pod or node updates cache and queue and wakes the Pods it could help; when there is a Pod to
//! schedule and room for its write, one is decided and the write started; the outcome comes back as an event.
//!
//! **Guarantees**: one decision at a time over the present state, a Pod given to a node counts there from the decision
//! on, and nothing between two events costs anything. Deleting all state and starting again leads to the same end: the
//! first complete lists are awaited before the first decision.

#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use client::{Change, Client, EventFormat, EventRecorder, EventSource, EventType, Reflector};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::runtime::watcher;
use platform::tasks::{TaskKind, spawn};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::Config;
use crate::cache::Cache;
use crate::node_info::NodeFacts;
use crate::plugins;
use crate::pod_info::{NodeName, PodInfo, SCHEDULER_NAME, ScheduledCondition, Stage};
use crate::queue::Queue;
use crate::schedule_one::{Decision, schedule_one};
use crate::volume_binding::{VolumeNeeds, VolumeObjects};
use crate::writes::{self, Report, VolumeWrites, Written};

/// Writes under way at once; with so many no further Pod is decided.
const WRITES_LIMIT: usize = 128;
/// Watch changes that may wait for the loop; then the watch itself waits.
const CHANGES_LIMIT: usize = 1024;

/// Everything that can happen to the scheduler.
#[derive(Debug)]
enum Event {
    Pod(Change<PodInfo>),
    Node(Change<NodeFacts>),
    /// A claim, a volume or a class changed.
    Storage(Storage),
    Written(Written),
}

/// A change of what volumes are made of. Which object does not matter: the listers show it.
#[derive(Debug)]
enum Storage {
    Changed,
    Synced,
}

/// Schedules Pods until cancelled. Pending Events are written before it returns.
pub async fn run(client: Client, config: Config, cancel: CancellationToken) {
    let source = EventSource {
        component: SCHEDULER_NAME.into(),
        instance: format!("{SCHEDULER_NAME}-{}", config.instance),
        format: EventFormat::Series,
    };
    let recorder = EventRecorder::start(client.clone(), source, Arc::clone(&config.clock));
    let (changes, mut receive_changes) = mpsc::channel(CHANGES_LIMIT);
    watch(&client, &changes, &cancel);
    let volumes = watch_volumes(&client, &changes, &cancel);
    let claim_changes = watch::Sender::new(());
    let (written, mut receive_written) = mpsc::unbounded_channel();
    let mut scheduler = Scheduler {
        client,
        config,
        recorder,
        written,
        cache: Cache::default(),
        queue: Queue::default(),
        writes: 0,
        synced: Synced::default(),
        volumes,
        claim_changes,
        binding: HashMap::new(),
    };
    loop {
        let now = Instant::now();
        let ready = scheduler.can_schedule(now);
        let deadline = scheduler.queue.next_deadline();
        tokio::select! {
            () = cancel.cancelled() => break,
            Some(event) = receive_changes.recv() => scheduler.handle(event, Instant::now()),
            Some(outcome) = receive_written.recv() => scheduler.handle(Event::Written(outcome), Instant::now()),
            () = std::future::ready(()), if ready => scheduler.schedule_next(now),
            () = until(deadline), if !ready => {}
        }
    }
    scheduler.recorder.flush().await;
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Starts the two watches. Objects are decoded and reduced there, beside the loop.
fn watch(client: &Client, changes: &mpsc::Sender<Event>, cancel: &CancellationToken) {
    let unfinished = watcher::Config::default().fields("status.phase!=Succeeded,status.phase!=Failed");
    let pods = Reflector::<Pod, _>::projecting(Api::all(client.clone()), PodInfo::of).with_config(unfinished);
    forward(pods.changes().map(Event::Pod), "scheduler Pod watch", changes, cancel);
    let nodes = Reflector::<Node, _>::projecting(Api::all(client.clone()), NodeFacts::of);
    forward(nodes.changes().map(Event::Node), "scheduler node watch", changes, cancel);
}

/// Starts the watches on claims, volumes and classes.
fn watch_volumes(client: &Client, changes: &mpsc::Sender<Event>, cancel: &CancellationToken) -> VolumeObjects {
    let claims = Reflector::<PersistentVolumeClaim>::new(Api::all(client.clone()));
    let volumes = Reflector::<PersistentVolume>::new(Api::all(client.clone()));
    let classes = Reflector::<StorageClass>::new(Api::all(client.clone()));
    let objects = VolumeObjects { claims: claims.lister(), volumes: volumes.lister(), classes: classes.lister() };
    forward(claims.changes().map(storage), "scheduler claim watch", changes, cancel);
    forward(volumes.changes().map(storage), "scheduler volume watch", changes, cancel);
    forward(classes.changes().map(storage), "scheduler class watch", changes, cancel);
    objects
}

fn storage<V>(change: Change<V>) -> Event {
    Event::Storage(if matches!(change, Change::Synced) { Storage::Synced } else { Storage::Changed })
}

fn forward(
    events: impl futures::Stream<Item = Event> + Send + 'static,
    name: &'static str,
    changes: &mpsc::Sender<Event>,
    cancel: &CancellationToken,
) {
    let (changes, cancel) = (changes.clone(), cancel.clone());
    spawn(TaskKind::Component, name, async move {
        let mut events = std::pin::pin!(events);
        loop {
            let event = tokio::select! {
                () = cancel.cancelled() => return,
                Some(event) = events.next() => event,
            };
            if changes.send(event).await.is_err() {
                return;
            }
        }
    });
}

/// Which first lists are complete.
#[derive(Debug, Default)]
struct Synced {
    pods: bool,
    nodes: bool,
    /// Of claims, volumes and classes.
    storage: u8,
}

impl Synced {
    fn all(&self) -> bool {
        self.pods && self.nodes && self.storage == 3
    }
}

struct Scheduler {
    client: Client,
    config: Config,
    recorder: EventRecorder,
    /// Unbounded, but never holds more than [`WRITES_LIMIT`] outcomes.
    written: mpsc::UnboundedSender<Written>,
    cache: Cache,
    queue: Queue,
    writes: usize,
    synced: Synced,
    volumes: VolumeObjects,
    /// Wakes those who wait for claims to be bound.
    claim_changes: watch::Sender<()>,
    /// Pods that wait for their claims, by uid: cancelled when the Pod is gone.
    binding: HashMap<Arc<str>, CancellationToken>,
}

impl Scheduler {
    fn can_schedule(&mut self, now: Instant) -> bool {
        // Asked first: it also moves those whose time has come, so that no deadline stays in the past.
        let has_work = self.queue.has_work(now);
        has_work && self.synced.all() && self.writes < WRITES_LIMIT
    }

    fn handle(&mut self, event: Event, now: Instant) {
        match event {
            Event::Pod(Change::Added(pod)) => self.set_pod(pod, now),
            Event::Pod(Change::Updated { old, new }) => {
                if old.uid != new.uid {
                    self.remove_pod(&old, now);
                }
                self.set_pod(new, now);
            }
            Event::Pod(Change::Deleted(pod)) => self.remove_pod(&pod, now),
            Event::Pod(Change::Synced) => self.synced.pods = true,
            Event::Node(Change::Added(node) | Change::Updated { new: node, .. }) => self.set_node(node, now),
            Event::Node(Change::Deleted(node)) => self.cache.remove_node(&node.name),
            Event::Node(Change::Synced) => self.synced.nodes = true,
            Event::Storage(Storage::Synced) => self.synced.storage += 1,
            Event::Storage(Storage::Changed) => {
                self.claim_changes.send_replace(());
                self.queue.wake_if(now, |pod| !pod.facts.claims.is_empty());
            }
            Event::Written(outcome) => self.take_outcome(outcome, now),
        }
    }

    fn set_pod(&mut self, pod: Arc<PodInfo>, now: Instant) {
        match &pod.stage {
            // A watch may still show the Pod waiting while its binding is under way.
            Stage::Waiting if self.cache.has_pod(&pod.uid) => {}
            Stage::Waiting => self.wait(pod, now),
            Stage::Assigned(node) => {
                self.queue.remove(&pod.uid);
                let node = Arc::clone(node);
                if let Some(left) = self.cache.set_pod(pod, &node) {
                    self.wake(&left, now);
                }
            }
            Stage::NotOurs | Stage::Ended => self.remove_pod(&pod, now),
        }
    }

    fn wait(&mut self, pod: Arc<PodInfo>, now: Instant) {
        if pod.facts.gated {
            let message = "Scheduling is blocked due to non-empty scheduling gates";
            self.write_condition(&pod, "SchedulingGated", message);
        }
        self.queue.set(pod, now);
    }

    fn remove_pod(&mut self, pod: &PodInfo, now: Instant) {
        self.queue.remove(&pod.uid);
        if let Some(binding) = self.binding.remove(&pod.uid) {
            binding.cancel();
        }
        if let Some(node) = self.cache.remove_pod(&pod.uid) {
            self.wake(&node, now);
        }
    }

    fn set_node(&mut self, node: Arc<NodeFacts>, now: Instant) {
        let name = Arc::clone(&node.name);
        if self.cache.set_node(node) {
            self.wake(&name, now);
        }
    }

    /// Wakes the Pods that this node takes now.
    fn wake(&mut self, node: &NodeName, now: Instant) {
        if let Some(node) = self.cache.node(node) {
            self.queue.wake_if(now, |pod| plugins::filter(pod, node).is_ok());
        }
    }

    fn schedule_next(&mut self, now: Instant) {
        let Some(pod) = self.queue.pop(now) else { return };
        let volumes = VolumeNeeds::of(&pod, &self.volumes, self.cache.nodes());
        match schedule_one(&pod, &volumes, self.cache.nodes(), self.config.random.bits()) {
            Decision::Node(node) => self.bind(pod, node, &volumes.unwrap_or_default()),
            Decision::NoNodes => self.park(&pod, "no nodes available to schedule pods", now),
            Decision::Unfit(unfit) => self.park(&pod, &unfit.message(&pod.facts), now),
        }
    }

    fn bind(&mut self, pod: Arc<PodInfo>, node: NodeName, volumes: &VolumeNeeds) {
        debug!(pod = %pod.key, %node, "binding");
        let facts = self.cache.node(&node).map(|node| &node.facts);
        let writes = facts.and_then(|facts| volumes.plan(facts).ok()).unwrap_or_default();
        let gone = CancellationToken::new();
        if !writes.is_empty() {
            self.binding.insert(Arc::clone(&pod.uid), gone.clone());
        }
        let (claims, changes) = (self.volumes.claims.clone(), self.claim_changes.subscribe());
        let volumes = VolumeWrites { writes, claims, changes, gone };
        self.cache.assume(Arc::clone(&pod), &node);
        let lost = Written::NotBound { pod: Arc::clone(&pod), error: "the binding task ended".into(), gone: false };
        let report = self.start_write(lost);
        spawn(TaskKind::Worker, "bind", writes::bind(self.client.clone(), pod, node, volumes, report));
    }

    fn park(&mut self, pod: &Arc<PodInfo>, message: &str, now: Instant) {
        debug!(pod = %pod.key, message, "unschedulable");
        self.queue.park(&pod.uid, now);
        self.report_failure(pod, "Unschedulable", message);
    }

    fn take_outcome(&mut self, outcome: Written, now: Instant) {
        self.writes = self.writes.saturating_sub(1);
        match outcome {
            Written::Condition => {}
            Written::Bound { pod, node } => {
                self.binding.remove(&pod.uid);
                let message = format!("Successfully assigned {} to {node}", pod.key);
                self.recorder.event_with_action(&pod.reference(), EventType::Normal, "Scheduled", "Binding", message);
            }
            Written::NotBound { pod, error, gone } => {
                self.binding.remove(&pod.uid);
                let left = self.cache.forget(&pod.uid);
                if !gone {
                    warn!(pod = %pod.key, error, "binding failed");
                    self.queue.retry(&pod.uid, now);
                    let message = error;
                    self.report_failure(&pod, "SchedulerError", &message);
                }
                if let Some(node) = left {
                    self.wake(&node, now);
                }
            }
        }
    }

    fn report_failure(&mut self, pod: &Arc<PodInfo>, reason: &str, message: &str) {
        self.recorder.event_with_action(
            &pod.reference(),
            EventType::Warning,
            "FailedScheduling",
            "Scheduling",
            message,
        );
        // The queue may have learned of a newer state than the one the decision was made for.
        let pod = self.queue.get(&pod.uid).map_or_else(|| Arc::clone(pod), Arc::clone);
        self.write_condition(&pod, reason, message);
    }

    fn write_condition(&mut self, pod: &Arc<PodInfo>, reason: &str, message: &str) {
        let wanted = ScheduledCondition { status: "False".into(), reason: reason.into(), message: message.into() };
        if let Some(patch) = writes::plan_condition(pod, &wanted, self.config.clock.now()) {
            let report = self.start_write(Written::Condition);
            let write = writes::write_condition(self.client.clone(), Arc::clone(pod), patch, report);
            spawn(TaskKind::Worker, "write condition", write);
        }
    }

    fn start_write(&mut self, unless_told: Written) -> Report {
        self.writes += 1;
        Report::new(self.written.clone(), unless_told)
    }
}
