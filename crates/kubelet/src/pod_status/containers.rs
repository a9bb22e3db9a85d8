//! The statuses of a Pod's containers.

use k8s_openapi::api::core::v1::{
    Container, ContainerState as ApiState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting,
    ContainerStatus, PodStatus, VolumeMount, VolumeMountStatus,
};

use super::{Stage, StatusInput, seconds};
use crate::observed::{ContainerState, Exit, ObservedContainer};
use crate::plan_pod::Epoch;
use crate::pod::{self, ContainerKind};
use crate::volumes::mounts::{asks_for_recursion, container_path};

/// Exit code of a container that vanished without anybody seeing how: as if killed.
const LOST_EXIT_CODE: i32 = 137;

/// Statuses of a Pod's containers, by list.
pub(super) struct ContainerStatuses {
    /// In the order of the spec.
    pub init: Vec<ContainerStatus>,
    /// By name.
    pub regular: Vec<ContainerStatus>,
    /// By name.
    pub ephemeral: Vec<ContainerStatus>,
}

pub(super) fn container_statuses(input: &StatusInput<'_>, old: &PodStatus) -> ContainerStatuses {
    let one = |(kind, container): (ContainerKind, &Container)| {
        let list = match kind {
            ContainerKind::Regular => &old.container_statuses,
            ContainerKind::Init | ContainerKind::Sidecar => &old.init_container_statuses,
            ContainerKind::Ephemeral => &old.ephemeral_container_statuses,
        };
        let before = list.iter().flatten().find(|status| status.name == container.name);
        (kind, container_status(input, kind, container, before))
    };
    let (init, mut regular): (Vec<_>, Vec<_>) =
        pod::all_containers(input.pod).map(one).partition(|(kind, _)| *kind != ContainerKind::Regular);
    let ephemeral = pod::ephemeral_containers(input.pod).iter().map(pod::as_container);
    let mut ephemeral: Vec<_> = ephemeral.map(|container| one((ContainerKind::Ephemeral, &container))).collect();
    regular.sort_by(|(_, left), (_, right)| left.name.cmp(&right.name));
    ephemeral.sort_by(|(_, left), (_, right)| left.name.cmp(&right.name));
    let statuses = |list: Vec<(ContainerKind, ContainerStatus)>| list.into_iter().map(|(_, status)| status).collect();
    let mut all =
        ContainerStatuses { init: statuses(init), regular: statuses(regular), ephemeral: statuses(ephemeral) };
    if input.stage == Stage::Ended {
        all.conclude(input);
    }
    all
}

impl ContainerStatuses {
    /// A Pod that ended has no container that runs or is to run: one without a known end counts as killed. Those whose
    /// turn had not come go on waiting.
    fn conclude(&mut self, input: &StatusInput<'_>) {
        let had_their_turn = self.are_initialized(input);
        let reached = self.init.iter().rposition(was_made).unwrap_or(0);
        let init = self.init.iter_mut().take(reached + 1);
        init.chain(self.regular.iter_mut().filter(|_| had_their_turn)).for_each(conclude);
    }

    /// Whether the regular containers' turn had come.
    fn are_initialized(&self, input: &StatusInput<'_>) -> bool {
        let Some(last) = pod::init_containers(input.pod).last() else { return true };
        let has_ended_well =
            |state: &ApiState| state.terminated.as_ref().is_some_and(|terminated| terminated.exit_code == 0);
        let last_is_done = |status: &ContainerStatus| match pod::init_kind(last) {
            ContainerKind::Sidecar => status.started == Some(true),
            _ => status.state.as_ref().is_some_and(has_ended_well),
        };
        self.regular.iter().any(was_made) || self.init.last().is_some_and(last_is_done)
    }
}

/// Whether an instance of the container ever ran, or was to.
fn was_made(status: &ContainerStatus) -> bool {
    let ended = status.last_state.as_ref().is_some_and(|state| state.terminated.is_some());
    ended || status.state.as_ref().is_some_and(|state| state.waiting.is_none())
}

