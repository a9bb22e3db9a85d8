//! One Pod's worker: a task that makes the runtime's state of its Pod follow the API's, one action at a time.
//!
//! Flow: observe, plan, execute, again until the plan is empty; publish the status; sleep until something changes (the
//! desired Pod, the runtime, a probe, a back-off or deadline that is over). Ending a Pod is another such sequence. What
//! is remembered between passes is only what neither the API nor the runtime can tell: back-offs, probe results, why a
//! container does not start.
//!
//! Guarantees: never two actions on one Pod at a time; a wish to end the Pod interrupts whatever is slow; a panic ends
//! this worker only, and its successor starts from what it observes.

mod chronicle;
mod ending;
mod last_words;
mod resizing;
mod room;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use platform::backoff::{Backoff, Ladder};
use platform::clock::SharedClock;
use platform::tasks::{TaskKind, spawn};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::admission;
use crate::context::NodeContext;
use crate::crash_backoff::CrashBackoff;
use crate::devices::AllocationError;
use crate::go_duration;
use crate::objects::for_pod::PodObjects;
use crate::observed::{ObservedPod, observe_pod};
use crate::plan_pod::{Holds, PlanInput, PodActions, SandboxAction, plan_pod};
use crate::pod::{self, Uid};
use crate::pod_lifecycle::{Desired, PodLifecycle, TerminationCause};
use crate::pod_status::{self, Phase, Stage, StatusInput, Verdict, VerdictKind, Waiting, WaitingReasons};
use crate::probes::Prober;
use crate::status_manager::StatusWriter;
use crate::sync_loop::Event;
use crate::sync_pod::{PassVolumes, PostStarts, SyncPass, SyncReport, sync_pod};
use crate::volumes::MountedVolumes;
use last_words::LastWords;
pub use room::Room;

/// Attempts after something failed.
const RETRY_LADDER: Ladder =
    Ladder { initial: Duration::from_millis(100), max: Duration::from_secs(10), reset_after: Duration::from_secs(60) };
/// How often a claim that is not bound is read again: a node may not watch claims.
const CLAIM_INTERVAL: Duration = Duration::from_secs(1);
/// A pass that takes longer is seen while it lasts. One that is quicker says at once what came of it: the write of what
/// was would only stand in the way of that.
const FIRST_AFTER: Duration = Duration::from_millis(20);
/// A pass that takes longer publishes what is known in between.
const INTERIM_AFTER: Duration = Duration::from_millis(200);
/// Plans in a row before others get their turn; each brings the Pod further, so only a wrong plan needs more.
const MAX_PASSES: usize = 64;

/// The sync loop's hold on a worker.
pub struct WorkerHandle {
    inbox: watch::Sender<Desired>,
    wake: Arc<Notify>,
    end: CancellationToken,
    finished: watch::Receiver<bool>,
}

impl WorkerHandle {
    /// Replaces what is wanted of the Pod.
    pub fn desire(&self, desired: Desired) {
        self.inbox.send_replace(desired);
    }

    /// Has the worker look at the runtime.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Ends the worker and leaves its Pod as it is.
    pub fn abandon(&self) {
        self.end.cancel();
    }

    /// Whether the worker ended because nothing of its Pod is left.
    pub fn finished(&self) -> bool {
        *self.finished.borrow()
    }
}

/// Starts the worker of a Pod, which begins once there is room for it. It reports [`Event::WorkerEnded`] however it
/// ends.
pub fn start(context: Arc<NodeContext>, desired: Desired, room: Room, events: mpsc::Sender<Event>) -> WorkerHandle {
    let uid = pod::uid(desired.pod());
    context.holding.send_if_modified(|holding| holding.insert(uid.clone()));
    let (inbox, receiver) = watch::channel(desired);
    let (finished, finished_receiver) = watch::channel(false);
    let wake = Arc::new(Notify::new());
    let end = CancellationToken::new();
    let worker = PodWorker::new(context, uid.clone(), receiver, Arc::clone(&wake));
    let report = EndReport { uid, events };
    let token = end.clone();
    spawn(TaskKind::Worker, "pod worker", async move {
        // Sent when this task ends in whatever way, a panic included.
        let _report = report;
        tokio::select! {
            () = worker.run(room) => drop(finished.send_replace(true)),
            () = token.cancelled() => {}
        }
    });
    WorkerHandle { inbox, wake, end, finished: finished_receiver }
}

