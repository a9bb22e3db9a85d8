//! Which of a Pod's instances count.

use k8s_openapi::api::core::v1::Pod;

use crate::observed::{ObservedContainer, ObservedPod};
use crate::pod;

/// How often a Pod started over as a whole, because a rule answered an exit with `RestartAllContainers`. Every instance
/// carries the number it was planned under; those of an earlier one are history.
///
/// It is read from what the runtime keeps, so that a restarted kubelet finishes what it began; an instance that was
/// planned before the exit was seen belongs to the past, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Epoch(pub u32);

impl Epoch {
    /// The present one.
    pub fn of(pod: &Pod, observed: &ObservedPod) -> Self {
        if !pod::may_restart_all(pod) {
            return observed.containers.iter().map(|container| container.epoch).max().unwrap_or_default();
        }
        let epochs = observed.containers.iter().map(|container| {
            let spec = pod::find_container(pod, &container.name).map(|(_, spec)| spec);
            let ended_it =
                container.exit().zip(spec).is_some_and(|(exit, spec)| pod::restarts_all(&spec, exit.exit_code));
            Self(container.epoch.0 + u32::from(ended_it))
        });
        epochs.max().unwrap_or_default()
    }

    /// Whether the instance belongs to it.
    pub fn includes(self, container: &ObservedContainer) -> bool {
        container.epoch == self
    }

    /// Whether something from before it still runs.
    pub fn is_clearing(self, observed: &ObservedPod) -> bool {
        observed.containers.iter().any(|container| container.is_running() && !self.includes(container))
    }
}
