//! The Pod's conditions, with upstream's reasons and messages.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodCondition, PodStatus};

use super::{Phase, StatusInput, VerdictKind, seconds};
use crate::plan_pod::{Epoch, has_usable_sandbox};
use crate::pod::{self, ContainerKind};

/// The conditions this kubelet computes; every other one belongs to somebody else.
const OWNED: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// Stated while a Pod starts over.
const RESTARTING: &str = "AllContainersRestarting";
/// Stated when the kubelet ends a Pod that is in the way; the API server and controllers state it as well.
const DISRUPTION: &str = "DisruptionTarget";

pub(super) fn is_owned(condition: &PodCondition) -> bool {
    let by_kubelet = condition.type_ == DISRUPTION && condition.reason.as_deref() == Some("TerminationByKubelet");
    by_kubelet || condition.type_ == RESTARTING || OWNED.contains(&condition.type_.as_str())
}

/// What a condition says, without its type and times.
struct Finding {
    status: bool,
    reason: Option<&'static str>,
    message: Option<String>,
}

impl Finding {
    const TRUE: Self = Self { status: true, reason: None, message: None };

    fn no(reason: Option<&'static str>, message: Option<String>) -> Self {
        Self { status: false, reason, message }
    }
}

pub(super) fn conditions(
    input: &StatusInput<'_>,
    old: &PodStatus,
    status: &PodStatus,
    phase: Phase,
) -> Vec<PodCondition> {
    let old_conditions = old.conditions.as_deref().unwrap_or_default();
    let usable = has_usable_sandbox(input.pod, input.observed);
    let findings = [
        Finding { status: usable, reason: None, message: None },
        initialized(input, status, phase),
        ready(input, old_conditions, status, phase),
        containers_ready(input, status, phase),
        Finding::TRUE,
    ];
    let optional = [(RESTARTING, restarting(input, phase)), (DISRUPTION, disruption(input))];
    let optional = optional.into_iter().filter_map(|(type_, finding)| Some((type_, finding?)));
    let stated: Vec<PodCondition> = OWNED
        .into_iter()
        .zip(findings)
        .chain(optional)
        .map(|(type_, finding)| condition(input, old_conditions, type_, finding))
        .collect();
    let kept = old_conditions.iter().filter(|old| !stated.iter().any(|condition| condition.type_ == old.type_));
    kept.cloned().chain(stated.iter().cloned()).collect()
}

/// Whether the Pod is being cleared to start over; only of Pods of which that can be true.
fn restarting(input: &StatusInput<'_>, phase: Phase) -> Option<Finding> {
    let done = |reason| Finding::no(reason, None);
    pod::may_restart_all(input.pod).then(|| match phase {
        Phase::Succeeded => done(Some("PodCompleted")),
        Phase::Failed => done(Some("PodFailed")),
        _ if Epoch::of(input.pod, input.observed).is_clearing(input.observed) => Finding {
            status: true,
            reason: Some("RestartAllContainersStarted"),
            message: Some("container exited with restart policy rule".to_owned()),
        },
        _ => done(None),
    })
}

/// That the kubelet ended the Pod for somebody else's sake. Others may say so, too: then it stays as they said.
fn disruption(input: &StatusInput<'_>) -> Option<Finding> {
    let verdict = input.verdict.filter(|verdict| verdict.kind == VerdictKind::Disrupted)?;
    let message = Some(verdict.message.clone());
    Some(Finding { status: true, reason: Some("TerminationByKubelet"), message })
}

fn condition(input: &StatusInput<'_>, old: &[PodCondition], type_: &str, finding: Finding) -> PodCondition {
    let status = if finding.status { "True" } else { "False" };
    let before = old.iter().find(|condition| condition.type_ == type_ && condition.status == status);
    PodCondition {
        type_: type_.to_owned(),
        status: status.to_owned(),
        reason: finding.reason.map(str::to_owned),
        message: finding.message,
        observed_generation: input.pod.metadata.generation,
        last_probe_time: None,
        last_transition_time: before
            .and_then(|condition| condition.last_transition_time.clone())
            .or_else(|| Some(seconds(input.now))),
    }
}

