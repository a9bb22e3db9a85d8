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

mod preempt;

use std::collections::HashMap;
use std::sync::Arc;

use api::labels::Labels;
use client::{Change, Client, EventFormat, EventRecorder, EventSource, EventType, Reflected, Reflector};
use futures::StreamExt;
use k8s_openapi::api::core::v1::{Namespace, Node, Pod};
use kube::Api;
use kube::runtime::watcher;
use platform::tasks::{TaskKind, spawn};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::Config;
use crate::cache::Cache;
use crate::cluster_event::ClusterEvent;
use crate::cycle_state::CycleState;
use crate::framework::PluginSet;
use crate::metrics::Outcome;
use crate::node_info::NodeFacts;
use crate::objects::{Objects, Watches};
use crate::plugins::scheduling_gates;
use crate::pod_info::{NodeName, PodInfo, SCHEDULER_NAME, ScheduledCondition, Stage, Uid};
use crate::profile::Profile;
use crate::queue::Queue;
use crate::schedule_one::{Decision, Turn, schedule_one};
use crate::verdicts::Attempt;
use crate::volume_binding::VolumeObjects;
use crate::writes::{self, Nomination, Report, VolumeWrites, Written};

/// Writes under way at once; with so many no further Pod is decided.
const WRITES_LIMIT: usize = 128;
/// Watch changes that may wait for the loop; then the watch itself waits.
const CHANGES_LIMIT: usize = 1024;

/// Everything that can happen to the scheduler.
#[derive(Debug)]
enum Event {
    Pod(Change<PodInfo>),
    Node(Change<NodeFacts>),
    Namespace(Change<NamespaceLabels>),
    /// A claim, a volume or what is said of them changed.
    Storage(Beside),
    /// Something else that plugins look at changed.
    Other(Beside),
    Written(Written),
}

/// A namespace with its labels.
#[derive(Debug)]
struct NamespaceLabels {
    name: String,
    labels: Labels,
}

/// A change of objects beside Pods and nodes. Which one does not matter: the listers show it.
#[derive(Debug)]
enum Beside {
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
    let objects = watch_objects(&client, &changes, &cancel);
    let profiles = config.configuration.profiles().iter().map(|profile| Profile::of(profile, &objects)).collect();
    let claim_changes = watch::Sender::new(());
    let (written, mut receive_written) = mpsc::unbounded_channel();
    let queue = Queue::new(config.configuration.backoff());
    let mut scheduler = Scheduler {
        client,
        config,
        recorder,
        written,
        cache: Cache::default(),
        queue,
        writes: 0,
        synced: Synced::default(),
        profiles,
        start: 0,
        volumes: objects.volumes,
        claim_changes,
        binding: HashMap::new(),
        attempts: HashMap::new(),
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
        scheduler.config.metrics.pending(scheduler.queue.pending());
    }
    scheduler.recorder.flush().await;
}

async fn until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Starts the watches on Pods, nodes and namespaces. Objects are decoded and reduced there, beside the loop.
fn watch(client: &Client, changes: &mpsc::Sender<Event>, cancel: &CancellationToken) {
    let unfinished = watcher::Config::default().fields("status.phase!=Succeeded,status.phase!=Failed");
    let pods = Reflector::<Pod, _>::projecting(Api::all(client.clone()), PodInfo::of).with_config(unfinished);
    forward(pods.changes().map(Event::Pod), "scheduler Pod watch", changes, cancel);
    let nodes = Reflector::<Node, _>::projecting(Api::all(client.clone()), NodeFacts::of);
    forward(nodes.changes().map(Event::Node), "scheduler node watch", changes, cancel);
    let namespaces = Reflector::<Namespace, _>::projecting(Api::all(client.clone()), |namespace| NamespaceLabels {
        name: namespace.metadata.name.unwrap_or_default(),
        labels: namespace.metadata.labels.unwrap_or_default(),
    });
    forward(namespaces.changes().map(Event::Namespace), "scheduler namespace watch", changes, cancel);
}

/// How many watches [`watch_objects`] starts.
const OBJECT_WATCHES: u8 = 11;

/// Starts the watches on what plugins look at beside.
fn watch_objects(client: &Client, changes: &mpsc::Sender<Event>, cancel: &CancellationToken) -> Objects {
    let watches = Watches::new(client);
    let objects = watches.objects();
    let to = (changes, cancel);
    Beside::watch(watches.claims, Event::Storage, "scheduler claim watch", to);
    Beside::watch(watches.volumes, Event::Storage, "scheduler volume watch", to);
    Beside::watch(watches.classes, Event::Storage, "scheduler class watch", to);
    Beside::watch(watches.drivers, Event::Storage, "scheduler CSIDriver watch", to);
    Beside::watch(watches.capacities, Event::Storage, "scheduler CSIStorageCapacity watch", to);
    Beside::watch(watches.csi_nodes, Event::Storage, "scheduler CSINode watch", to);
    Beside::watch(watches.services, Event::Other, "scheduler Service watch", to);
    Beside::watch(watches.replication_controllers, Event::Other, "scheduler ReplicationController watch", to);
    Beside::watch(watches.replica_sets, Event::Other, "scheduler ReplicaSet watch", to);
    Beside::watch(watches.stateful_sets, Event::Other, "scheduler StatefulSet watch", to);
    Beside::watch(watches.budgets, Event::Other, "scheduler PodDisruptionBudget watch", to);
    objects
}

