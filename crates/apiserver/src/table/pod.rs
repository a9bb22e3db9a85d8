//! Columns of Pods. The status column sums up phase, conditions and the states of all containers in one word.

use std::cmp::max;

use api::k8s_openapi::api::core::v1::{ContainerStateTerminated, ContainerStatus, Pod, PodSpec, PodStatus};
use jiff::Timestamp;

use super::{AGE, Columns, NAME, Row, age, column, descriptions, name, or_none, typed, wide};

pub(super) static COLUMNS: Columns = Columns {
    definitions: &[
        NAME,
        column("Ready", "The aggregate readiness state of this pod for accepting traffic."),
        column("Status", "The aggregate status of the containers in this pod."),
        column(
            "Restarts",
            "The number of times the containers in this pod have been restarted and when the last container in this \
             pod has restarted.",
        ),
        AGE,
        wide("IP", descriptions::POD_STATUS_POD_IP),
        wide("Node", descriptions::POD_SPEC_NODE_NAME),
        wide("Nominated Node", descriptions::POD_STATUS_NOMINATED_NODE_NAME),
        wide("Readiness Gates", descriptions::POD_SPEC_READINESS_GATES),
    ],
    row: |object, now| {
        let pod = typed::<Pod>(object);
        let (spec, status) = (pod.spec.as_ref(), pod.status.as_ref());
        let summary = Summary::of(pod);
        let ips = status.and_then(|status| status.pod_ips.as_deref()).unwrap_or_default();
        let cells = vec![
            name(object),
            format!("{}/{}", summary.ready, summary.total).into(),
            summary.reason.as_str().into(),
            summary.restarts(now).into(),
            age(object, now),
            or_none(ips.first().map(|ip| ip.ip.as_str())),
            or_none(spec.and_then(|spec| spec.node_name.as_deref())),
            or_none(status.and_then(|status| status.nominated_node_name.as_deref())),
            or_none(readiness_gates(pod).as_deref()),
        ];
        let completed = match status.and_then(|status| status.phase.as_deref()) {
            Some("Succeeded") => Some(("Succeeded", "The pod has completed successfully.")),
            Some("Failed") => Some(("Failed", "The pod failed.")),
            _ => None,
        };
        Row { cells, completed }
    },
};

/// A Pod in a few words.
#[derive(Debug, Default, PartialEq, Eq)]
struct Summary {
    /// Containers that are ready, sidecars included.
    ready: usize,
    /// Containers and sidecars.
    total: usize,
    reason: String,
    restarts: i32,
    last_restart: Option<Timestamp>,
}

impl Summary {
    fn of(pod: &Pod) -> Self {
        let (no_spec, no_status) = (PodSpec::default(), PodStatus::default());
        let (spec, status) = (pod.spec.as_ref().unwrap_or(&no_spec), pod.status.as_ref().unwrap_or(&no_status));
        let sidecars =
            spec.init_containers.iter().flatten().filter(|container| is_always(container.restart_policy.as_deref()));
        let mut summary = Self {
            total: spec.containers.len() + sidecars.count(),
            reason: phase_or_reason(status),
            ..Self::default()
        };
        let initializing = summary.add_init_containers(spec, status);
        if !initializing || has_condition(status, "Initialized") {
            summary.add_containers(spec, status);
        }
        let phase = status.phase.as_deref().unwrap_or_default();
        if pod.metadata.deletion_timestamp.is_some() {
            if status.reason.as_deref() == Some("NodeLost") {
                summary.reason = "Unknown".to_owned();
            } else if !matches!(phase, "Succeeded" | "Failed") {
                summary.reason = "Terminating".to_owned();
            }
        }
        summary
    }

