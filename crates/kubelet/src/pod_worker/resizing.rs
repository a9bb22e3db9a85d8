//! Bringing a Pod's containers after what is allocated to it.

use k8s_openapi::api::core::v1::{Pod, PodStatus};

use super::PodWorker;
use crate::allocation::{self, Shown};
use crate::observed::ObservedPod;
use crate::plan_pod::PodActions;

impl PodWorker {
    /// Adds what the allocation asks for to a plan. Says so once when nothing is left to do.
    pub(super) fn plan_resize(&self, pod: &Pod, observed: &ObservedPod, actions: &mut PodActions) {
        let allocations = &self.context.allocations;
        let follow = allocation::plan_follow(
            pod,
            observed,
            &allocations.actuated(&self.uid),
            allocations.actuated_pod(&self.uid),
        );
        if follow.is_done() {
            allocations.set_pod_actuated(&self.uid);
            if allocations.progress(&self.uid).in_progress {
                allocations.set_progress(&self.uid, false, None);
                let message = format!("Pod resize completed: {}", allocation::summary(pod, None));
                self.context.events.normal(pod, "ResizeCompleted", message);
            }
            return;
        }
        let doomed = |id: &String| actions.kill.iter().any(|kill| kill.id == *id);
        let update: Vec<_> = follow.update.into_iter().filter(|update| !doomed(&update.id)).collect();
        let kill: Vec<_> = follow.kill.into_iter().filter(|kill| !doomed(&kill.id)).collect();
        actions.update = update;
        actions.update_pod = follow.pod_from;
        actions.kill.extend(kill);
    }

    /// Takes over how a pass went. An error is told once.
    pub(super) fn note_resize(&self, pod: &Pod, error: Option<String>) {
        let allocations = &self.context.allocations;
        let before = allocations.progress(&self.uid);
        if before.error == error {
            return;
        }
        allocations.set_progress(&self.uid, before.in_progress || error.is_some(), error.clone());
        if let Some(error) = error {
            let message = format!("Pod resize error: {}", allocation::summary(pod, Some(&error)));
            self.context.events.warning(pod, "ResizeError", message);
        }
    }

    pub(super) fn show_resize(&self, status: &mut PodStatus, pod: &Pod, observed: &ObservedPod) {
        let allocations = &self.context.allocations;
        let (progress, actuated) = (allocations.progress(&self.uid), allocations.actuated(&self.uid));
        let actuated_pod = allocations.actuated_pod(&self.uid);
        let shown = Shown { progress: &progress, actuated_pod: actuated_pod.as_ref(), now: self.context.clock.now() };
        allocation::show(status, pod, observed, &actuated, shown);
    }
}
