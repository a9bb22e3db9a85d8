//! What the worker itself tells the history: the rest is in Events and statuses.

use k8s_openapi::api::core::v1::Pod;

use super::PodWorker;
use crate::history::Transition;
use crate::observed::ObservedPod;
use crate::pod_lifecycle::{PodLifecycle, TerminationCause};
use crate::server::logs;

/// How much of each container's log outlives it.
const LAST_LINES: usize = 20;
const LAST_BYTES: usize = 2048;

impl PodWorker {
    /// The worker looks after the Pod from now on.
    pub(super) fn note_adoption(&mut self) {
        let pod = self.pod();
        self.generation = pod.metadata.generation.unwrap_or_default();
        self.context.history.record(&pod, Transition::Adopted { generation: self.generation });
    }

    /// What was newly asked for, compared with the state `before` it was.
    pub(super) fn note_desire(&mut self, before: &PodLifecycle) {
        let pod = self.pod();
        if let Some(generation) = pod.metadata.generation.filter(|generation| *generation > self.generation) {
            self.generation = generation;
            // Being deleted counts as a change, too, and is told as such.
            if pod.metadata.deletion_timestamp.is_none() {
                self.context.history.record(&pod, Transition::Spec { generation });
            }
        }
        self.note_ending(&pod, before);
    }

    /// A Pod that begins to end, or is to end sooner than it was.
    pub(super) fn note_ending(&self, pod: &Pod, before: &PodLifecycle) {
        let (termination, grace_seconds) = match &self.lifecycle {
            _ if *before == self.lifecycle => return,
            PodLifecycle::Terminating(termination) => (termination, termination.grace_seconds),
            // Nothing of it runs any more that would need time.
            PodLifecycle::Terminated(termination) => (termination, 0),
            PodLifecycle::Syncing | PodLifecycle::Gone => return,
        };
        let cause = match &termination.cause {
            TerminationCause::Completed => "all containers ended".to_owned(),
            TerminationCause::Failed(verdict) => format!("{}: {}", verdict.reason, verdict.message),
            TerminationCause::Deleted => "deletion was asked for".to_owned(),
            TerminationCause::ObjectGone => "the object is gone".to_owned(),
        };
        self.context.history.record(pod, Transition::Ending { cause, grace_seconds });
    }

    /// The last thing to note: what each container said at the end, before its log goes.
    pub(super) async fn note_removal(&self, pod: &Pod, observed: &ObservedPod) {
        let latest =
            observed.containers.iter().filter(|one| observed.latest(&one.name).is_some_and(|l| l.id == one.id));
        let mut logs: Vec<_> = latest.map(|one| (one.name.clone(), std::path::PathBuf::from(&one.log_path))).collect();
        logs.reverse();
        let read = move || {
            let tails = logs.into_iter().map(|(name, path)| (name, logs::last_lines(&path, LAST_LINES, LAST_BYTES)));
            tails.filter(|(_, text)| !text.is_empty()).collect::<Vec<_>>()
        };
        for (container, text) in tokio::task::spawn_blocking(read).await.unwrap_or_default() {
            self.context.history.record(pod, Transition::LastLines { container, text });
        }
        self.context.history.record(pod, Transition::Removed);
    }
}
