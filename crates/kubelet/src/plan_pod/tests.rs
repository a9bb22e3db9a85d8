use super::*;
use crate::observed::ObservedSandbox;
use crate::probes::ProbeKind;
use crate::testing::{at, exited, instance, pod, running, sandbox};

const ONE: &str = "{containers: [{name: app, image: nginx}]}";
const TWO: &str = "{containers: [{name: app, image: nginx}, {name: log, image: busybox}]}";
const INIT: &str =
    "{initContainers: [{name: a, image: x}, {name: b, image: x}], containers: [{name: app, image: nginx}]}";
const SIDECAR: &str = "{initContainers: [{name: side, image: x, restartPolicy: Always}, {name: a, image: x}], \
                       containers: [{name: app, image: nginx}]}";

fn with_policy(spec: &str, policy: &str) -> String {
    spec.replacen('{', &format!("{{restartPolicy: {policy}, "), 1)
}

struct Case {
    pod: Pod,
    observed: ObservedPod,
    backoff: CrashBackoff,
    probes: ProbeResults,
    holds: Holds,
    now: i64,
}

impl Case {
    /// A Pod with a ready sandbox and nothing in it.
    fn new(spec: &str) -> Self {
        Self {
            pod: pod(spec),
            observed: ObservedPod { sandboxes: vec![sandbox(0, true)], containers: Vec::new() },
            backoff: CrashBackoff::new(crate::crash_backoff::MAX),
            probes: ProbeResults::default(),
            holds: Holds::new(),
            now: 30,
        }
    }

    fn sandboxes(mut self, sandboxes: Vec<ObservedSandbox>) -> Self {
        self.observed.sandboxes = sandboxes;
        self
    }

    /// Newest first, as it is observed.
    fn has(mut self, name: &str, attempt: u32, state: ContainerState) -> Self {
        self.observed.containers.push(instance(&self.pod, name, attempt, state));
        self
    }

    /// The container was restarted after its first crash.
    fn restarted(&mut self, name: &str) {
        let (_, container) = pod::find_container(&self.pod, name).unwrap();
        let ContainerState::Exited(exit) = exited(1) else { unreachable!("it is an exit") };
        self.backoff.restarted(&container, &exit);
    }

    fn plan(&self) -> PodActions {
        plan_pod(&PlanInput {
            pod: &self.pod,
            observed: &self.observed,
            backoff: &self.backoff,
            probes: &self.probes,
            holds: &self.holds,
            now: at(self.now),
        })
    }

    /// The plan in short: `kill a`, `sandbox 1`, `no sandbox`, `start a#0`, `wait a 10s`.
    fn check(&self, expected: &[&str]) {
        let plan = self.plan();
        let mut short: Vec<String> = plan.kill.iter().map(|kill| format!("kill {}", kill.name)).collect();
        match &plan.sandbox {
            SandboxAction::Keep => {}
            SandboxAction::Nothing => short.push("no sandbox".to_owned()),
            SandboxAction::Create { attempt, .. } => short.push(format!("sandbox {attempt}")),
        }
        short.extend(plan.start.iter().map(|start| format!("start {}#{}", start.name, start.attempt)));
        let waits =
            plan.waiting.iter().map(|waiting| format!("wait {} {}s", waiting.name, waiting.wait.left.as_secs()));
        short.extend(waits);
        assert_eq!(short, expected);
    }
}

#[test]
fn a_new_pod_gets_a_sandbox_and_all_its_containers() {
    Case::new(TWO).sandboxes(vec![]).check(&["sandbox 0", "start app#0", "start log#0"]);
}

#[test]
fn a_new_pod_with_init_containers_starts_with_the_first() {
    Case::new(INIT).sandboxes(vec![]).check(&["sandbox 0", "start a#0"]);
}

#[test]
fn a_running_pod_is_left_alone() {
    let case = Case::new(TWO).has("app", 0, running()).has("log", 0, running());
    case.check(&[]);
    assert!(case.plan().is_empty());
}

#[test]
fn what_is_missing_in_a_ready_sandbox_is_started() {
    Case::new(TWO).has("app", 0, running()).check(&["start log#0"]);
}

#[test]
fn a_container_that_was_made_but_never_started_is_replaced() {
    Case::new(ONE).has("app", 0, ContainerState::Created).check(&["start app#1"]);
}

#[test]
fn restart_policy_decides_about_exited_containers() {
    for (policy, exit_code, expected) in [
        ("Always", 0, &["start app#1"] as &[&str]),
        ("Always", 1, &["start app#1"]),
        ("OnFailure", 0, &[]),
        ("OnFailure", 1, &["start app#1"]),
        ("Never", 0, &[]),
        ("Never", 1, &[]),
    ] {
        Case::new(&with_policy(TWO, policy)).has("app", 0, exited(exit_code)).has("log", 0, running()).check(expected);
    }
}

