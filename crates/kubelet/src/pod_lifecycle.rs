//! A Pod's life on this node.
//!
//! ```text
//!             containers are started and restarted
//!   ┌─────────┐   deletion asked for · object vanished · all containers ended    ┌─────────────┐
//!   │ Syncing │ ───────────── · deadline passed · never wanted ────────────────▶ │ Terminating │
//!   └─────────┘                                                                  └──────┬──────┘
//!                                          nothing of it runs any more                  │
//!   ┌──────┐   deletion asked for · object vanished   ┌────────────┐                    │
//!   │ Gone │ ◀─────────────────────────────────────── │ Terminated │ ◀──────────────────┘
//!   └──────┘       everything of it is removed        └────────────┘
//! ```
//!
//! There is no way back: a Pod that ends never runs again under its UID. In Terminated its status is final, volumes
//! and cgroups are gone, and dead containers stay for their logs until the object is deleted. A grace period may
//! only get shorter.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Pod;

use crate::pod;
use crate::pod_status::Verdict;

#[cfg(test)]
mod tests;

/// What the API wants of a Pod.
#[derive(Debug, Clone)]
pub enum Desired {
    /// This Pod, or its end if it has a deletion timestamp.
    Pod(Arc<Pod>),
    /// The Pod's end, for the kubelet decided so: it was not let in, or had to make way.
    Failed(Arc<Pod>, Failure),
    /// Nothing: the object is gone. What it was last, if it was ever seen.
    Removed(Arc<Pod>),
}

impl Desired {
    /// The Pod as last seen.
    pub fn pod(&self) -> &Arc<Pod> {
        match self {
            Self::Pod(pod) | Self::Failed(pod, _) | Self::Removed(pod) => pod,
        }
    }

    /// This, after what was wanted before: a Pod the kubelet ends does not come back with its next update, and a Pod
    /// whose object is gone stays gone.
    #[must_use]
    pub fn after(self, before: &Self) -> Self {
        match (self, before) {
            (Self::Pod(pod), Self::Failed(_, failure)) => Self::Failed(pod, failure.clone()),
            (Self::Failed(pod, _), Self::Removed(_)) => Self::Removed(pod),
            // The first reason is the one that counts.
            (Self::Failed(pod, _), Self::Failed(_, failure)) => Self::Failed(pod, failure.clone()),
            (desired, _) => desired,
        }
    }
}

/// A Pod's end as the kubelet decided it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What the status will say.
    pub verdict: Verdict,
    /// The seconds its containers have; without, the Pod's own grace period.
    pub grace_seconds: Option<i64>,
}

/// Where a Pod stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PodLifecycle {
    /// It is to run.
    Syncing,
    /// Its containers are being stopped.
    Terminating(Termination),
    /// Nothing of it runs; it may still have an object.
    Terminated(Termination),
    /// Nothing of it is left.
    Gone,
}

/// How a Pod ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Termination {
    /// Why.
    pub cause: TerminationCause,
    /// Seconds its containers have from the first signal to the last, at least 1.
    pub grace_seconds: i64,
}

/// Why a Pod ends. Later causes outrank earlier ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TerminationCause {
    /// Its containers ended by themselves.
    Completed,
    /// The kubelet ended it, and its status says why.
    Failed(Verdict),
    /// Its object has a deletion timestamp.
    Deleted,
    /// Its object is gone.
    ObjectGone,
}

impl TerminationCause {
    fn rank(&self) -> u8 {
        match self {
            Self::Completed => 0,
            Self::Failed(_) => 1,
            Self::Deleted => 2,
            Self::ObjectGone => 3,
        }
    }

    /// Whether the object is, or is to be, deleted.
    pub fn is_removal(&self) -> bool {
        matches!(self, Self::Deleted | Self::ObjectGone)
    }
}

impl PodLifecycle {
    /// The state after hearing what the API wants.
    #[must_use]
    pub fn desire(self, desired: &Desired) -> Self {
        match desired {
            Desired::Removed(pod) => {
                // Forced: the object's own grace period if it still had one, else the shortest.
                let grace_seconds = pod.metadata.deletion_grace_period_seconds.unwrap_or(0).max(1);
                self.terminate(TerminationCause::ObjectGone, grace_seconds)
            }
            Desired::Pod(pod) if pod.metadata.deletion_timestamp.is_some() => {
                self.terminate(TerminationCause::Deleted, pod::termination_grace_seconds(pod))
            }
            Desired::Failed(pod, failure) => {
                let deleted = pod.metadata.deletion_timestamp.is_some();
                let own = pod::termination_grace_seconds(pod);
                let state = match deleted {
                    true => self.terminate(TerminationCause::Deleted, own),
                    false => self,
                };
                let grace_seconds = failure.grace_seconds.map_or(own, |seconds| seconds.max(1));
                state.terminate(TerminationCause::Failed(failure.verdict.clone()), grace_seconds)
            }
            Desired::Pod(_) => self,
        }
    }

    /// The state after a reason to end came up.
    #[must_use]
    pub fn terminate(self, cause: TerminationCause, grace_seconds: i64) -> Self {
        let merge = |old: Termination| Termination {
            grace_seconds: old.grace_seconds.min(grace_seconds),
            cause: if cause.rank() > old.cause.rank() { cause.clone() } else { old.cause },
        };
        match self {
            Self::Syncing => Self::Terminating(Termination { cause, grace_seconds }),
            Self::Terminating(old) => Self::Terminating(merge(old)),
            Self::Terminated(old) => Self::Terminated(merge(old)),
            Self::Gone => Self::Gone,
        }
    }

    /// The state after the last container stopped and its resources were given back.
    #[must_use]
    pub fn stopped(self) -> Self {
        match self {
            Self::Terminating(termination) => Self::Terminated(termination),
            other => other,
        }
    }
}
