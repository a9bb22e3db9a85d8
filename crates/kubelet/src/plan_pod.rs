//! What to do next for one Pod: the heart of the kubelet.
//!
//! [`plan_pod`] is a pure function of the desired Pod, what the runtime has, what the probes say, how long containers
//! must wait, and the time. The plan leaves nothing to decide; each action says why it is taken. Executing a plan
//! changes what is observed, and the next plan follows from that: an init container is started by one plan, its
//! successor by a later one.
//!
//! Rules, in order:
//! - Without a usable sandbox nothing can run: make one, unless nothing is left to run in it.
//! - Init containers run one by one in order; a sidecar counts as done once it is started.
//! - Then every container that does not run is started if its restart policy says so and its back-off is over.
//! - A running container is killed when its image changed or a probe gave up on it.
//! - An ephemeral container is started once, as soon as there is a sandbox.
//! - An exit that restarts the whole Pod makes history of every instance from before it: what still runs is killed, and
//!   the Pod starts over in the same sandbox, init containers first ([`Epoch`]).

use std::collections::BTreeMap;
use std::ops::Deref;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};

use crate::allocation::UpdateContainer;
use crate::crash_backoff::{CrashBackoff, Wait};
use crate::labels::container_hash;
use crate::observed::{ContainerState, Exit, ObservedContainer, ObservedPod};
use crate::pod::{self, ContainerKind};
use crate::probes::{ProbeFailure, ProbeResults};

mod epoch;
#[cfg(test)]
mod tests;

pub use epoch::Epoch;

/// How a process ends that is killed.
const KILLED_EXIT_CODE: i32 = 137;

/// When containers that could not be started are tried again, by name.
pub type Holds = BTreeMap<String, Timestamp>;

/// Everything a plan depends on.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// The Pod as the API has it.
    pub pod: &'a Pod,
    /// The Pod as the runtime has it.
    pub observed: &'a ObservedPod,
    /// Waits of containers that keep exiting.
    pub backoff: &'a CrashBackoff,
    /// Containers that could not be started, and when to try again.
    pub holds: &'a Holds,
    /// What the probes found.
    pub probes: &'a ProbeResults,
    /// The present moment.
    pub now: Timestamp,
}

/// What to do, in the order of the fields.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodActions {
    /// Running containers to stop.
    pub kill: Vec<KillContainer>,
    /// Running containers that get other resources.
    pub update: Vec<UpdateContainer>,
    /// What the Pod's cgroup has as a whole, if it is to be brought after what is allocated.
    pub update_pod: Option<ResourceRequirements>,
    /// What to do about the sandbox.
    pub sandbox: SandboxAction,
    /// Containers to create and start, in this order.
    pub start: Vec<StartContainer>,
    /// Containers that would be started but are in crash back-off.
    pub waiting: Vec<WaitingContainer>,
    /// How long to wait for the first container that could not be started.
    pub hold: Option<Duration>,
}

/// What to do about the sandbox.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum SandboxAction {
    /// Use the newest one.
    #[default]
    Keep,
    /// None is needed: nothing is left to run.
    Nothing,
    /// Stop what there is and make a new one.
    Create {
        /// The new sandbox's attempt number.
        attempt: u32,
        /// Sandboxes to stop first.
        stop: Vec<String>,
        /// Why.
        reason: CreateSandboxReason,
    },
}

/// Why a sandbox is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CreateSandboxReason {
    /// There never was one.
    NewPod,
    /// The infra container is gone.
    Died,
    /// It has no address.
    NoAddress,
    /// It uses another network than the Pod asks for.
    NetworkChanged,
}

/// A container to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KillContainer {
    /// CRI id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Why.
    pub reason: KillReason,
    /// Whether it will be started again.
    pub restarts: bool,
}

