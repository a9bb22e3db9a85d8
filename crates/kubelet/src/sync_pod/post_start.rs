//! `postStart` hooks: they run beside a container's process, and the container counts as started when they are done.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use client::EventType;
use k8s_openapi::api::core::v1::Container;

use super::{SyncPass, kill};
use crate::hooks::{self, HookError};
use crate::observed::{ContainerState, ObservedPod};

/// The containers, by id, whose hook runs at the moment.
#[derive(Debug, Default)]
pub struct PostStarts(Mutex<BTreeSet<String>>);

impl PostStarts {
    /// Shows containers whose hook has not returned as not started yet.
    pub fn hide_from(&self, observed: &mut ObservedPod) {
        let running = self.ids();
        let hooked = observed.containers.iter_mut().filter(|container| running.contains(&container.id));
        for container in hooked.filter(|container| container.is_running()) {
            container.state = ContainerState::Created;
        }
    }

    fn ids(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs a container's hook, if it has one; a container whose hook fails is killed.
///
/// # Errors
/// The hook's.
pub(super) async fn run(
    pass: &SyncPass<'_>,
    container: &Container,
    id: &str,
    pod_ip: Option<&str>,
) -> Result<(), HookError> {
    let Some(hook) = container.lifecycle.as_ref().and_then(|lifecycle| lifecycle.post_start.as_ref()) else {
        return Ok(());
    };
    let context = pass.context;
    pass.post_starts.ids().insert(id.to_owned());
    let outcome = tokio::select! {
        outcome = hooks::run(&*context.runtime, id, container, hook, pod_ip) => outcome,
        // The Pod ends: whoever ends it stops the container.
        () = pass.cancel.cancelled() => Ok(()),
    };
    if outcome.is_err() {
        // What the hook said may be secret; the container's status says it, for those who may read that.
        let message = "PostStartHook failed";
        context.events.container(pass.pod, &container.name, EventType::Warning, "FailedPostStartHook", message);
        tokio::select! {
            () = kill::kill_after_failed_hook(pass, container, id, pod_ip) => {}
            () = pass.cancel.cancelled() => {}
        }
    }
    pass.post_starts.ids().remove(id);
    outcome
}