struct EndReport {
    uid: Uid,
    events: mpsc::Sender<Event>,
}

impl Drop for EndReport {
    fn drop(&mut self) {
        let (uid, events) = (self.uid.clone(), self.events.clone());
        if tokio::runtime::Handle::try_current().is_ok() {
            spawn(TaskKind::Worker, "pod worker end", async move {
                // An error means the sync loop is gone, and with it whoever would want to know.
                let _ = events.send(Event::WorkerEnded(uid)).await;
            });
        }
    }
}

struct PodWorker {
    context: Arc<NodeContext>,
    uid: Uid,
    inbox: watch::Receiver<Desired>,
    wake: Arc<Notify>,
    status: StatusWriter,
    lifecycle: PodLifecycle,
    backoff: CrashBackoff,
    retry: Backoff<Retry>,
    holds: Holds,
    prober: Prober,
    last_words: LastWords,
    volumes: Option<MountedVolumes>,
    objects: Arc<PodObjects>,
    waiting: WaitingReasons,
    /// The instance whose back-off was last reported, by container.
    reported_backoffs: HashMap<String, u32>,
    first_seen: Timestamp,
    /// The newest spec that was seen.
    generation: i64,
    /// The status published last; the API shows it a little later.
    published: Option<PodStatus>,
}

impl PodWorker {
    fn new(context: Arc<NodeContext>, uid: Uid, inbox: watch::Receiver<Desired>, wake: Arc<Notify>) -> Self {
        let mirror = pod::is_static(inbox.borrow().pod()).then(|| context.mirror_keeper());
        let status = StatusWriter::start(context.client.clone(), mirror);
        let (schedule, runtime) = (Arc::clone(&context.probes), Arc::clone(&context.runtime));
        let counts = Arc::clone(&context.probe_counts);
        let prober = Prober::new(schedule, runtime, context.events.clone(), Arc::clone(&wake), counts);
        let objects = Arc::new(PodObjects::new(Arc::clone(&context.objects), Arc::clone(&wake)));
        let first_seen = context.clock.now();
        let max_restart_wait = context.pods.max_container_restart_period;
        Self {
            context,
            uid,
            inbox,
            wake,
            status,
            lifecycle: PodLifecycle::Syncing,
            backoff: CrashBackoff::new(max_restart_wait),
            retry: Backoff::new(RETRY_LADDER),
            holds: Holds::new(),
            prober,
            last_words: LastWords::default(),
            volumes: None,
            objects,
            waiting: WaitingReasons::new(),
            reported_backoffs: HashMap::new(),
            first_seen,
            generation: 0,
            published: None,
        }
    }

    /// Works until nothing of the Pod is left.
    async fn run(mut self, room: Room) {
        self.note_adoption();
        self.recall();
        self.wait_for(&room).await;
        loop {
            self.read_inbox();
            debug!(uid = %self.uid, state = ?self.lifecycle, "pod worker");
            let look_again = match &self.lifecycle {
                PodLifecycle::Syncing => self.sync().await,
                PodLifecycle::Terminating(_) => self.terminate().await,
                PodLifecycle::Terminated(end) if end.cause.is_removal() => self.remove().await,
                PodLifecycle::Terminated(_) => None,
                PodLifecycle::Gone => {
                    self.let_go();
                    return self.context.probe_counts.forget(&self.uid);
                }
            };
            if let Some(pause) = look_again.or_else(|| self.idle()) {
                self.sleep(pause).await;
            }
        }
    }

    /// A Pod that ended under an earlier kubelet is not started again.
    fn recall(&mut self) {
        let pod = self.pod();
        if pod.status.as_ref().is_some_and(|status| Phase::of(status).is_terminal()) {
            let grace_seconds = pod::termination_grace_seconds(&pod);
            self.lifecycle = PodLifecycle::Syncing.terminate(TerminationCause::Completed, grace_seconds);
        }
    }

    fn pod(&self) -> Arc<Pod> {
        Arc::clone(self.inbox.borrow().pod())
    }

    fn read_inbox(&mut self) {
        let desired = self.inbox.borrow_and_update().clone();
        let before = self.lifecycle.clone();
        self.lifecycle = std::mem::replace(&mut self.lifecycle, PodLifecycle::Gone).desire(&desired);
        self.note_desire(&before);
    }