#[test]
fn restart_rules_outrank_the_policy() {
    let spec = "{restartPolicy: Never, containers: [{name: app, image: x, restartPolicyRules: \
                [{action: Restart, exitCodes: {operator: In, values: [42]}}]}]}";
    Case::new(spec).has("app", 0, exited(42)).check(&["start app#1"]);
    Case::new(spec).has("app", 0, exited(1)).check(&[]);
}

#[test]
fn a_crashing_container_waits_out_its_backoff() {
    let mut case = Case::new(ONE).has("app", 3, exited(1));
    case.restarted("app");
    case.now = 24;
    case.check(&["wait app 6s"]);
    assert_eq!(case.plan().look_again_after(), Some(Duration::from_secs(6)));
    case.now = 30;
    case.check(&["start app#4"]);
    assert_eq!(case.plan().start[0].restarted_after.as_ref().map(|exit| exit.finished_at), Some(at(20)));
}

#[test]
fn other_containers_do_not_share_a_backoff() {
    let mut case = Case::new(TWO).has("app", 1, exited(1)).has("log", 0, exited(1));
    case.restarted("app");
    case.now = 21;
    case.check(&["start log#1", "wait app 9s"]);
}

#[test]
fn a_container_that_could_not_be_started_is_held_back_alone() {
    let mut case = Case::new(TWO);
    case.holds.insert("app".to_owned(), at(33));
    case.check(&["start log#0"]);
    assert_eq!(case.plan().look_again_after(), Some(Duration::from_secs(3)));
    case.now = 33;
    case.check(&["start app#0", "start log#0"]);
}

#[test]
fn init_containers_run_one_after_the_other() {
    Case::new(INIT).check(&["start a#0"]);
    Case::new(INIT).has("a", 0, running()).check(&[]);
    Case::new(INIT).has("a", 0, exited(0)).check(&["start b#0"]);
    Case::new(INIT).has("b", 0, exited(0)).has("a", 0, exited(0)).check(&["start app#0"]);
}

#[test]
fn a_failed_init_container_is_repeated_unless_the_pod_never_restarts() {
    Case::new(INIT).has("a", 0, exited(1)).check(&["start a#1"]);
    Case::new(&with_policy(INIT, "OnFailure")).has("a", 0, exited(1)).check(&["start a#1"]);
    Case::new(&with_policy(INIT, "Never")).has("a", 0, exited(1)).check(&[]);
}

#[test]
fn init_containers_whose_records_are_gone_do_not_run_again() {
    Case::new(INIT).has("b", 0, exited(0)).check(&["start app#0"]);
    Case::new(INIT).has("app", 0, running()).check(&[]);
    Case::new(INIT).has("app", 0, exited(1)).check(&["start app#1"]);
}

#[test]
fn a_sidecar_is_started_first_and_not_waited_for_to_end() {
    Case::new(SIDECAR).check(&["start side#0"]);
    Case::new(SIDECAR).has("side", 0, running()).check(&["start a#0"]);
    Case::new(SIDECAR).has("a", 0, exited(0)).has("side", 0, running()).check(&["start app#0"]);
}

#[test]
fn a_sidecar_with_a_startup_probe_holds_back_what_follows() {
    let spec = SIDECAR.replace("restartPolicy: Always", "restartPolicy: Always, startupProbe: {exec: {command: [x]}}");
    let mut case = Case::new(&spec).has("side", 0, running());
    case.check(&[]);
    case.probes.record("side-0", ProbeKind::Startup, true);
    case.check(&["start a#0"]);
}

#[test]
fn a_sidecar_that_exits_is_started_again_whatever_the_policy() {
    let case = Case::new(&with_policy(SIDECAR, "Never"));
    case.has("app", 0, running()).has("a", 0, exited(0)).has("side", 0, exited(0)).check(&["start side#1"]);
}

#[test]
fn a_dead_sandbox_is_replaced_and_everything_in_it_restarted() {
    let dead = || vec![sandbox(0, false)];
    Case::new(TWO).sandboxes(dead()).has("app", 0, exited(137)).has("log", 0, exited(137)).check(&[
        "sandbox 1",
        "start app#1",
        "start log#1",
    ]);
    Case::new(INIT).sandboxes(dead()).has("app", 0, exited(137)).check(&["sandbox 1", "start a#0"]);
    let plan = Case::new(ONE).sandboxes(dead()).plan();
    let expected = SandboxAction::Create { attempt: 1, stop: vec!["s0".to_owned()], reason: CreateSandboxReason::Died };
    assert_eq!(plan.sandbox, expected);
}