fn container_status(
    input: &StatusInput<'_>,
    kind: ContainerKind,
    container: &Container,
    before: Option<&ContainerStatus>,
) -> ContainerStatus {
    let mut instances = input.observed.containers.iter().filter(|other| other.name == container.name);
    let mut status = match instances.next() {
        Some(latest) => from_instance(input, container, latest),
        None => without_instance(input, container, before),
    };
    if let Some(exit) = instances.next().and_then(ObservedContainer::exit) {
        let previous = input.observed.containers.iter().filter(|other| other.name == container.name).nth(1);
        status.last_state = Some(terminated(exit, previous.map(|other| container_id(input, other))));
    }
    let starts_over = input.stage == Stage::Syncing && is_history(input, container);
    let reported = input.waiting.get(&container.name).filter(|_| starts_over || will_start(input, kind, container));
    let reason = reported
        .map(|waiting| ContainerStateWaiting { reason: Some(waiting.reason.clone()), message: text(&waiting.message) });
    if let Some(state) = reason.or_else(|| starts_over.then(|| still_waiting(input))) {
        if let Some(ended) = status.state.take().filter(|state| state.terminated.is_some()) {
            status.last_state = Some(ended);
        }
        status.state = Some(ApiState { waiting: Some(state), ..ApiState::default() });
    }
    set_started_and_ready(input, kind, container, &mut status);
    status
}

/// Whether the newest instance is dead and of a time before the Pod started over: it will be made anew.
fn is_history(input: &StatusInput<'_>, container: &Container) -> bool {
    let latest = input.observed.latest(&container.name).filter(|latest| !latest.is_running());
    latest.is_some_and(|latest| !Epoch::of(input.pod, input.observed).includes(latest))
}

/// Whether the kubelet intends to start the container, now or after a wait.
fn will_start(input: &StatusInput<'_>, kind: ContainerKind, container: &Container) -> bool {
    if input.stage != Stage::Syncing {
        return false;
    }
    match input.observed.latest(&container.name).map(|latest| &latest.state) {
        Some(ContainerState::Running { .. }) => false,
        Some(ContainerState::Exited(exit)) => pod::restarts(input.pod, kind, container, exit.exit_code),
        Some(ContainerState::Created | ContainerState::Unknown) | None => true,
    }
}

fn from_instance(input: &StatusInput<'_>, container: &Container, latest: &ObservedContainer) -> ContainerStatus {
    let id = container_id(input, latest);
    let resources = container.resources.clone().unwrap_or_default();
    ContainerStatus {
        name: container.name.clone(),
        restart_count: i32::try_from(latest.attempt).unwrap_or(i32::MAX),
        image: latest.image.clone(),
        image_id: latest.image_id.clone(),
        container_id: Some(id.clone()),
        state: Some(api_state(latest, id)),
        allocated_resources: resources.requests.clone(),
        resources: Some(resources),
        user: latest.user.clone(),
        stop_signal: latest.stop_signal.map(str::to_owned),
        volume_mounts: mount_statuses(container, |mount| latest.recursively_read_only.contains(&container_path(mount))),
        ..ContainerStatus::default()
    }
}

fn api_state(container: &ObservedContainer, id: String) -> ApiState {
    match &container.state {
        ContainerState::Running { started_at } => ApiState {
            running: Some(ContainerStateRunning { started_at: Some(seconds(*started_at)) }),
            ..ApiState::default()
        },
        ContainerState::Exited(exit) => terminated(exit, Some(id)),
        ContainerState::Created | ContainerState::Unknown => ApiState {
            waiting: Some(ContainerStateWaiting { reason: Some("ContainerCreating".to_owned()), message: None }),
            ..ApiState::default()
        },
    }
}

fn terminated(exit: &Exit, container_id: Option<String>) -> ApiState {
    ApiState {
        terminated: Some(ContainerStateTerminated {
            container_id,
            exit_code: exit.exit_code,
            started_at: exit.started_at.map(seconds),
            finished_at: Some(seconds(exit.finished_at)),
            reason: text(&exit.reason),
            message: text(&exit.message),
            signal: None,
        }),
        ..ApiState::default()
    }
}

