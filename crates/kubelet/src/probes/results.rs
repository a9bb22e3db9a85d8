//! What the probes of one Pod's containers found, as a value: plans and status read it.

use std::collections::{HashMap, HashSet};

use k8s_openapi::api::core::v1::{Container, Pod};

use crate::observed::ObservedPod;

/// The three probes a container can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ProbeKind {
    /// Has it started?
    Startup,
    /// Should it get traffic?
    Readiness,
    /// Does it live?
    Liveness,
}

impl ProbeKind {
    /// The word in events.
    pub fn title(self) -> &'static str {
        match self {
            Self::Startup => "Startup",
            Self::Readiness => "Readiness",
            Self::Liveness => "Liveness",
        }
    }
}

/// Which probe a container is killed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeFailure {
    /// The liveness probe failed often enough.
    Liveness,
    /// The startup probe failed often enough.
    Startup,
}

/// Settled outcomes (thresholds applied) by container id.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProbeResults {
    outcomes: HashMap<(String, ProbeKind), bool>,
    /// Instances whose outcomes were found by an earlier kubelet.
    adopted: HashSet<String>,
}

impl ProbeResults {
    /// Takes over what the Pod's status says of the instances that still run.
    pub(super) fn adopt(&mut self, pod: &Pod, observed: &ObservedPod) {
        let status = pod.status.as_ref();
        let regular = status.and_then(|status| status.container_statuses.as_ref()).into_iter().flatten();
        let init = status.and_then(|status| status.init_container_statuses.as_ref()).into_iter().flatten();
        for status in regular.chain(init).filter(|status| status.started == Some(true)) {
            let id = status.container_id.as_deref().and_then(|id| id.split_once("://"));
            let Some((_, id)) = id.filter(|(_, id)| observed.latest(&status.name).is_some_and(|it| it.id == *id))
            else {
                continue;
            };
            self.adopted.insert(id.to_owned());
            self.record(id, ProbeKind::Startup, true);
            if status.ready {
                self.record(id, ProbeKind::Readiness, true);
            }
        }
    }

    /// Whether an earlier kubelet had probed the instance.
    pub(super) fn is_adopted(&self, container_id: &str) -> bool {
        self.adopted.contains(container_id)
    }

    /// Records an outcome; answers whether it is news.
    pub fn record(&mut self, container_id: &str, kind: ProbeKind, success: bool) -> bool {
        self.outcomes.insert((container_id.to_owned(), kind), success) != Some(success)
    }

    /// Forgets containers other than those for which `keep` holds.
    pub fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.outcomes.retain(|(id, _), _| keep(id));
        self.adopted.retain(|id| keep(id));
    }

    /// Whether a running container has started: it has no startup probe, or that succeeded.
    pub fn is_started(&self, container: &Container, container_id: &str) -> bool {
        container.startup_probe.is_none() || self.outcome(container_id, ProbeKind::Startup) == Some(true)
    }

    /// Whether a running container is ready: started, and it has no readiness probe or that succeeded.
    pub fn is_ready(&self, container: &Container, container_id: &str) -> bool {
        let readiness = self.outcome(container_id, ProbeKind::Readiness);
        self.is_started(container, container_id) && (container.readiness_probe.is_none() || readiness == Some(true))
    }

    /// The probe for which a running container has to be killed.
    pub fn failure(&self, container_id: &str) -> Option<ProbeFailure> {
        if self.outcome(container_id, ProbeKind::Liveness) == Some(false) {
            Some(ProbeFailure::Liveness)
        } else if self.outcome(container_id, ProbeKind::Startup) == Some(false) {
            Some(ProbeFailure::Startup)
        } else {
            None
        }
    }

    fn outcome(&self, container_id: &str, kind: ProbeKind) -> Option<bool> {
        self.outcomes.get(&(container_id.to_owned(), kind)).copied()
    }
}
