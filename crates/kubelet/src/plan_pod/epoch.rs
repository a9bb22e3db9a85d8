//! Since when a Pod's instances count.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::observed::{ObservedContainer, ObservedPod};
use crate::pod;

/// The time since a Pod started over last: since the newest exit that a rule answers with `RestartAllContainers`.
/// Instances that were made before it are history. A Pod without such an exit has one epoch.
///
/// It is read from what the runtime keeps, so that a restarted kubelet finishes what it began.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Epoch {
    since: Option<Timestamp>,
}

impl Epoch {
    /// The present one.
    pub fn of(pod: &Pod, observed: &ObservedPod) -> Self {
        if !pod::may_restart_all(pod) {
            return Self { since: None };
        }
        let ends = observed.containers.iter().filter_map(|container| {
            let (_, spec) = pod::find_container(pod, &container.name)?;
            let exit = container.exit().filter(|exit| pod::restarts_all(&spec, exit.exit_code))?;
            Some(exit.finished_at)
        });
        Self { since: ends.max() }
    }

    /// Whether the instance was made in it.
    pub fn includes(&self, container: &ObservedContainer) -> bool {
        self.since.is_none_or(|since| container.created_at > since)
    }

    /// Whether the instance's exit is what began it.
    pub fn began_with(&self, container: &ObservedContainer) -> bool {
        self.since.is_some() && container.exit().map(|exit| exit.finished_at) == self.since
    }

    /// Whether something from before it still runs.
    pub fn is_clearing(&self, observed: &ObservedPod) -> bool {
        observed.containers.iter().any(|container| container.is_running() && !self.includes(container))
    }
}
