//! The kubelet's main loop: one queue of [`Event`]s, routed to Pod workers by UID.
//!
//! Flow: sources (the watch on Pods, the runtime's events, workers that end) put events into the queue; the loop hands
//! each to the worker it concerns, starting one for a Pod it has not seen. It never waits for a worker: desired states
//! replace each other in a worker's inbox, and wake-ups are a flag.
//!
//! Guarantees: one worker per UID at any time; a Pod the runtime has but the API has not is ended; a worker that
//! panics is started again and finds its Pod where the runtime has it.

mod admitting;
mod resizing;
mod static_pods;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use platform::tasks::{TaskKind, spawn};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::admission::Demand;
use crate::context::NodeContext;
use crate::orphans;
use crate::pleg::RuntimeChange;
use crate::pod::{self, Uid};
use crate::pod_lifecycle::{Desired, Failure};
use crate::pod_source::{PodUpdate, StaticPods};
use crate::pod_worker::{self, Room, WorkerHandle};
use static_pods::StaticState;

/// How long a worker that panicked is left alone.
const RESTART_DELAY: Duration = Duration::from_secs(5);

/// Everything that makes the loop turn.
#[derive(Debug)]
pub enum Event {
    /// The API wants something.
    Pods(PodUpdate),
    /// A source of static Pods has these.
    StaticPods(StaticPods),
    /// These static Pods were left running by an earlier kubelet; told before any source has spoken.
    StaticPodsLeft(Vec<Arc<Pod>>),
    /// The runtime has changed.
    Runtime(RuntimeChange),
    /// A worker ended: its Pod is gone, or it panicked.
    WorkerEnded(Uid),
    /// A worker that panicked may be started again.
    RestartWorker(Uid),
    /// Pods the runtime has, found once all sources have said which Pods there are; often none.
    Orphans(Vec<Arc<Pod>>),
    /// A Pod has to end, as the kubelet decided.
    Fail(Uid, Failure),
}

/// Pods as the kubelet has them, for the kubelet API and node status.
pub type KnownPods = HashMap<Uid, Arc<Pod>>;

/// The loop's state.
pub struct SyncLoop {
    context: Arc<NodeContext>,
    events: mpsc::Sender<Event>,
    workers: HashMap<Uid, Worker>,
    /// Counts changes of the runtime, so that log readers know when to look.
    runtime_changes: watch::Sender<u64>,
    pods: watch::Sender<KnownPods>,
    /// The API has said which Pods there are.
    listed: bool,
    /// What earlier kubelets left behind has been looked for.
    searched: bool,
    statics: StaticState,
}

struct Worker {
    handle: WorkerHandle,
    desired: Desired,
    /// The Pod as the API has it, before allocation.
    asked: Arc<Pod>,
    /// What the Pod takes of the node.
    demand: Demand,
    /// CPU it requests as a Burstable Pod.
    burstable_cpu_milli: i64,
}

impl SyncLoop {
    /// A loop without Pods. It sends itself what workers report.
    pub fn new(
        context: Arc<NodeContext>,
        events: mpsc::Sender<Event>,
        runtime_changes: watch::Sender<u64>,
        pods: watch::Sender<KnownPods>,
    ) -> Self {
        let statics = StaticState::new(context.pods.static_pods.sources());
        let workers = HashMap::new();
        Self { context, events, workers, runtime_changes, pods, listed: false, searched: false, statics }
    }

    /// Runs until cancelled. Pods live on: only what happens inside this process ends.
    pub async fn run(mut self, mut queue: mpsc::Receiver<Event>, cancel: CancellationToken) {
        loop {
            tokio::select! {
                () = cancel.cancelled() => break,
                event = queue.recv() => match event {
                    Some(event) => self.handle(event),
                    None => break,
                },
            }
        }
        for worker in self.workers.values() {
            worker.handle.abandon();
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::StaticPods(update) => self.set_static(update),
            Event::StaticPodsLeft(pods) => self.statics.left = pods,
            Event::Pods(PodUpdate::Set(pod)) if pod::is_mirror(&pod) => {
                self.context.mirrors.set(&pod);
                self.remove_orphaned_mirrors();
            }
            Event::Pods(PodUpdate::Removed(pod)) if pod::is_mirror(&pod) => self.context.mirrors.remove(&pod),
            Event::Pods(PodUpdate::Set(pod)) => self.desire(Desired::Pod(pod)),
            // Without a worker nothing of it is here: its end is what made the object go, or it never began.
            Event::Pods(PodUpdate::Removed(pod)) => {
                if self.workers.contains_key(&pod::uid(&pod)) {
                    self.desire(Desired::Removed(pod));
                }
            }
            Event::Pods(PodUpdate::Replace(pods)) => self.replace(pods),
            Event::Runtime(change) => self.wake(&change),
            Event::WorkerEnded(uid) => self.worker_ended(&uid),
            Event::RestartWorker(uid) => self.restart(uid),
            Event::Fail(uid, failure) => self.fail(&uid, failure),
            Event::Orphans(pods) => {
                for pod in pods {
                    if !self.workers.contains_key(&pod::uid(&pod)) {
                        info!(pod = pod::full_name(&pod), "ending a Pod that is not in the API");
                        self.desire(Desired::Removed(pod));
                    }
                }
                // Whoever is not here now is gone since an earlier kubelet.
                let active = self.workers.iter().filter(|(_, worker)| worker.is_active());
                let active = active.map(|(uid, _)| uid.clone()).collect();
                self.context.devices.retain(&active);
                self.context.cpus.retain(&active);
                self.statics.orphans_known = true;
                self.remove_orphaned_mirrors();
            }
        }
    }