    /// Whether there is nothing to do until somebody says so.
    fn idle(&self) -> Option<Pause> {
        matches!(&self.lifecycle, PodLifecycle::Terminated(end) if !end.cause.is_removal()).then_some(Pause::Forever)
    }

    async fn sleep(&mut self, pause: Pause) {
        let timer = async {
            match pause {
                Pause::Until(instant) | Pause::Undisturbed(instant) => tokio::time::sleep_until(instant).await,
                Pause::Forever => std::future::pending().await,
            }
        };
        tokio::select! {
            changed = self.inbox.changed() => {
                if changed.is_err() {
                    // The sync loop is gone without saying so: the process is ending.
                    std::future::pending::<()>().await;
                }
            }
            () = self.wake.notified(), if !matches!(pause, Pause::Undisturbed(_)) => {}
            () = timer => {}
        }
    }

    /// Observes, plans and executes until nothing is left to do now.
    async fn sync(&mut self) -> Option<Pause> {
        for _ in 0..MAX_PASSES {
            let pod = self.pod();
            let Some(observed) = self.observe().await else { return Some(self.retry_pause()) };
            let now = self.context.clock.now();
            self.prober.update(&pod, &observed, &self.context.host_ips, now);
            if let Some(verdict) = self.deadline_verdict(&pod) {
                self.context.events.normal(&pod, &verdict.reason, verdict.message.clone());
                return self.end(&pod, TerminationCause::Failed(verdict));
            }
            let mut actions = self.plan(&pod, &observed);
            self.plan_resize(&pod, &observed, &mut actions);
            self.note_backoffs(&pod, &actions, &observed);
            let status = self.compute_status(&pod, &observed, Stage::Syncing, None);
            if Phase::of(&status).is_terminal() {
                return self.end(&pod, TerminationCause::Completed);
            }
            let wake_at = actions.look_again_after().map(|after| Instant::now() + after);
            if actions.is_empty() && (self.volumes_are_current(&pod) || actions.sandbox == SandboxAction::Nothing) {
                self.publish(&pod, status);
                self.retry.forget(&Retry::Pod);
                self.objects.follow(&pod);
                return Some(self.pause_until(&pod, wake_at));
            }
            let report = self.execute(&pod, &observed, &actions, status).await;
            if let Some(error) = &report.without_devices {
                return self.end_without_devices(&pod, error);
            }
            let (failed, awaits_claim) = (report.failed, report.awaits_claim);
            self.note_resize(&pod, report.resize_error.clone());
            self.absorb(&actions, report);
            if self.is_ending() {
                return None;
            }
            if failed {
                self.objects.follow(&pod);
                if let Some(observed) = self.observe().await {
                    let status = self.compute_status(&pod, &observed, Stage::Syncing, None);
                    self.publish(&pod, status);
                }
                let retry_at = if awaits_claim { Instant::now() + CLAIM_INTERVAL } else { self.retry_at() };
                return Some(match actions.sandbox {
                    // Nothing runs, so nothing the runtime says is worth an earlier attempt, least of all about this one.
                    SandboxAction::Create { .. } => Pause::Undisturbed(retry_at),
                    _ => self.pause_until(&pod, Some(retry_at)),
                });
            }
        }
        warn!(uid = %self.uid, "plans do not come to an end");
        Some(Pause::Until(Instant::now() + RETRY_LADDER.max))
    }

    fn end(&mut self, pod: &Pod, cause: TerminationCause) -> Option<Pause> {
        let grace_seconds = pod::termination_grace_seconds(pod);
        let before = self.lifecycle.clone();
        self.lifecycle = std::mem::replace(&mut self.lifecycle, PodLifecycle::Gone).terminate(cause, grace_seconds);
        self.note_ending(pod, &before);
        None
    }

    /// What was promised when the Pod was let in has broken since, or its plugin refuses.
    fn end_without_devices(&mut self, pod: &Pod, error: &AllocationError) -> Option<Pause> {
        let verdict = admission::not_allocated(error);
        self.context.events.warning(pod, &verdict.reason, admission::event_message(&verdict));
        self.end(pod, TerminationCause::Failed(verdict))
    }

    /// Whether the newest wish is to end the Pod.
    fn is_ending(&self) -> bool {
        wants_end(&self.inbox.borrow())
    }