/// Why a container is stopped while its Pod lives on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KillReason {
    /// Its image changed in the spec.
    DefinitionChanged,
    /// A probe gave up on it.
    Probe(ProbeFailure),
    /// The runtime lost track of it.
    Unknown,
    /// A container's exit makes the whole Pod start over.
    RestartAll,
    /// It wants to be restarted when its resources change.
    Resize,
}

/// A container to create and start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StartContainer {
    /// Name.
    pub name: String,
    /// Which kind of container it is.
    pub kind: ContainerKind,
    /// How many instances came before.
    pub attempt: u32,
    /// How the last of them ended, if it did: the wait after the next exit doubles.
    pub restarted_after: Option<Exit>,
    /// Under which number of the Pod's starts it is made.
    pub epoch: Epoch,
}

/// A container in crash back-off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WaitingContainer {
    /// Name.
    pub name: String,
    /// The wait.
    pub wait: Wait,
}

impl PodActions {
    /// When, without any other cause, the Pod has to be looked at again.
    pub fn look_again_after(&self) -> Option<Duration> {
        self.waiting.iter().map(|waiting| waiting.wait.left).chain(self.hold).min()
    }

    /// Whether carrying them out does nothing.
    pub fn is_empty(&self) -> bool {
        let nothing_to_make = !matches!(self.sandbox, SandboxAction::Create { .. });
        self.kill.is_empty()
            && self.update.is_empty()
            && self.update_pod.is_none()
            && self.start.is_empty()
            && nothing_to_make
    }
}

/// Decides what to do for a Pod that is not being ended.
pub fn plan_pod(input: &PlanInput<'_>) -> PodActions {
    let input = &Planning { input, epoch: Epoch::of(input.pod, input.observed) };
    let mut actions = PodActions::default();
    if let Some((reason, attempt)) = sandbox_defect(input.pod, input.observed) {
        plan_new_sandbox(input, reason, attempt, &mut actions);
        return actions;
    }
    actions.kill = plan_restart_of_all(input);
    if !actions.kill.is_empty() {
        return actions;
    }
    plan_ephemeral_containers(input, &mut actions);
    if plan_init_containers(input, &mut actions) {
        for container in pod::containers(input.pod) {
            plan_container(input, container, &mut actions);
        }
    }
    actions
}

/// The input, and which instances count.
struct Planning<'a> {
    input: &'a PlanInput<'a>,
    epoch: Epoch,
}

impl<'a> Deref for Planning<'a> {
    type Target = PlanInput<'a>;

    fn deref(&self) -> &PlanInput<'a> {
        self.input
    }
}

impl<'a> Planning<'a> {
    /// The newest instance since the Pod started over last.
    fn latest(&self, container: &Container) -> Option<&'a ObservedContainer> {
        let latest = self.input.observed.latest(&container.name);
        latest.filter(|latest| self.epoch.includes(latest))
    }

    /// The newest instance if it is of the present sandbox, too: a new one is initialized anew.
    fn current(&self, container: &Container) -> Option<&'a ObservedContainer> {
        let sandbox = self.input.observed.sandbox().map(|sandbox| sandbox.id.as_str());
        self.latest(container).filter(|latest| Some(latest.sandbox_id.as_str()) == sandbox)
    }

    /// Whether the container ended for good.
    fn is_done(&self, container: &Container) -> bool {
        let exit = self.latest(container).and_then(ObservedContainer::exit);
        exit.is_some_and(|exit| !pod::restarts(self.pod, ContainerKind::Regular, container, exit.exit_code))
    }

    /// Whether the container has something to do in a new sandbox: it never ran, or it is started again when the old
    /// one takes it along.
    fn outlives_its_sandbox(&self, container: &Container) -> bool {
        match self.latest(container).map(|latest| &latest.state) {
            None | Some(ContainerState::Created) => true,
            Some(ContainerState::Exited(_)) => !self.is_done(container),
            Some(ContainerState::Running { .. } | ContainerState::Unknown) => {
                pod::restarts(self.pod, ContainerKind::Regular, container, KILLED_EXIT_CODE)
            }
        }
    }
}