    fn desire(&mut self, desired: Desired) {
        let uid = pod::uid(desired.pod());
        self.pods.send_modify(|pods| match &desired {
            Desired::Pod(pod) | Desired::Failed(pod, _) => drop(pods.insert(uid.clone(), Arc::clone(pod))),
            Desired::Removed(_) => drop(pods.remove(&uid)),
        });
        if let Some(worker) = self.workers.get_mut(&uid) {
            let desired = desired.after(&worker.desired);
            if let Desired::Pod(pod) = &desired {
                worker.asked = Arc::clone(pod);
            }
            let desired = self.with_allocation(&uid, desired);
            let Some(worker) = self.workers.get_mut(&uid) else { return };
            let was_active = worker.is_active();
            worker.desired = desired.clone();
            let is_active = worker.is_active();
            worker.handle.desire(desired);
            if was_active != is_active {
                if !is_active {
                    self.release(&uid);
                }
                self.note_requests();
                self.retry_resizes();
            }
            return;
        }
        let asked = Arc::clone(desired.pod());
        self.context.allocations.begin(&asked, &self.context.pod_dir(&uid));
        let demand = Demand::of(&self.context.allocations.apply(Arc::clone(&asked)));
        let (desired, room) = match desired {
            Desired::Pod(pod) => self.admit(self.context.allocations.apply(pod), &demand),
            other => (other, Room::default()),
        };
        let handle = pod_worker::start(Arc::clone(&self.context), desired.clone(), room, self.events.clone());
        let burstable_cpu_milli = demand.burstable_cpu_milli();
        self.workers.insert(uid, Worker { handle, desired, asked, demand, burstable_cpu_milli });
        self.note_requests();
    }

    /// Ends a Pod for a reason of the kubelet's own. One that is gone needs no end.
    fn fail(&mut self, uid: &Uid, failure: Failure) {
        if let Some(worker) = self.workers.get(uid) {
            let pod = Arc::clone(worker.desired.pod());
            self.desire(Desired::Failed(pod, failure));
        }
    }

    /// After a list: what is not in it is gone.
    fn replace(&mut self, pods: Vec<Arc<Pod>>) {
        let (mirrors, pods): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| pod::is_mirror(pod));
        self.context.mirrors.replace(mirrors.into_iter());
        self.remove_orphaned_mirrors();
        let gone: Vec<Arc<Pod>> = self
            .workers
            .iter()
            .filter(|(uid, worker)| {
                matches!(worker.desired, Desired::Pod(_) | Desired::Failed(..))
                    && !pod::is_static(worker.desired.pod())
                    && !pods.iter().any(|pod| pod::uid(pod) == **uid)
            })
            .map(|(_, worker)| Arc::clone(worker.desired.pod()))
            .collect();
        gone.into_iter().for_each(|pod| self.desire(Desired::Removed(pod)));
        // Who came first is let in first.
        let mut pods = pods;
        pods.sort_by_key(|pod| pod.metadata.creation_timestamp.as_ref().map(|time| time.0));
        pods.into_iter().for_each(|pod| self.desire(Desired::Pod(pod)));
        self.listed = true;
        self.find_orphans();
    }

    /// Looks for what earlier kubelets left behind, once every source has said which Pods there are.
    fn find_orphans(&mut self) {
        if self.listed && self.statics.silent.is_empty() && !self.searched {
            self.searched = true;
            let known = self.workers.keys().cloned().collect();
            spawn(
                TaskKind::Worker,
                "orphans",
                orphans::find(Arc::clone(&self.context), known, self.pods.subscribe(), self.events.clone()),
            );
        }
    }

    fn wake(&mut self, change: &RuntimeChange) {
        self.runtime_changes.send_modify(|count| *count = count.wrapping_add(1));
        match change {
            RuntimeChange::Pod(uid) => {
                if let Some(worker) = self.workers.get(uid) {
                    worker.handle.wake();
                }
            }
            RuntimeChange::All => self.workers.values().for_each(|worker| worker.handle.wake()),
        }
    }

    fn worker_ended(&mut self, uid: &Uid) {
        let Some(worker) = self.workers.get(uid) else { return };
        if worker.handle.finished() {
            let pod = Arc::clone(worker.desired.pod());
            self.workers.remove(uid);
            self.pods.send_modify(|pods| drop(pods.remove(uid)));
            self.context.allocations.end(uid);
            self.release(uid);
            self.note_requests();
            self.retry_resizes();
            self.start_successor(&pod);
            self.remove_orphaned_mirrors();
            return;
        }
        error!(pod = pod::full_name(worker.desired.pod()), "Pod worker died, starting it again soon");
        let (events, uid) = (self.events.clone(), uid.clone());
        spawn(TaskKind::Worker, "worker restart", async move {
            tokio::time::sleep(RESTART_DELAY).await;
            if events.send(Event::RestartWorker(uid)).await.is_err() {
                warn!("the sync loop ended before a worker could be restarted");
            }
        });
    }

    fn restart(&mut self, uid: Uid) {
        if let Some(worker) = self.workers.get_mut(&uid) {
            let (context, events) = (Arc::clone(&self.context), self.events.clone());
            worker.handle = pod_worker::start(context, worker.desired.clone(), Room::default(), events);
        }
    }
}