    async fn observe(&mut self) -> Option<ObservedPod> {
        match observe_pod(&*self.context.runtime, &self.uid).await {
            Ok(mut observed) => {
                self.last_words.add_to(&mut observed);
                Some(observed)
            }
            Err(error) => {
                warn!(uid = %self.uid, %error, "the runtime does not say how the Pod is");
                None
            }
        }
    }

    fn plan(&self, pod: &Pod, observed: &ObservedPod) -> PodActions {
        plan_pod(&PlanInput {
            pod,
            observed,
            backoff: &self.backoff,
            holds: &self.holds,
            probes: &self.prober.results(),
            now: self.context.clock.now(),
        })
    }

    /// Says which containers wait out a back-off: in the status each time, as an Event once per exit.
    fn note_backoffs(&mut self, pod: &Pod, actions: &PodActions, observed: &ObservedPod) {
        self.waiting.retain(|_, waiting| waiting.reason != "CrashLoopBackOff");
        for waiting in &actions.waiting {
            let name = &waiting.name;
            let full_name = pod::full_name(pod);
            let delay = go_duration::format(waiting.wait.delay);
            let message = format!("back-off {delay} restarting failed container={name} pod={full_name}");
            let reason = "CrashLoopBackOff".to_owned();
            self.waiting.insert(name.clone(), Waiting { reason, message });
            let attempt = observed.latest(name).map_or(0, |latest| latest.attempt);
            if self.reported_backoffs.insert(name.clone(), attempt) != Some(attempt) {
                let message = format!("Back-off restarting failed container {name} in pod {full_name}");
                self.context.events.container(pod, name, EventType::Warning, "BackOff", message);
            }
        }
    }

    fn compute_status(&self, pod: &Pod, observed: &ObservedPod, stage: Stage, verdict: Option<&Verdict>) -> PodStatus {
        let mut status = pod_status::pod_status(&StatusInput {
            pod,
            old: &pod_status::latest(pod, self.published.as_ref()),
            observed,
            waiting: &self.waiting,
            probes: &self.prober.results(),
            stage,
            verdict,
            first_seen: self.first_seen,
            host_ips: &self.context.host_ips,
            runtime_name: &self.context.runtime_name,
            now: self.context.clock.now(),
        });
        self.show_resize(&mut status, pod, observed);
        status
    }

    fn publish(&mut self, pod: &Arc<Pod>, status: PodStatus) {
        self.context.history.record_status(pod, self.published.as_ref(), &status);
        self.published = Some(status.clone());
        self.status.publish(pod, status);
    }

    /// Executes a plan; meanwhile publishes the `status` it began with and what changes if it takes long, and cancels it
    /// when the Pod is to end or has been active for too long.
    async fn execute(
        &mut self,
        pod: &Arc<Pod>,
        observed: &ObservedPod,
        actions: &PodActions,
        status: PodStatus,
    ) -> SyncReport {
        let (context, objects) = (Arc::clone(&self.context), Arc::clone(&self.objects));
        let volumes = match self.volumes.as_ref() {
            None => PassVolumes::Missing,
            Some(mounted) if self.volumes_are_current(pod) => PassVolumes::Current(mounted.clone()),
            Some(mounted) => PassVolumes::Outdated(mounted.clone()),
        };
        let cancel = CancellationToken::new();
        let post_starts = PostStarts::default();
        let pass = SyncPass {
            context: &context,
            pod,
            observed,
            actions,
            volumes: &volumes,
            objects: &objects,
            post_starts: &post_starts,
            cancel: &cancel,
        };
        let mut execution = std::pin::pin!(sync_pod(&pass));
        let mut overdue = std::pin::pin!(overdue(Arc::clone(&self.context.clock), deadline(pod, &status)));
        let (first_at, interim_at) = (Instant::now() + FIRST_AFTER, Instant::now() + INTERIM_AFTER);
        let mut first = Some(status);
        let mut inbox = self.inbox.clone();
        loop {
            let ending = async { inbox.wait_for(wants_end).await.is_ok() };
            let woken = async {
                tokio::time::sleep_until(interim_at).await;
                self.wake.notified().await;
            };
            tokio::select! {
                report = &mut execution => return report,
                () = tokio::time::sleep_until(first_at), if first.is_some() => {
                    first.take().into_iter().for_each(|status| self.publish(pod, status));
                }
                () = woken => {
                    if let Some(mut observed) = self.observe().await {
                        post_starts.hide_from(&mut observed);
                        let status = self.compute_status(pod, &observed, Stage::Syncing, None);
                        self.publish(pod, status);
                    }
                }
                true = ending, if !cancel.is_cancelled() => cancel.cancel(),
                () = &mut overdue, if !cancel.is_cancelled() => cancel.cancel(),
            }
        }
    }