/// Why the newest sandbox cannot be used, and the attempt number of its successor.
fn sandbox_defect(pod: &Pod, observed: &ObservedPod) -> Option<(CreateSandboxReason, u32)> {
    let Some(newest) = observed.sandbox() else { return Some((CreateSandboxReason::NewPod, 0)) };
    let defect = if !newest.ready {
        CreateSandboxReason::Died
    } else if newest.host_network != pod::is_host_network(pod) {
        CreateSandboxReason::NetworkChanged
    } else if !newest.host_network && newest.ips.is_empty() {
        CreateSandboxReason::NoAddress
    } else {
        return None;
    };
    Some((defect, newest.attempt + 1))
}

/// Whether the Pod has a sandbox in which containers can be started: what `PodReadyToStartContainers` says.
pub fn has_usable_sandbox(pod: &Pod, observed: &ObservedPod) -> bool {
    sandbox_defect(pod, observed).is_none()
}

fn plan_new_sandbox(input: &Planning<'_>, reason: CreateSandboxReason, attempt: u32, actions: &mut PodActions) {
    let (pod, observed) = (input.pod, input.observed);
    if !pod::containers(pod).iter().any(|container| input.outlives_its_sandbox(container)) {
        actions.sandbox = SandboxAction::Nothing;
        return;
    }
    let stop = observed.sandboxes.iter().map(|sandbox| sandbox.id.clone()).collect();
    actions.sandbox = SandboxAction::Create { attempt, stop, reason };
    // Containers live in a sandbox: what the old one held is dead, and init containers run again.
    match pod::init_containers(pod).first() {
        Some(container) => plan_start(input, pod::init_kind(container), container, actions),
        None => {
            for container in pod::containers(pod).iter().filter(|container| input.outlives_its_sandbox(container)) {
                plan_start(input, ContainerKind::Regular, container, actions);
            }
        }
    }
}

/// What still runs from before an exit that restarts the whole Pod.
fn plan_restart_of_all(input: &Planning<'_>) -> Vec<KillContainer> {
    let alive = |container: &&ObservedContainer| {
        matches!(container.state, ContainerState::Running { .. } | ContainerState::Unknown)
    };
    let past = input.observed.containers.iter().filter(|container| !input.epoch.includes(container)).filter(alive);
    past.map(|container| kill(container, KillReason::RestartAll, true)).collect()
}

/// Ephemeral containers that were never made; how they end concerns nobody.
fn plan_ephemeral_containers(input: &Planning<'_>, actions: &mut PodActions) {
    for container in pod::ephemeral_containers(input.pod) {
        if input.observed.latest(&container.name).is_none() {
            plan_start(input, ContainerKind::Ephemeral, &pod::as_container(container), actions);
        }
    }
}

/// Plans the next init container; answers whether the containers' turn has come.
fn plan_init_containers(input: &Planning<'_>, actions: &mut PodActions) -> bool {
    let init_containers = pod::init_containers(input.pod);
    // Once a regular container was created, plain init containers are history.
    let initialized = pod::containers(input.pod).iter().any(|container| input.current(container).is_some());
    // Older instances may be removed; whatever stands before the furthest one that ever started is done.
    let reached = init_containers.iter().rposition(|container| input.current(container).is_some());
    for (index, container) in init_containers.iter().enumerate() {
        let passed = initialized || reached.is_some_and(|reached| index < reached);
        let done = match pod::init_kind(container) {
            ContainerKind::Sidecar => plan_sidecar(input, container, passed, actions),
            _ => passed || plan_init_container(input, container, actions),
        };
        if !done && !initialized {
            return false;
        }
    }
    true
}