/// What a container says that nothing is known of yet.
fn still_waiting(input: &StatusInput<'_>) -> ContainerStateWaiting {
    let has_init_containers = !pod::init_containers(input.pod).is_empty();
    let reason = if has_init_containers { "PodInitializing" } else { "ContainerCreating" };
    ContainerStateWaiting { reason: Some(reason.to_owned()), message: None }
}

/// A container the runtime does not know: it is yet to be made, or was lost.
fn without_instance(
    input: &StatusInput<'_>,
    container: &Container,
    before: Option<&ContainerStatus>,
) -> ContainerStatus {
    let fresh = ContainerStatus {
        name: container.name.clone(),
        image: container.image.clone().unwrap_or_default(),
        state: Some(ApiState { waiting: Some(still_waiting(input)), ..ApiState::default() }),
        volume_mounts: mount_statuses(container, asks_for_recursion),
        ..ContainerStatus::default()
    };
    let Some(before) = before else { return fresh };
    let state = before.state.clone().unwrap_or_default();
    if state.terminated.is_some() {
        // Its record was removed; what it said last still holds.
        return before.clone();
    }
    let mut status = ContainerStatus {
        restart_count: before.restart_count,
        last_state: before.last_state.clone(),
        image_id: before.image_id.clone(),
        ..fresh
    };
    if state.running.is_some() && input.stage != Stage::Terminating {
        status.last_state = Some(lost(
            "The container could not be located when the pod was deleted.  The container used to be Running",
        ));
        status.restart_count += 1;
    }
    status
}

fn lost(message: &str) -> ApiState {
    ApiState {
        terminated: Some(ContainerStateTerminated {
            exit_code: LOST_EXIT_CODE,
            reason: Some("ContainerStatusUnknown".to_owned()),
            message: Some(message.to_owned()),
            ..ContainerStateTerminated::default()
        }),
        ..ApiState::default()
    }
}

/// Gives a container the end that is known of it, or that of one that was killed.
fn conclude(status: &mut ContainerStatus) {
    if status.state.as_ref().is_some_and(|state| state.terminated.is_some()) {
        return;
    }
    status.state = Some(match status.last_state.take() {
        Some(last) if last.terminated.is_some() => last,
        _ => lost("The container could not be located when the pod was terminated"),
    });
}

fn set_started_and_ready(
    input: &StatusInput<'_>,
    kind: ContainerKind,
    container: &Container,
    status: &mut ContainerStatus,
) {
    if kind == ContainerKind::Ephemeral {
        return; // nobody asks whether it is ready
    }
    let latest = input.observed.latest(&container.name).filter(|latest| latest.is_running());
    let running = latest.filter(|_| status.state.as_ref().is_some_and(|state| state.running.is_some()));
    status.started = Some(running.is_some_and(|latest| input.probes.is_started(container, &latest.id)));
    status.ready = match kind {
        ContainerKind::Init => {
            let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
            ended.is_some_and(|terminated| terminated.exit_code == 0)
        }
        ContainerKind::Sidecar | ContainerKind::Regular | ContainerKind::Ephemeral => {
            running.is_some_and(|latest| input.probes.is_ready(container, &latest.id))
        }
    };
}

/// Its mounts, and of those it cannot write to whether that reaches what is mounted below.
fn mount_statuses(
    container: &Container,
    is_recursive: impl Fn(&VolumeMount) -> bool,
) -> Option<Vec<VolumeMountStatus>> {
    let mounts = container.volume_mounts.as_ref().filter(|mounts| !mounts.is_empty())?;
    let statuses = mounts.iter().map(|mount| VolumeMountStatus {
        name: mount.name.clone(),
        mount_path: mount.mount_path.clone(),
        read_only: mount.read_only.filter(|read_only| *read_only),
        recursive_read_only: mount
            .read_only
            .filter(|read_only| *read_only)
            .map(|_| if is_recursive(mount) { "Enabled" } else { "Disabled" }.to_owned()),
        ..VolumeMountStatus::default()
    });
    Some(statuses.collect())
}

fn container_id(input: &StatusInput<'_>, container: &ObservedContainer) -> String {
    format!("{}://{}", input.runtime_name, container.id)
}

fn text(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}