impl Beside {
    fn of<V>(change: &Change<V>) -> Self {
        if matches!(change, Change::Synced) { Self::Synced } else { Self::Changed }
    }

    fn watch<K: Reflected>(
        reflector: Reflector<K>,
        event: fn(Self) -> Event,
        name: &'static str,
        (changes, cancel): (&mpsc::Sender<Event>, &CancellationToken),
    ) {
        forward(reflector.changes().map(move |change| event(Self::of(&change))), name, changes, cancel);
    }
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
    namespaces: bool,
    /// Of what plugins look at beside.
    objects: u8,
}

impl Synced {
    fn all(&self) -> bool {
        self.pods && self.nodes && self.namespaces && self.objects == OBJECT_WATCHES
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
    profiles: Vec<Profile>,
    /// Where the next search for nodes begins.
    start: usize,
    volumes: VolumeObjects,
    /// Wakes those who wait for claims to be bound.
    claim_changes: watch::Sender<()>,
    /// Pods that wait for their claims, by uid: cancelled when the Pod is gone.
    binding: HashMap<Arc<str>, CancellationToken>,
    /// Attempts whose binding is under way, by the Pod's uid.
    attempts: HashMap<Uid, UnderWay>,
}

/// An attempt that has chosen a node.
#[derive(Debug)]
struct UnderWay {
    begin: Instant,
    /// Since when the Pod could have had a node, and the attempts so far.
    history: Option<(Instant, u32)>,
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
            Event::Node(Change::Deleted(node)) => {
                self.cache.remove_node(&node.name);
                self.tell(&ClusterEvent::NodeDeleted(&node), now);
            }
            Event::Node(Change::Synced) => self.synced.nodes = true,
            Event::Namespace(change) => self.take_namespace(change, now),
            Event::Storage(Beside::Changed) => {
                self.claim_changes.send_replace(());
                self.tell(&ClusterEvent::StorageChanged, now);
            }
            Event::Storage(Beside::Synced) | Event::Other(Beside::Synced) => self.synced.objects += 1,
            Event::Other(Beside::Changed) => {}
            Event::Written(outcome) => self.take_outcome(outcome, now),
        }
    }

    fn set_pod(&mut self, pod: Arc<PodInfo>, now: Instant) {
        match &pod.stage {
            // A watch may still show the Pod waiting while its binding is under way.
            Stage::Waiting if self.cache.has_pod(&pod.uid) => {}
            Stage::Waiting if self.profile(&pod).is_some() => self.wait(pod, now),
            Stage::Assigned(node) => {
                let node = Arc::clone(node);
                self.place(pod, &node, now);
            }
            Stage::Waiting | Stage::Gone | Stage::Ended => self.remove_pod(&pod, now),
        }
    }

    /// The Pod is on a node, says the API.
    fn place(&mut self, pod: Arc<PodInfo>, node: &NodeName, now: Instant) {
        self.queue.remove(&pod.uid);
        self.cache.forget_nomination(&pod.uid);
        let old = self.cache.pod(&pod.uid).cloned();
        let left = self.cache.set_pod(Arc::clone(&pod), node);
        match (&old, left) {
            (None, _) => self.tell(&ClusterEvent::PodAdded(&pod), now),
            (Some(old), Some(left)) => {
                self.tell_deleted(old, &left, now);
                self.tell(&ClusterEvent::PodAdded(&pod), now);
            }
            (Some(old), None) if old.facts == pod.facts && old.terminating == pod.terminating => {}
            (Some(old), None) => {
                let node = self.cache.snapshot().node(node);
                let event = ClusterEvent::PodUpdated { old, new: &pod, node };
                wake(&mut self.queue, &self.profiles, &self.cache, &event, now);
            }
        }
    }

    /// The Pod waits for a node.
    fn wait(&mut self, pod: Arc<PodInfo>, now: Instant) {
        if scheduling_gates::holds_back(&pod) {
            self.write_condition(&pod, scheduling_gates::REASON, scheduling_gates::MESSAGE, Nomination::Keep);
        }
        let known = self.queue.get(&pod.uid).and_then(|known| known.nominated_node.clone());
        // What was decided here may not have reached the API yet.
        let unwritten = self.cache.nomination(&pod.uid).cloned().filter(|_| known.is_none());
        let nominated = pod.nominated_node.clone().or(unwritten);
        self.cache.nominate(&pod, nominated.as_ref());
        self.queue.set(pod, now);
    }

    fn remove_pod(&mut self, pod: &PodInfo, now: Instant) {
        self.queue.remove(&pod.uid);
        if let Some(binding) = self.binding.remove(&pod.uid) {
            binding.cancel();
        }
        if let Some(node) = self.cache.forget_nomination(&pod.uid) {
            self.tell_deleted(pod, &node, now);
        }
        if let Some((pod, node)) = self.cache.remove_pod(&pod.uid) {
            self.tell_deleted(&pod, &node, now);
        }
    }

    fn set_node(&mut self, facts: Arc<NodeFacts>, now: Instant) {
        let name = Arc::clone(&facts.name);
        let old = self.cache.set_node(Arc::clone(&facts));
        let Some(node) = self.cache.node(&name).filter(|_| old.as_ref() != Some(&facts)) else { return };
        let event = ClusterEvent::NodeChanged { old: old.as_deref(), node };
        wake(&mut self.queue, &self.profiles, &self.cache, &event, now);
    }

    fn take_namespace(&mut self, change: Change<NamespaceLabels>, now: Instant) {
        match change {
            Change::Added(namespace) | Change::Updated { new: namespace, .. } => {
                if self.cache.set_namespace(&namespace.name, namespace.labels.clone()) {
                    self.tell(&ClusterEvent::NamespaceChanged, now);
                }
            }
            Change::Deleted(namespace) => self.cache.remove_namespace(&namespace.name),
            Change::Synced => self.synced.namespaces = true,
        }
    }

    /// Wakes the Pods that the event could help.
    fn tell(&mut self, event: &ClusterEvent<'_>, now: Instant) {
        wake(&mut self.queue, &self.profiles, &self.cache, event, now);
    }

    /// A Pod left a node.
    fn tell_deleted(&mut self, pod: &PodInfo, node: &NodeName, now: Instant) {
        let event = ClusterEvent::PodDeleted { pod, node: self.cache.snapshot().node(node) };
        wake(&mut self.queue, &self.profiles, &self.cache, &event, now);
    }

    fn profile(&self, pod: &PodInfo) -> Option<&Profile> {
        profile_of(&self.profiles, pod)
    }

    fn schedule_next(&mut self, now: Instant) {
        let Some(pod) = self.queue.pop(now) else { return };
        // Pods of nobody's are never queued.
        let Some(profile) = profile_of(&self.profiles, &pod) else { return };
        let snapshot = self.cache.snapshot();
        let turn = Turn { start: self.start, random: self.config.random.bits() };
        let (decision, seen) = schedule_one(profile, &pod, snapshot, turn);
        self.config.metrics.decided(now.elapsed());
        self.start = (self.start + seen) % snapshot.nodes().len().max(1);
        match decision {
            Decision::Node { node, state } => self.bind(pod, node, &state, now),
            Decision::NoNodes => {
                let message = "no nodes available to schedule pods";
                self.park(&pod, PluginSet::default(), message, Nomination::Keep, now);
                self.remember(&pod, Attempt::nowhere(&pod), message);
            }
            Decision::Unfit { unfit, state } => self.post_filter(&pod, &unfit, &state, now),
        }
    }

    fn bind(&mut self, pod: Arc<PodInfo>, node: NodeName, state: &CycleState, now: Instant) {
        debug!(pod = %pod.key, %node, "binding");
        let facts = self.cache.node(&node).map(|node| &node.facts);
        let writes = facts.and_then(|facts| state.volume_binding.plan(facts).ok()).unwrap_or_default();
        let gone = CancellationToken::new();
        if !writes.is_empty() {
            self.binding.insert(Arc::clone(&pod.uid), gone.clone());
        }
        let (claims, changes) = (self.volumes.claims.clone(), self.claim_changes.subscribe());
        let volumes = VolumeWrites { writes, claims, changes, gone };
        let under_way = UnderWay { begin: now, history: self.queue.history(&pod.uid) };
        self.attempts.insert(Arc::clone(&pod.uid), under_way);
        self.cache.forget_nomination(&pod.uid);
        self.cache.assume(Arc::clone(&pod), &node);
        self.tell(&ClusterEvent::PodAdded(&pod), now);
        let lost = Written::NotBound { pod: Arc::clone(&pod), error: "the binding task ended".into(), gone: false };
        let report = self.start_write(lost);
        spawn(TaskKind::Worker, "bind", writes::bind(self.client.clone(), pod, node, volumes, report));
    }

    fn park(
        &mut self,
        pod: &Arc<PodInfo>,
        rejected_by: PluginSet,
        message: &str,
        nomination: Nomination<'_>,
        now: Instant,
    ) {
        debug!(pod = %pod.key, message, "unschedulable");
        self.queue.park(&pod.uid, rejected_by, now);
        self.config.metrics.attempt(Outcome::Unschedulable, &pod.scheduler_name, now.elapsed());
        self.report_failure(pod, "Unschedulable", message, nomination);
    }

    /// Keeps what was found, for whoever asks why the Pod waits.
    fn remember(&self, pod: &PodInfo, attempt: Attempt, message: &str) {
        let attempt = Attempt { at: self.config.clock.now(), message: message.to_owned(), ..attempt };
        self.config.verdicts.keep(&pod.key, attempt);
    }

    fn take_outcome(&mut self, outcome: Written, now: Instant) {
        self.writes = self.writes.saturating_sub(1);
        match outcome {
            Written::Condition => {}
            Written::Bound { pod, node } => {
                self.binding.remove(&pod.uid);
                self.config.verdicts.forget(&pod.key);
                self.count(&pod, Outcome::Scheduled);
                let message = format!("Successfully assigned {} to {node}", pod.key);
                self.record(&pod, EventType::Normal, "Scheduled", "Binding", &message);
            }
            Written::NotBound { pod, error, gone } => {
                self.binding.remove(&pod.uid);
                self.count(&pod, Outcome::Error);
                let left = self.cache.forget(&pod.uid);
                if !gone {
                    warn!(pod = %pod.key, error, "binding failed");
                    self.queue.retry(&pod.uid, now);
                    self.report_failure(&pod, "SchedulerError", &error, Nomination::Keep);
                }
                if let Some((pod, node)) = left {
                    self.tell_deleted(&pod, &node, now);
                }
            }
            Written::Preempted { pod, node, victim } => {
                let message = format!("Preempted by pod {} on node {node}", pod.uid);
                self.record(&victim, EventType::Normal, "Preempted", "Preempting", &message);
            }
            Written::NotPreempted { pod, victim, error } => self.stays(&pod, &victim, &error, now),
        }
    }

    /// The binding of a Pod ended.
    fn count(&mut self, pod: &PodInfo, outcome: Outcome) {
        let Some(UnderWay { begin, history }) = self.attempts.remove(&pod.uid) else { return };
        let metrics = &self.config.metrics;
        metrics.attempt(outcome, &pod.scheduler_name, begin.elapsed());
        if let (Outcome::Scheduled, Some((since, attempts))) = (outcome, history) {
            metrics.scheduled(attempts, since.elapsed());
        }
    }

    fn record(&self, pod: &PodInfo, kind: EventType, reason: &str, action: &str, message: &str) {
        self.recorder.event_with_action(&pod.reference(), kind, reason, action, message);
    }

    fn report_failure(&mut self, pod: &Arc<PodInfo>, reason: &str, message: &str, nomination: Nomination<'_>) {
        self.record(pod, EventType::Warning, "FailedScheduling", "Scheduling", message);
        // The queue may have learned of a newer state than the one the decision was made for.
        let pod = self.queue.get(&pod.uid).map_or_else(|| Arc::clone(pod), Arc::clone);
        self.write_condition(&pod, reason, message, nomination);
    }

    fn write_condition(&mut self, pod: &Arc<PodInfo>, reason: &str, message: &str, nomination: Nomination<'_>) {
        let wanted = ScheduledCondition { status: "False".into(), reason: reason.into(), message: message.into() };
        if let Some(patch) = writes::plan_condition(pod, &wanted, nomination, self.config.clock.now()) {
            self.write_status(pod, patch);
        }
    }

    fn write_status(&mut self, pod: &Arc<PodInfo>, patch: serde_json::Value) {
        let report = self.start_write(Written::Condition);
        let write = writes::write_condition(self.client.clone(), Arc::clone(pod), patch, report);
        spawn(TaskKind::Worker, "write condition", write);
    }

    fn start_write(&mut self, unless_told: Written) -> Report {
        self.writes += 1;
        Report::new(self.written.clone(), unless_told)
    }
}

fn profile_of<'a>(profiles: &'a [Profile], pod: &PodInfo) -> Option<&'a Profile> {
    profiles.iter().find(|profile| profile.scheduler_name == pod.scheduler_name)
}

/// Wakes the parked Pods that the event could help.
pub fn wake(queue: &mut Queue, profiles: &[Profile], cache: &Cache, event: &ClusterEvent<'_>, now: Instant) {
    queue.wake_if(now, |pod, rejected_by| {
        let profile = profile_of(profiles, pod);
        profile.is_some_and(|profile| profile.could_help(pod, rejected_by, event, cache.snapshot()))
    });
}