fn initialized(input: &StatusInput<'_>, status: &PodStatus, phase: Phase) -> Finding {
    let statuses = status.init_container_statuses.as_deref().unwrap_or_default();
    let (mut unknown, mut incomplete) = (Vec::new(), Vec::new());
    for container in pod::init_containers(input.pod) {
        match find(statuses, container) {
            None => unknown.push(container.name.as_str()),
            Some(status) => {
                let done = match pod::init_kind(container) {
                    ContainerKind::Sidecar => status.started == Some(true),
                    _ => status.ready,
                };
                if !done {
                    incomplete.push(container.name.as_str());
                }
            }
        }
    }
    if phase == Phase::Succeeded && unknown.is_empty() {
        return Finding { reason: Some("PodCompleted"), ..Finding::TRUE };
    }
    if status.container_statuses.iter().flatten().any(has_started) {
        return Finding::TRUE;
    }
    match describe(&[("unknown", &unknown), ("incomplete", &incomplete)]) {
        Some(message) => Finding::no(Some("ContainersNotInitialized"), Some(message)),
        None => Finding::TRUE,
    }
}

fn containers_ready(input: &StatusInput<'_>, status: &PodStatus, phase: Phase) -> Finding {
    let sidecars = pod::init_containers(input.pod)
        .iter()
        .filter(|container| pod::init_kind(container) == ContainerKind::Sidecar)
        .map(|container| (container, status.init_container_statuses.as_deref().unwrap_or_default()));
    let regular = pod::containers(input.pod)
        .iter()
        .map(|container| (container, status.container_statuses.as_deref().unwrap_or_default()));
    let (mut unknown, mut unready) = (Vec::new(), Vec::new());
    for (container, statuses) in sidecars.chain(regular) {
        match find(statuses, container) {
            None => unknown.push(container.name.as_str()),
            Some(status) if !status.ready => unready.push(container.name.as_str()),
            Some(_) => {}
        }
    }
    match phase {
        Phase::Succeeded if unknown.is_empty() => return Finding::no(Some("PodCompleted"), None),
        Phase::Failed => return Finding::no(Some("PodFailed"), None),
        _ => {}
    }
    match describe(&[("unknown", &unknown), ("unready", &unready)]) {
        Some(message) => Finding::no(Some("ContainersNotReady"), Some(message)),
        None => Finding::TRUE,
    }
}

fn ready(input: &StatusInput<'_>, old: &[PodCondition], status: &PodStatus, phase: Phase) -> Finding {
    let containers_ready = containers_ready(input, status, phase);
    if !containers_ready.status {
        return containers_ready;
    }
    let gates = input.pod.spec.as_ref().and_then(|spec| spec.readiness_gates.as_deref()).unwrap_or_default();
    let unmet: Vec<String> = gates.iter().filter_map(|gate| unmet_gate(old, &gate.condition_type)).collect();
    if unmet.is_empty() { Finding::TRUE } else { Finding::no(Some("ReadinessGatesNotReady"), Some(unmet.join(", "))) }
}

fn unmet_gate(conditions: &[PodCondition], gate: &str) -> Option<String> {
    match conditions.iter().find(|condition| condition.type_ == gate) {
        None => Some(format!("corresponding condition of pod readiness gate \"{gate}\" does not exist.")),
        Some(condition) if condition.status != "True" => {
            Some(format!("the status of pod readiness gate \"{gate}\" is not \"True\", but {}", condition.status))
        }
        Some(_) => None,
    }
}

fn find<'a>(statuses: &'a [ContainerStatus], container: &Container) -> Option<&'a ContainerStatus> {
    statuses.iter().find(|status| status.name == container.name)
}

/// Whether the container ever ran.
fn has_started(status: &ContainerStatus) -> bool {
    let ended = |state: &k8s_openapi::api::core::v1::ContainerState| state.terminated.is_some();
    status.started == Some(true)
        || status.state.as_ref().is_some_and(|state| state.running.is_some() || ended(state))
        || status.last_state.as_ref().is_some_and(ended)
}

/// `containers with unready status: [a b], ...`, or nothing if all lists are empty.
fn describe(lists: &[(&str, &Vec<&str>)]) -> Option<String> {
    let parts: Vec<String> = lists
        .iter()
        .filter(|(_, names)| !names.is_empty())
        .map(|(word, names)| format!("containers with {word} status: [{}]", names.join(" ")))
        .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