/// Answers whether the sidecar is up, so that what follows it may start.
fn plan_sidecar(input: &Planning<'_>, container: &Container, passed: bool, actions: &mut PodActions) -> bool {
    match input.current(container) {
        Some(latest) if latest.is_running() => {
            plan_running(input, ContainerKind::Sidecar, container, latest, actions);
            return passed || input.probes.is_started(container, &latest.id);
        }
        Some(latest) if latest.state == ContainerState::Unknown => {
            actions.kill.push(kill(latest, KillReason::Unknown, true));
        }
        _ => {}
    }
    plan_start(input, ContainerKind::Sidecar, container, actions);
    passed
}

/// Answers whether the init container succeeded.
fn plan_init_container(input: &Planning<'_>, container: &Container, actions: &mut PodActions) -> bool {
    let latest = input.current(container);
    match latest.map(|latest| (&latest.state, latest)) {
        Some((ContainerState::Running { .. }, _)) => return false,
        Some((ContainerState::Exited(exit), _)) if exit.exit_code == 0 => return true,
        Some((ContainerState::Exited(exit), _))
            if !pod::restarts(input.pod, ContainerKind::Init, container, exit.exit_code) =>
        {
            return false;
        }
        Some((ContainerState::Unknown, latest)) => actions.kill.push(kill(latest, KillReason::Unknown, true)),
        _ => {}
    }
    plan_start(input, ContainerKind::Init, container, actions);
    false
}

fn plan_container(input: &Planning<'_>, container: &Container, actions: &mut PodActions) {
    let Some(latest) = input.latest(container) else {
        return plan_start(input, ContainerKind::Regular, container, actions);
    };
    match &latest.state {
        ContainerState::Running { .. } => plan_running(input, ContainerKind::Regular, container, latest, actions),
        // Created and never started: the start failed, or the daemon died in between.
        ContainerState::Created => plan_start(input, ContainerKind::Regular, container, actions),
        ContainerState::Exited(_) if input.is_done(container) => {}
        ContainerState::Exited(_) => plan_start(input, ContainerKind::Regular, container, actions),
        ContainerState::Unknown => {
            actions.kill.push(kill(latest, KillReason::Unknown, true));
            plan_start(input, ContainerKind::Regular, container, actions);
        }
    }
}

/// A running container is left alone unless it has to be replaced; its successor starts once it is gone.
fn plan_running(
    input: &Planning<'_>,
    kind: ContainerKind,
    container: &Container,
    latest: &ObservedContainer,
    actions: &mut PodActions,
) {
    if latest.hash != container_hash(container) {
        actions.kill.push(kill(latest, KillReason::DefinitionChanged, true));
    } else if let Some(failure) = input.probes.failure(&latest.id) {
        // Killed, it exits with the code of a signal.
        let restarts = pod::restarts(input.pod, kind, container, KILLED_EXIT_CODE);
        actions.kill.push(kill(latest, KillReason::Probe(failure), restarts));
    }
}

fn kill(container: &ObservedContainer, reason: KillReason, restarts: bool) -> KillContainer {
    KillContainer { id: container.id.clone(), name: container.name.clone(), reason, restarts }
}

/// Starts the container, unless it has to wait out its back-off or failed to start just now.
fn plan_start(input: &Planning<'_>, kind: ContainerKind, container: &Container, actions: &mut PodActions) {
    let name = container.name.clone();
    let latest = input.observed.latest(&name);
    let exit = latest.and_then(ObservedContainer::exit);
    if let Some(exit) = exit
        && let Some(wait) = input.backoff.waiting(container, exit, input.now)
    {
        return actions.waiting.push(WaitingContainer { name, wait });
    }
    if let Some(until) = input.holds.get(&name).filter(|until| **until > input.now) {
        let left = until.duration_since(input.now).try_into().unwrap_or(Duration::ZERO);
        actions.hold = Some(actions.hold.map_or(left, |other| other.min(left)));
        return;
    }
    let attempt = latest.map_or(0, |latest| latest.attempt + 1);
    let restarted_after = exit.cloned();
    actions.start.push(StartContainer { name, kind, attempt, restarted_after, epoch: input.epoch });
}
