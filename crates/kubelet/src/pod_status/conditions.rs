//! The Pod's conditions, with upstream's reasons and messages.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, PodCondition, PodStatus};

use super::{Phase, StatusInput, VerdictKind, seconds};
use crate::plan_pod::has_usable_sandbox;
use crate::pod::{self, ContainerKind};

/// The conditions this kubelet computes; every other one belongs to somebody else.
const OWNED: [&str; 5] = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"];

/// Set by whoever makes a Pod go before its time; by this kubelet, too.
const DISRUPTION_TARGET: &str = "DisruptionTarget";

pub(super) fn is_owned(condition: &PodCondition) -> bool {
    OWNED.contains(&condition.type_.as_str())
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
    let owned =
        OWNED.into_iter().zip(findings).map(|(type_, finding)| condition(input, old_conditions, type_, finding));
    let foreign = old_conditions.iter().filter(|condition| !is_owned(condition));
    let disruption = input.verdict.filter(|verdict| verdict.kind == VerdictKind::Disrupted);
    match disruption {
        None => foreign.cloned().chain(owned).collect(),
        Some(verdict) => {
            let foreign = foreign.filter(|condition| condition.type_ != DISRUPTION_TARGET);
            let finding =
                Finding { status: true, reason: Some("TerminationByKubelet"), message: Some(verdict.message.clone()) };
            let disruption = condition(input, old_conditions, DISRUPTION_TARGET, finding);
            foreign.cloned().chain(owned).chain([disruption]).collect()
        }
    }
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