    /// Takes the init containers in order up to the first that is not done. Returns whether there is such a one.
    fn add_init_containers(&mut self, spec: &PodSpec, status: &PodStatus) -> bool {
        let total = spec.init_containers.as_ref().map_or(0, Vec::len);
        for (index, container) in status.init_container_statuses.iter().flatten().enumerate() {
            self.restarts += container.restart_count;
            self.last_restart = max(self.last_restart, last_end(container));
            let state = container.state.clone().unwrap_or_default();
            let waiting = state.waiting.and_then(|waiting| waiting.reason).filter(|reason| !reason.is_empty());
            self.reason = match (state.terminated, waiting) {
                (Some(ended), _) if ended.exit_code == 0 => continue,
                _ if is_sidecar(spec, &container.name) && container.started == Some(true) => {
                    self.ready += usize::from(container.ready);
                    continue;
                }
                (Some(ended), _) => format!("Init:{}", end_reason(&ended)),
                (None, Some(reason)) if reason != "PodInitializing" => format!("Init:{reason}"),
                _ => format!("Init:{index}/{total}"),
            };
            return true;
        }
        false
    }

    /// Takes the containers, and forgets the restarts of init containers that are done.
    fn add_containers(&mut self, spec: &PodSpec, status: &PodStatus) {
        let statuses = status.init_container_statuses.iter().flatten();
        let sidecars: Vec<_> = statuses.filter(|container| is_sidecar(spec, &container.name)).collect();
        self.restarts = sidecars.iter().map(|container| container.restart_count).sum();
        self.last_restart = sidecars.iter().filter_map(|container| last_end(container)).max();
        let mut running = false;
        for container in status.container_statuses.iter().flatten().rev() {
            self.restarts += container.restart_count;
            self.last_restart = max(self.last_restart, last_end(container));
            let state = container.state.clone().unwrap_or_default();
            let waiting = state.waiting.and_then(|waiting| waiting.reason).filter(|reason| !reason.is_empty());
            if let Some(reason) = waiting {
                self.reason = reason;
            } else if let Some(ended) = state.terminated {
                self.reason = end_reason(&ended);
            } else if container.ready && state.running.is_some() {
                running = true;
                self.ready += 1;
            }
        }
        // A Pod of which one container is done and another one runs is not completed.
        if self.reason == "Completed" && running {
            let ready = has_condition(status, "Ready");
            self.reason = if ready { "Running".to_owned() } else { "NotReady".to_owned() };
        }
    }

    fn restarts(&self, now: Timestamp) -> String {
        match self.last_restart {
            Some(last) if self.restarts != 0 => format!("{} ({} ago)", self.restarts, age::since(Some(last), now)),
            _ => self.restarts.to_string(),
        }
    }
}

fn phase_or_reason(status: &PodStatus) -> String {
    let gated =
        status.conditions.iter().flatten().any(|condition| {
            condition.type_ == "PodScheduled" && condition.reason.as_deref() == Some("SchedulingGated")
        });
    if gated {
        return "SchedulingGated".to_owned();
    }
    let reason = status.reason.as_deref().filter(|reason| !reason.is_empty());
    reason.or(status.phase.as_deref()).unwrap_or_default().to_owned()
}

fn end_reason(ended: &ContainerStateTerminated) -> String {
    match (ended.reason.as_deref(), ended.signal) {
        (Some(reason), _) if !reason.is_empty() => reason.to_owned(),
        (_, Some(signal)) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", ended.exit_code),
    }
}

fn last_end(container: &ContainerStatus) -> Option<Timestamp> {
    container.last_state.as_ref()?.terminated.as_ref()?.finished_at.as_ref().map(|time| time.0)
}

fn is_always(restart_policy: Option<&str>) -> bool {
    restart_policy == Some("Always")
}

/// Whether an init container runs beside the containers.
fn is_sidecar(spec: &PodSpec, name: &str) -> bool {
    let containers = spec.init_containers.iter().flatten();
    containers
        .filter(|container| container.name == name)
        .any(|container| is_always(container.restart_policy.as_deref()))
}

fn has_condition(status: &PodStatus, kind: &str) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.any(|condition| condition.type_ == kind && condition.status == "True")
}

/// How many of the readiness gates are open, such as `1/2`.
fn readiness_gates(pod: &Pod) -> Option<String> {
    let gates = pod.spec.as_ref()?.readiness_gates.as_deref().filter(|gates| !gates.is_empty())?;
    let open = |kind: &str| pod.status.as_ref().is_some_and(|status| has_condition(status, kind));
    Some(format!("{}/{}", gates.iter().filter(|gate| open(&gate.condition_type)).count(), gates.len()))
}