#[test]
fn init_containers_run_again_in_a_new_sandbox() {
    let case = Case::new(INIT).has("app", 0, exited(137)).has("b", 0, exited(0)).has("a", 0, exited(0));
    case.sandboxes(vec![sandbox(1, true), sandbox(0, false)]).check(&["start a#1"]);
}

#[test]
fn a_pod_that_is_done_gets_no_new_sandbox() {
    let dead = || vec![sandbox(0, false)];
    Case::new(&with_policy(ONE, "Never")).sandboxes(dead()).has("app", 0, exited(137)).check(&["no sandbox"]);
    let initializing = Case::new(&with_policy(SIDECAR, "Never")).sandboxes(dead()).has("side", 0, exited(137));
    initializing.check(&["sandbox 1", "start side#1"]);
    let created = Case::new(&with_policy(ONE, "Never")).sandboxes(dead()).has("app", 0, ContainerState::Created);
    created.check(&["sandbox 1", "start app#1"]);
    Case::new(&with_policy(ONE, "OnFailure")).sandboxes(dead()).has("app", 0, exited(0)).check(&["no sandbox"]);
    Case::new(&with_policy(TWO, "OnFailure"))
        .sandboxes(dead())
        .has("app", 0, exited(0))
        .check(&["sandbox 1", "start log#0"]);
}

#[test]
fn a_new_sandbox_is_for_what_never_ran_or_restarts_by_itself() {
    let dead = || vec![sandbox(0, false)];
    let never = |spec: &str| Case::new(&with_policy(spec, "Never")).sandboxes(dead());
    never(ONE).has("app", 0, running()).check(&["no sandbox"]);
    never(TWO).has("app", 0, exited(137)).check(&["sandbox 1", "start log#0"]);
    let own = "{containers: [{name: app, image: x, restartPolicy: OnFailure}, {name: log, image: x}]}";
    never(own).has("app", 0, exited(137)).has("log", 0, exited(137)).check(&["sandbox 1", "start app#1"]);
    never(own).has("app", 0, running()).has("log", 0, running()).check(&["sandbox 1", "start app#1"]);
    never(own).has("app", 0, exited(0)).has("log", 0, exited(1)).check(&["no sandbox"]);
}

#[test]
fn a_sandbox_without_address_or_on_another_network_is_replaced() {
    let no_address = ObservedSandbox { ips: vec![], ..sandbox(2, true) };
    Case::new(ONE).sandboxes(vec![no_address.clone()]).check(&["sandbox 3", "start app#0"]);
    let on_host = ObservedSandbox { host_network: true, ..no_address };
    Case::new("{hostNetwork: true, containers: [{name: app, image: x}]}")
        .sandboxes(vec![on_host])
        .has("app", 0, running())
        .check(&[]);
}

#[test]
fn a_container_whose_image_changed_is_killed_and_then_started() {
    let mut case = Case::new(ONE).has("app", 0, running());
    case.pod.spec.as_mut().unwrap().containers[0].image = Some("nginx:2".to_owned());
    case.check(&["kill app"]);
    let kill = case.plan().kill.remove(0);
    assert_eq!((kill.reason, kill.restarts), (KillReason::DefinitionChanged, true));
}

#[test]
fn a_container_is_killed_when_a_probe_gives_up() {
    for (kind, failure) in [(ProbeKind::Liveness, ProbeFailure::Liveness), (ProbeKind::Startup, ProbeFailure::Startup)]
    {
        let mut case = Case::new(ONE).has("app", 0, running());
        case.probes.record("app-0", kind, false);
        assert_eq!(case.plan().kill[0].reason, KillReason::Probe(failure));
    }
    let mut case = Case::new(ONE).has("app", 0, running());
    case.probes.record("app-0", ProbeKind::Readiness, false);
    case.check(&[]);
}

#[test]
fn a_container_the_runtime_lost_track_of_is_killed_and_replaced() {
    Case::new(ONE).has("app", 0, ContainerState::Unknown).check(&["kill app", "start app#1"]);
}

#[test]
fn init_containers_are_tried_again_as_their_policy_says() {
    for (policy, exit_code, expected) in [
        ("Always", 1, &["start a#1"] as &[&str]),
        ("OnFailure", 1, &["start a#1"]),
        ("Never", 1, &[]),
        ("Never", 0, &["start b#0"]),
        ("Always", 0, &["start b#0"]),
    ] {
        Case::new(&with_policy(INIT, policy)).has("a", 0, exited(exit_code)).check(expected);
    }
    let own = "{initContainers: [{name: a, image: x, restartPolicy: Never}], containers: [{name: app, image: x}]}";
    Case::new(own).has("a", 0, exited(1)).check(&[]);
}

