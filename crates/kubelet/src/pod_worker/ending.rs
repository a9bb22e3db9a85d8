//! The end of a Pod: containers stop, resources are given back, and last of all its object goes.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{ContainerStatus, Pod, PodStatus};
use tokio::time::Instant;
use tracing::{info, warn};

use super::{Pause, PodWorker, RETRY_LADDER};
use crate::history::Transition;
use crate::observed::ObservedPod;
use crate::pod;
use crate::pod_lifecycle::{PodLifecycle, Termination, TerminationCause};
use crate::pod_status::Stage;
use crate::sync_pod::stop_pod;
use crate::volumes;

impl PodWorker {
    /// Stops everything that runs and gives back what it used. A shorter grace period takes effect at once.
    pub(super) async fn terminate(&mut self) -> Option<Pause> {
        let PodLifecycle::Terminating(termination) = self.lifecycle.clone() else { return None };
        self.prober.only_readiness();
        let pod = self.pod();
        let Some(observed) = self.observe().await else { return Some(self.retry_pause()) };
        info!(pod = pod::full_name(&pod), cause = ?termination.cause, grace = termination.grace_seconds, "ending Pod");
        if termination.cause != TerminationCause::ObjectGone {
            let status = self.ending_status(&pod, &observed, Stage::Terminating, &termination);
            self.publish(&pod, status);
        }
        let context = Arc::clone(&self.context);
        let mut stopping = std::pin::pin!(stop_pod(&context, &pod, &observed, termination.grace_seconds));
        loop {
            tokio::select! {
                stopped = &mut stopping => match stopped {
                    Ok(()) => break,
                    Err(error) => {
                        context.events.warning(&pod, "FailedKillPod", format!("error killing pod: {error}"));
                        return Some(self.retry_pause());
                    }
                },
                () = self.shorter_grace(&termination) => return None,
                () = self.wake.notified() => self.note_readiness(&pod, &termination).await,
            }
        }
        self.prober.forget_gone(&ObservedPod::default());
        self.context.history.record(&pod, Transition::Stopped);
        // Exit codes are known now; removing the containers forgets them.
        let Some(observed) = self.observe().await else { return Some(self.retry_pause()) };
        let status = self.ending_status(&pod, &observed, Stage::Ended, &termination);
        if !termination.cause.is_removal() {
            self.publish(&pod, status);
            if let Err(pause) = self.release(&pod, false).await {
                return Some(pause);
            }
            self.context.history.record(&pod, Transition::Released);
            self.let_go();
            self.lifecycle = std::mem::replace(&mut self.lifecycle, PodLifecycle::Gone).stopped();
            return None;
        }
        self.remove_all(&pod, &observed, status, &termination).await
    }

    /// Publishes that a Pod is not ready any more, or ready again, while its containers are being stopped.
    async fn note_readiness(&mut self, pod: &Arc<Pod>, termination: &Termination) {
        if termination.cause == TerminationCause::ObjectGone {
            return;
        }
        let Some(observed) = self.observe().await else { return };
        self.prober.forget_gone(&observed);
        let status = self.ending_status(pod, &observed, Stage::Terminating, termination);
        // What has ended meanwhile is told when everything has.
        if flipped(self.published.as_ref(), &status) {
            self.publish(pod, status);
        }
    }

    /// Removes what a Pod that ended before left.
    pub(super) async fn remove(&mut self) -> Option<Pause> {
        let PodLifecycle::Terminated(termination) = self.lifecycle.clone() else { return None };
        let pod = self.pod();
        let Some(observed) = self.observe().await else { return Some(self.retry_pause()) };
        let status = self.ending_status(&pod, &observed, Stage::Ended, &termination);
        self.remove_all(&pod, &observed, status, &termination).await
    }

    async fn remove_all(
        &mut self,
        pod: &Arc<Pod>,
        observed: &ObservedPod,
        status: PodStatus,
        termination: &Termination,
    ) -> Option<Pause> {
        self.context.history.record_status(pod, self.published.as_ref(), &status);
        self.published = Some(status.clone());
        for sandbox in &observed.sandboxes {
            if let Err(error) = self.context.runtime.remove_pod_sandbox(&sandbox.id).await {
                warn!(pod = pod::full_name(pod), sandbox = sandbox.id, %error, "sandbox not removed, will try again");
                return Some(self.retry_pause());
            }
        }
        if let Err(pause) = self.release(pod, true).await {
            return Some(pause);
        }
        if matches!(self.lifecycle, PodLifecycle::Terminating(_)) {
            self.context.history.record(pod, Transition::Released);
        }
        if termination.cause != TerminationCause::ObjectGone {
            self.status.delete(pod, status).await;
        }
        self.note_removal(pod, observed).await;
        self.remove_logs(pod).await;
        self.context.images.forget_pod(pod);
        self.lifecycle = PodLifecycle::Gone;
        None
    }

    fn ending_status(&self, pod: &Pod, observed: &ObservedPod, stage: Stage, termination: &Termination) -> PodStatus {
        let verdict = match &termination.cause {
            TerminationCause::Failed(verdict) => Some(verdict),
            _ => None,
        };
        self.compute_status(pod, observed, stage, verdict)
    }

    /// Returns when the Pod is to end sooner, or for a weightier reason.
    async fn shorter_grace(&self, termination: &Termination) {
        let mut inbox = self.inbox.clone();
        let state = PodLifecycle::Terminating(termination.clone());
        // An error means the sync loop is gone: then nothing will ever be shorter.
        if inbox.wait_for(|desired| state.clone().desire(desired) != state).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Unmounts volumes and removes the cgroup; with `everything` the Pod's directory as well.
    async fn release(&mut self, pod: &Arc<Pod>, everything: bool) -> Result<(), Pause> {
        let context = Arc::clone(&self.context);
        let (pod_dir, cgroups) = (context.pod_dir(&self.uid), context.cgroups(pod));
        let released = tokio::task::spawn_blocking(move || {
            if everything {
                volumes::tear_down(&*context.host, &pod_dir)?;
            } else {
                volumes::tear_down(&*context.host, &pod_dir.join("volume-subpaths"))?;
                volumes::tear_down(&*context.host, &pod_dir.join("volumes"))?;
            }
            cgroups.iter().try_for_each(|cgroup| context.host.remove_cgroup(cgroup))
        });
        self.volumes = None;
        match released.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => {
                warn!(pod = pod::full_name(pod), %error, "Pod's volumes or cgroup not released, will try again");
                Err(self.retry_pause())
            }
            Err(_) => Err(Pause::Until(Instant::now() + RETRY_LADDER.max)),
        }
    }

    async fn remove_logs(&self, pod: &Pod) {
        let directory = self.context.log_dir(pod);
        match tokio::task::spawn_blocking(move || std::fs::remove_dir_all(directory)).await {
            Ok(Err(error)) if error.kind() != std::io::ErrorKind::NotFound => {
                warn!(pod = pod::full_name(pod), %error, "logs not removed");
            }
            _ => {}
        }
    }
}

/// Whether a container that runs is said to be ready now and was not before, or the other way round.
fn flipped(published: Option<&PodStatus>, status: &PodStatus) -> bool {
    let statuses = |status: &PodStatus| status.container_statuses.clone().unwrap_or_default();
    let before = published.map(statuses).unwrap_or_default();
    let runs = |one: &ContainerStatus| one.state.as_ref().is_some_and(|state| state.running.is_some());
    let was_ready = |name: &str| before.iter().find(|one| one.name == name).is_some_and(|one| one.ready);
    statuses(status).iter().any(|one| runs(one) && one.ready != was_ready(&one.name))
}