    /// Takes over what a pass found out.
    fn absorb(&mut self, actions: &PodActions, report: SyncReport) {
        let now = self.context.clock.now();
        for (container, exit) in &report.restarted {
            self.backoff.restarted(container, exit);
        }
        for start in &actions.start {
            self.waiting.remove(&start.name);
            self.holds.remove(&start.name);
        }
        for name in report.waiting.keys() {
            let stated = report.retry_after.get(name).copied();
            let after = stated.unwrap_or_else(|| self.retry.fail(Retry::Container(name.clone()), now));
            let until = now.checked_add(jiff::SignedDuration::try_from(after).unwrap_or_default()).unwrap_or(now);
            self.holds.insert(name.clone(), until);
        }
        self.waiting.extend(report.waiting);
        if let Some(volumes) = report.volumes {
            self.volumes = Some(volumes);
        }
    }

    /// When to try again after something other than a container failed.
    fn retry_at(&mut self) -> Instant {
        Instant::now() + self.retry.fail(Retry::Pod, self.context.clock.now())
    }

    fn volumes_are_current(&self, pod: &Pod) -> bool {
        let now = self.context.clock.now();
        !self.objects.changed() && self.volumes.as_ref().is_some_and(|volumes| volumes.are_current(pod, now))
    }

    fn retry_pause(&mut self) -> Pause {
        Pause::Until(self.retry_at())
    }

    /// Until the first of what is known to come: a back-off, a token's refresh, the Pod's deadline.
    fn pause_until(&self, pod: &Pod, wake_at: Option<Instant>) -> Pause {
        let now = self.context.clock.now();
        let refresh = self.volumes.as_ref().and_then(|volumes| volumes.refresh_at);
        let times = refresh.into_iter().chain(self.deadline(pod));
        let instants = times.map(|time| Instant::now() + time.duration_since(now).try_into().unwrap_or(Duration::ZERO));
        instants.chain(wake_at).min().map_or(Pause::Forever, Pause::Until)
    }

    fn deadline(&self, pod: &Pod) -> Option<Timestamp> {
        deadline(pod, &pod_status::latest(pod, self.published.as_ref()))
    }

    fn deadline_verdict(&self, pod: &Pod) -> Option<Verdict> {
        let message = "Pod was active on the node longer than the specified deadline".to_owned();
        let over = self.deadline(pod).is_some_and(|deadline| deadline <= self.context.clock.now());
        over.then_some(Verdict { reason: "DeadlineExceeded".into(), message, kind: VerdictKind::Stopped })
    }
}

/// What is tried again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Retry {
    /// Sandbox, volumes, or asking the runtime.
    Pod,
    /// Starting a container.
    Container(String),
}

/// How long to sleep.
#[derive(Debug, Clone, Copy)]
enum Pause {
    Until(Instant),
    /// Whatever the runtime says.
    Undisturbed(Instant),
    Forever,
}

fn wants_end(desired: &Desired) -> bool {
    match desired {
        Desired::Removed(_) | Desired::Failed(..) => true,
        Desired::Pod(pod) => pod.metadata.deletion_timestamp.is_some(),
    }
}

/// Returns once the time has come, whatever happens to the clock; without one, never.
async fn overdue(clock: SharedClock, time: Option<Timestamp>) {
    let Some(time) = time else { return std::future::pending().await };
    while let Ok(left) = Duration::try_from(time.duration_since(clock.now()))
        && !left.is_zero()
    {
        tokio::time::sleep(left).await;
    }
}

/// When the Pod has been active for as long as it may.
fn deadline(pod: &Pod, status: &PodStatus) -> Option<Timestamp> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    let started = status.start_time.as_ref()?.0;
    started.checked_add(jiff::SignedDuration::from_secs(seconds)).ok()
}
