//! The phase: one word about the whole Pod, from its containers' states.

use k8s_openapi::api::core::v1::{Container, ContainerStatus, Pod, PodStatus};

use super::{Stage, StatusInput};
use crate::observed::ObservedContainer;
use crate::plan_pod::Epoch;
use crate::pod::{self, ContainerKind};

/// `status.phase`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Not every container has been started yet.
    Pending,
    /// Started, and something runs or will run again.
    Running,
    /// Every container ended well, for good.
    Succeeded,
    /// Every container ended, at least one badly, for good.
    Failed,
}

impl Phase {
    /// The word in the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Running => "Running",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
        }
    }

    /// Whether the Pod has ended for good.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed)
    }

    /// The phase of a status; anything unknown is Pending.
    pub fn of(status: &PodStatus) -> Self {
        match status.phase.as_deref() {
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            _ => Self::Pending,
        }
    }
}

pub(super) fn phase(
    input: &StatusInput<'_>,
    old: &PodStatus,
    init_statuses: &[ContainerStatus],
    statuses: &[ContainerStatus],
) -> Phase {
    // An ended Pod stays what it ended as.
    let before = Phase::of(old);
    if before.is_terminal() {
        return before;
    }
    let computed = computed_phase(input, init_statuses, statuses);
    // Sidecars may still be ending: nobody is to take the Pod for over before.
    let held = input.stage == Stage::Terminating && computed.is_terminal() && !is_over(input);
    let computed = if held { before } else { computed };
    if input.verdict.is_some() {
        // Failed means that nothing runs any more.
        return if is_over(input) { Phase::Failed } else { computed };
    }
    match input.stage {
        Stage::Ended if !computed.is_terminal() => Phase::Failed,
        _ => computed,
    }
}

/// Whether every container has stopped.
pub(super) fn is_over(input: &StatusInput<'_>) -> bool {
    input.stage == Stage::Ended || !input.observed.containers.iter().any(ObservedContainer::is_running)
}

fn computed_phase(input: &StatusInput<'_>, init_statuses: &[ContainerStatus], statuses: &[ContainerStatus]) -> Phase {
    let spec_containers = pod::containers(input.pod);
    let count = Count::of(spec_containers, statuses);
    let initialized = count.running + count.stopped > 0;
    if starts_over(input) {
        return Phase::Running;
    }
    match initialization(input.pod, init_statuses, initialized) {
        Initialization::Failed => return Phase::Failed,
        Initialization::Pending => return Phase::Pending,
        Initialization::Done => {}
    }
    if count.waiting > 0 || count.unknown > 0 {
        return Phase::Pending;
    }
    if count.running > 0 {
        return Phase::Running;
    }
    if count.stopped == 0 {
        return Phase::Pending;
    }
    let restarts = input.stage != Stage::Ended && any_restarts(input, spec_containers, statuses);
    match restarts {
        true => Phase::Running,
        false if count.succeeded == count.stopped => Phase::Succeeded,
        false => Phase::Failed,
    }
}

fn any_restarts(input: &StatusInput<'_>, containers: &[Container], statuses: &[ContainerStatus]) -> bool {
    containers.iter().any(|container| {
        let status = statuses.iter().find(|status| status.name == container.name);
        let exit_code = status.and_then(exit_code).unwrap_or(0);
        pod::restarts(input.pod, ContainerKind::Regular, container, exit_code)
    })
}

/// Whether some container has yet to be made again after an exit that restarts the whole Pod, and will be.
fn starts_over(input: &StatusInput<'_>) -> bool {
    let epoch = Epoch::of(input.pod, input.observed);
    let mut latest = pod::all_containers(input.pod).filter_map(|(_, one)| input.observed.latest(&one.name));
    let some_are_history = latest.any(|latest| !epoch.includes(latest));
    input.stage == Stage::Syncing && some_are_history && !is_stuck(input, epoch)
}

/// Whether an init container has failed for good since the Pod started over: nothing comes after it.
fn is_stuck(input: &StatusInput<'_>, epoch: Epoch) -> bool {
    let mut init = pod::init_containers(input.pod).iter().filter(|one| pod::init_kind(one) == ContainerKind::Init);
    init.any(|container| {
        let latest = input.observed.latest(&container.name).filter(|latest| epoch.includes(latest));
        let exit_code = latest.and_then(ObservedContainer::exit).map(|exit| exit.exit_code);
        exit_code.is_some_and(|code| code != 0 && !pod::restarts(input.pod, ContainerKind::Init, container, code))
    })
}

enum Initialization {
    Pending,
    /// For good.
    Failed,
    /// Or once over, and tried again.
    Done,
}

fn initialization(pod: &Pod, statuses: &[ContainerStatus], initialized: bool) -> Initialization {
    for container in pod::init_containers(pod) {
        let status = statuses.iter().find(|status| status.name == container.name);
        let pending = match pod::init_kind(container) {
            ContainerKind::Sidecar => !initialized && status.is_none_or(|status| status.started != Some(true)),
            _ => match status.and_then(exit_code) {
                Some(0) => false,
                Some(code) if pod::restarts(pod, ContainerKind::Init, container, code) => false,
                Some(_) => return Initialization::Failed,
                None => true,
            },
        };
        if pending {
            return Initialization::Pending;
        }
    }
    Initialization::Done
}

/// How the container ended last, if it does not run now.
fn exit_code(status: &ContainerStatus) -> Option<i32> {
    let state = status.state.as_ref()?;
    match (&state.terminated, &state.waiting) {
        (Some(terminated), _) => Some(terminated.exit_code),
        (None, Some(_)) => Some(status.last_state.as_ref()?.terminated.as_ref()?.exit_code),
        (None, None) => None,
    }
}

#[derive(Default)]
struct Count {
    unknown: usize,
    waiting: usize,
    running: usize,
    stopped: usize,
    succeeded: usize,
}

impl Count {
    fn of(containers: &[Container], statuses: &[ContainerStatus]) -> Self {
        let mut count = Self::default();
        for container in containers {
            let Some(status) = statuses.iter().find(|status| status.name == container.name) else {
                count.unknown += 1;
                continue;
            };
            let state = status.state.clone().unwrap_or_default();
            if state.running.is_some() {
                count.running += 1;
            } else if let Some(exit_code) = exit_code(status) {
                count.stopped += 1;
                count.succeeded += usize::from(state.terminated.is_some() && exit_code == 0);
            } else if state.waiting.is_some() {
                count.waiting += 1;
            } else {
                count.unknown += 1;
            }
        }
        count
    }
}