#[test]
fn a_failing_init_container_waits_out_its_backoff() {
    let mut case = Case::new(INIT).has("a", 2, exited(1));
    case.restarted("a");
    case.now = 24;
    case.check(&["wait a 6s"]);
}

#[test]
fn a_sidecar_is_restarted_whatever_the_policy_and_holds_up_nobody_behind_it() {
    let spec = with_policy(SIDECAR, "Never");
    Case::new(&spec).has("side", 0, exited(0)).has("a", 0, running()).check(&["start side#1"]);
    Case::new(&spec).has("side", 0, exited(1)).has("a", 0, exited(0)).check(&["start side#1", "start app#0"]);
    let case = Case::new(&spec).has("side", 0, exited(1)).has("a", 0, exited(0)).has("app", 0, running());
    case.check(&["start side#1"]);
    // The furthest one that was started has to be up before anything follows.
    Case::new(&spec).has("side", 0, exited(1)).check(&["start side#1"]);
}

#[test]
fn an_ephemeral_container_is_started_once_even_while_init_containers_run() {
    let spec = INIT.replacen('{', "{ephemeralContainers: [{name: e, image: x}], ", 1);
    Case::new(&spec).has("a", 0, running()).check(&["start e#0"]);
    Case::new(&spec).has("a", 0, running()).has("e", 0, exited(1)).check(&[]);
    Case::new(&spec).sandboxes(vec![]).check(&["sandbox 0", "start a#0"]);
    let mut held = Case::new(&spec).has("a", 0, running());
    held.holds.insert("e".to_owned(), at(35));
    held.check(&[]);
    assert_eq!(held.plan().look_again_after(), Some(Duration::from_secs(5)));
}

const RESTART_ALL: &str = "{restartPolicy: Never, initContainers: [{name: a, image: x}], \
    containers: [{name: app, image: x}, {name: watch, image: x, restartPolicy: Never, restartPolicyRules: \
    [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]}]}";

/// An instance that was made after the Pod started over.
fn later(case: Case, name: &str, attempt: u32, state: ContainerState) -> Case {
    let mut case = case.has(name, attempt, state);
    case.observed.containers.last_mut().unwrap().epoch = Epoch(1);
    case
}

#[test]
fn an_exit_can_make_the_whole_pod_start_over() {
    let case = Case::new(RESTART_ALL).has("a", 0, exited(0)).has("app", 0, running()).has("watch", 0, exited(42));
    case.check(&["kill app"]);
    assert_eq!(case.plan().kill[0].reason, KillReason::RestartAll);
    // What ended before it, in whatever way, is made again, in order and in the same sandbox.
    let ended = Case::new(RESTART_ALL).has("a", 0, exited(0)).has("app", 0, exited(0)).has("watch", 0, exited(42));
    ended.check(&["start a#1"]);
    let initialized = || later(Case::new(RESTART_ALL), "a", 1, exited(0)).has("a", 0, exited(0));
    let case = initialized().has("app", 0, exited(137)).has("watch", 0, exited(42));
    case.check(&["start app#1", "start watch#1"]);
    let case = later(initialized(), "app", 1, running()).has("app", 0, exited(137)).has("watch", 0, exited(42));
    case.check(&["start watch#1"]);
    let case = later(initialized(), "app", 1, running()).has("app", 0, exited(137));
    later(case, "watch", 1, running()).has("watch", 0, exited(42)).check(&[]);
    // Other codes are answered as the policy says.
    Case::new(RESTART_ALL).has("a", 0, exited(0)).has("app", 0, running()).has("watch", 0, exited(1)).check(&[]);
}

#[test]
fn what_was_planned_before_the_pod_started_over_is_of_the_past() {
    // The first container was being started when the other one's exit came.
    let case = later(Case::new(RESTART_ALL), "a", 1, exited(0)).has("a", 0, exited(0)).has("watch", 0, exited(42));
    case.has("app", 0, running()).check(&["kill app"]);
    assert_eq!(Epoch::of(&pod(RESTART_ALL), &ObservedPod::default()), Epoch(0));
}

#[test]
fn whether_a_killed_container_comes_back_is_its_own_policy() {
    let spec = "{restartPolicy: Never, containers: [{name: app, image: x, restartPolicy: OnFailure}]}";
    let mut case = Case::new(spec).has("app", 0, running());
    case.probes.record("app-0", ProbeKind::Liveness, false);
    assert!(case.plan().kill[0].restarts);
    let mut case = Case::new(&with_policy(ONE, "Never")).has("app", 0, running());
    case.probes.record("app-0", ProbeKind::Liveness, false);
    assert!(!case.plan().kill[0].restarts);
}
