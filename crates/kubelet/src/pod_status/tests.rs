use k8s_openapi::api::core::v1::PodCondition;
use serde_json::{Value, json};

use super::*;
use crate::observed::{ContainerState, ObservedContainer, ObservedSandbox};
use crate::plan_pod::Epoch;
use crate::probes::ProbeKind;
use crate::testing::{at, exited, instance, pod as spec_pod, running, sandbox};

const ONE: &str = "{containers: [{name: app, image: nginx}]}";
const TWO: &str = "{containers: [{name: web, image: nginx}, {name: app, image: nginx}]}";
const INIT: &str = "{initContainers: [{name: a, image: x}], containers: [{name: app, image: nginx}]}";

struct Case {
    pod: Pod,
    observed: ObservedPod,
    waiting: WaitingReasons,
    probes: ProbeResults,
    stage: Stage,
    verdict: Option<Verdict>,
}

impl Case {
    fn new(spec: &str) -> Self {
        Self {
            pod: spec_pod(spec),
            observed: ObservedPod { sandboxes: vec![sandbox(0, true)], containers: Vec::new() },
            waiting: WaitingReasons::new(),
            probes: ProbeResults::default(),
            stage: Stage::Syncing,
            verdict: None,
        }
    }

    fn sandboxes(mut self, sandboxes: Vec<ObservedSandbox>) -> Self {
        self.observed.sandboxes = sandboxes;
        self
    }

    fn has(mut self, name: &str, attempt: u32, state: ContainerState) -> Self {
        self.observed.containers.push(instance(&self.pod, name, attempt, state));
        self
    }

    fn waits(mut self, name: &str, reason: &str) -> Self {
        let waiting = Waiting { reason: reason.to_owned(), message: "m".to_owned() };
        self.waiting.insert(name.to_owned(), waiting);
        self
    }

    fn stage(mut self, stage: Stage) -> Self {
        self.stage = stage;
        self
    }

    fn before(mut self, status: Value) -> Self {
        self.pod.status = Some(serde_json::from_value(status).unwrap());
        self
    }

    fn status(&self) -> PodStatus {
        pod_status(&StatusInput {
            pod: &self.pod,
            old: &latest(&self.pod, None),
            observed: &self.observed,
            waiting: &self.waiting,
            probes: &self.probes,
            stage: self.stage,
            verdict: self.verdict.as_ref(),
            first_seen: at(5),
            host_ips: &["192.0.2.1".to_owned()],
            runtime_name: "isopod",
            now: at(30),
        })
    }

    fn json(&self) -> Value {
        serde_json::to_value(self.status()).unwrap()
    }

    fn phase(&self) -> String {
        self.status().phase.unwrap()
    }

    fn condition(&self, type_: &str) -> PodCondition {
        self.status().conditions.unwrap().into_iter().find(|condition| condition.type_ == type_).unwrap()
    }

    fn container(&self, name: &str) -> Value {
        let status = self.json();
        let all = [&status["containerStatuses"], &status["initContainerStatuses"]];
        let mut statuses = all.into_iter().filter_map(Value::as_array).flatten();
        statuses.find(|status| status["name"] == name).cloned().unwrap_or_else(|| panic!("no status of {name}"))
    }
}

fn says(condition: &PodCondition) -> (&str, Option<&str>, Option<&str>) {
    (&condition.status, condition.reason.as_deref(), condition.message.as_deref())
}

#[test]
fn a_new_pod_is_pending_and_creating_its_containers() {
    let case = Case::new(ONE).sandboxes(vec![]);
    let status = case.json();
    assert_eq!(status["phase"], "Pending");
    assert_eq!(status["hostIP"], "192.0.2.1");
    assert_eq!(status["podIP"], Value::Null);
    assert_eq!(status["startTime"], "1970-01-01T00:00:05Z");
    assert_eq!(status["qosClass"], "BestEffort");
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!(
        case.container("app"),
        json!({ "name": "app", "image": "nginx", "imageID": "", "ready": false, "started": false, "restartCount": 0,
                "state": { "waiting": { "reason": "ContainerCreating" } } })
    );
    let message = Some("containers with unready status: [app]");
    assert_eq!(says(&case.condition("Ready")), ("False", Some("ContainersNotReady"), message));
    assert_eq!(says(&case.condition("ContainersReady")), ("False", Some("ContainersNotReady"), message));
    assert_eq!(says(&case.condition("Initialized")), ("True", None, None));
    assert_eq!(says(&case.condition("PodReadyToStartContainers")), ("False", None, None));
    assert_eq!(says(&case.condition("PodScheduled")), ("True", None, None));
}

#[test]
fn a_running_pod_is_ready_and_has_its_address() {
    let case = Case::new(TWO).has("web", 0, running()).has("app", 2, running());
    let status = case.json();
    assert_eq!((&status["phase"], &status["podIP"]), (&json!("Running"), &json!("10.9.0.1")));
    assert_eq!(status["podIPs"], json!([{ "ip": "10.9.0.1" }]));
    // By name, whatever the order of the spec.
    let names: Vec<_> = status["containerStatuses"].as_array().unwrap().iter().map(|one| &one["name"]).collect();
    assert_eq!(names, ["app", "web"]);
    let app = case.container("app");
    assert_eq!(app["containerID"], "isopod://app-2");
    assert_eq!(app["restartCount"], 2);
    assert_eq!((&app["ready"], &app["started"]), (&json!(true), &json!(true)));
    assert_eq!(app["state"], json!({ "running": { "startedAt": "1970-01-01T00:00:10Z" } }));
    assert_eq!(says(&case.condition("Ready")), ("True", None, None));
    assert_eq!(case.condition("Ready").observed_generation, Some(1));
}

#[test]
fn a_pod_whose_containers_are_not_all_started_stays_pending() {
    let case = Case::new(TWO).has("app", 0, running()).waits("web", "ErrImagePull");
    assert_eq!(case.phase(), "Pending");
    assert_eq!(case.container("web")["state"], json!({ "waiting": { "reason": "ErrImagePull", "message": "m" } }));
    assert_eq!(case.condition("Ready").message.as_deref(), Some("containers with unready status: [web]"));
}

#[test]
fn a_pod_is_over_when_its_sidecars_are() {
    let spec = "{restartPolicy: Never, initContainers: [{name: side, image: x, restartPolicy: Always}], \
                containers: [{name: app, image: nginx}]}";
    let pod = |side| {
        let case = Case::new(spec).has("side", 0, side).has("app", 0, exited(0)).stage(Stage::Terminating);
        case.before(json!({ "phase": "Running" }))
    };
    assert_eq!(pod(running()).phase(), "Running");
    assert_eq!(pod(exited(0)).phase(), "Succeeded");
}

#[test]
fn a_crashed_container_that_waits_shows_its_end_as_last_state() {
    let case = Case::new(ONE).has("app", 1, exited(1)).has("app", 0, exited(2)).waits("app", "CrashLoopBackOff");
    let app = case.container("app");
    assert_eq!(app["state"]["waiting"]["reason"], "CrashLoopBackOff");
    assert_eq!(app["lastState"]["terminated"]["exitCode"], 1);
    assert_eq!(app["lastState"]["terminated"]["containerID"], "isopod://app-1");
    assert_eq!((&app["ready"], &app["restartCount"]), (&json!(false), &json!(1)));
    assert_eq!(case.phase(), "Running");
}

#[test]
fn a_restarted_container_shows_how_its_predecessor_ended() {
    let app = Case::new(ONE).has("app", 1, running()).has("app", 0, exited(137)).container("app");
    assert_eq!(
        app["lastState"]["terminated"],
        json!({ "containerID": "isopod://app-0", "exitCode": 137, "reason": "Error",
                "startedAt": "1970-01-01T00:00:10Z", "finishedAt": "1970-01-01T00:00:20Z" })
    );
}

#[test]
fn phases_of_ended_containers_follow_the_restart_policy() {
    for (policy, exit_codes, phase) in [
        ("Always", [0, 0], "Running"),
        ("OnFailure", [0, 0], "Succeeded"),
        ("OnFailure", [0, 1], "Running"),
        ("Never", [0, 0], "Succeeded"),
        ("Never", [0, 1], "Failed"),
    ] {
        let spec = TWO.replacen('{', &format!("{{restartPolicy: {policy}, "), 1);
        let case = Case::new(&spec).has("web", 0, exited(exit_codes[0])).has("app", 0, exited(exit_codes[1]));
        assert_eq!(case.phase(), phase, "{policy} {exit_codes:?}");
    }
}

#[test]
fn a_pod_runs_while_any_container_does() {
    let spec = TWO.replacen('{', "{restartPolicy: Never, ", 1);
    assert_eq!(Case::new(&spec).has("web", 0, exited(1)).has("app", 0, running()).phase(), "Running");
}

#[test]
fn terminal_phases_explain_their_conditions() {
    let spec = ONE.replacen('{', "{restartPolicy: Never, ", 1);
    let succeeded = Case::new(&spec).has("app", 0, exited(0));
    assert_eq!(says(&succeeded.condition("Ready")), ("False", Some("PodCompleted"), None));
    assert_eq!(says(&succeeded.condition("Initialized")), ("True", Some("PodCompleted"), None));
    let failed = Case::new(&spec).has("app", 0, exited(1));
    assert_eq!(says(&failed.condition("ContainersReady")), ("False", Some("PodFailed"), None));
}

#[test]
fn an_initializing_pod_is_pending_and_says_what_it_waits_for() {
    let case = Case::new(INIT).has("a", 0, running());
    assert_eq!(case.phase(), "Pending");
    assert_eq!(case.container("app")["state"]["waiting"]["reason"], "PodInitializing");
    let message = Some("containers with incomplete status: [a]");
    assert_eq!(says(&case.condition("Initialized")), ("False", Some("ContainersNotInitialized"), message));
    let done = Case::new(INIT).has("a", 0, exited(0)).has("app", 0, running());
    assert_eq!(done.container("a")["ready"], true);
    assert_eq!((done.phase().as_str(), says(&done.condition("Initialized")).0), ("Running", "True"));
}

#[test]
fn a_failed_init_container_fails_a_pod_that_never_restarts() {
    let never = INIT.replacen('{', "{restartPolicy: Never, ", 1);
    assert_eq!(Case::new(&never).has("a", 0, exited(1)).phase(), "Failed");
    assert_eq!(Case::new(INIT).has("a", 0, exited(1)).waits("a", "CrashLoopBackOff").phase(), "Pending");
}

#[test]
fn probes_hold_back_started_and_ready() {
    let spec = "{containers: [{name: app, image: x, startupProbe: {exec: {command: [x]}}, \
                readinessProbe: {exec: {command: [x]}}}]}";
    let mut case = Case::new(spec).has("app", 0, running());
    let flags = |case: &Case| (case.container("app")["started"].clone(), case.container("app")["ready"].clone());
    assert_eq!(flags(&case), (json!(false), json!(false)));
    case.probes.record("app-0", ProbeKind::Startup, true);
    assert_eq!(flags(&case), (json!(true), json!(false)));
    case.probes.record("app-0", ProbeKind::Readiness, true);
    assert_eq!(flags(&case), (json!(true), json!(true)));
    assert_eq!(case.phase(), "Running");
}

#[test]
fn readiness_gates_wait_for_their_conditions() {
    let spec = "{readinessGates: [{conditionType: example.com/lb}], containers: [{name: app, image: x}]}";
    let case = Case::new(spec).has("app", 0, running());
    let missing = "corresponding condition of pod readiness gate \"example.com/lb\" does not exist.";
    assert_eq!(says(&case.condition("Ready")), ("False", Some("ReadinessGatesNotReady"), Some(missing)));
    let case = case.before(json!({ "conditions": [{ "type": "example.com/lb", "status": "True" }] }));
    assert_eq!(says(&case.condition("Ready")).0, "True");
    assert_eq!(case.condition("example.com/lb").status, "True");
}

#[test]
fn transition_times_change_only_with_the_status() {
    let old = json!({ "conditions": [
        { "type": "Ready", "status": "True", "lastTransitionTime": "1970-01-01T00:00:07Z" },
        { "type": "ContainersReady", "status": "False", "lastTransitionTime": "1970-01-01T00:00:07Z" },
    ] });
    let case = Case::new(ONE).has("app", 0, running()).before(old);
    assert_eq!(case.condition("Ready").last_transition_time.unwrap().0, at(7));
    assert_eq!(case.condition("ContainersReady").last_transition_time.unwrap().0, at(30));
}

#[test]
fn a_deleted_pod_that_never_ran_ends_as_failed_with_lost_containers() {
    let case = Case::new(ONE).sandboxes(vec![]).stage(Stage::Ended);
    assert_eq!(case.phase(), "Failed");
    let state = &case.container("app")["state"]["terminated"];
    assert_eq!((&state["exitCode"], &state["reason"]), (&json!(137), &json!("ContainerStatusUnknown")));
}

#[test]
fn containers_whose_turn_never_came_go_on_waiting() {
    let spec = "{restartPolicy: Never, initContainers: [{name: a, image: x}, {name: b, image: x}, {name: c, image: x}], \
                containers: [{name: app, image: nginx}]}";
    let case = Case::new(spec).has("a", 0, exited(0)).has("b", 0, exited(1)).stage(Stage::Ended);
    assert_eq!(case.phase(), "Failed");
    let waits = |case: &Case, name: &str| case.container(name)["state"]["waiting"]["reason"] == "PodInitializing";
    assert!(waits(&case, "c") && waits(&case, "app"), "{}", case.json());
    let message = "containers with incomplete status: [b c]";
    let initialized = case.condition("Initialized");
    assert_eq!(says(&initialized), ("False", Some("ContainersNotInitialized"), Some(message)));

    let lost = |case: &Case, name: &str| case.container(name)["state"]["terminated"]["exitCode"] == 137;
    let never = Case::new(spec).sandboxes(vec![]).stage(Stage::Ended);
    assert!(
        lost(&never, "a") && waits(&never, "b") && waits(&never, "app"),
        "the first one was to run: {}",
        never.json()
    );
    let initialized = Case::new(INIT).has("a", 0, exited(0)).stage(Stage::Ended);
    assert!(lost(&initialized, "app"), "{}", initialized.json());
}

#[test]
fn a_pod_that_cannot_start_over_has_failed() {
    let rule = "restartPolicyRules: [{action: RestartAllContainers, exitCodes: {operator: In, values: [42]}}]";
    let spec = format!(
        "{{restartPolicy: Never, initContainers: [{{name: a, image: x}}], containers: [{{name: app, image: nginx, \
         restartPolicy: Never, {rule}}}]}}"
    );
    let over = |state: ContainerState| {
        let mut case = Case::new(&spec);
        case.observed.containers = vec![
            ObservedContainer { epoch: Epoch(1), ..instance(&case.pod, "a", 1, state) },
            instance(&case.pod, "a", 0, exited(0)),
            instance(&case.pod, "app", 0, exited(42)),
        ];
        case.phase()
    };
    assert_eq!([over(running()), over(exited(0)), over(exited(1))], ["Running", "Running", "Failed"]);
}

#[test]
fn a_deleted_pod_ends_as_its_containers_did_whatever_its_policy() {
    assert_eq!(Case::new(ONE).has("app", 0, exited(0)).stage(Stage::Ended).phase(), "Succeeded");
    assert_eq!(Case::new(ONE).has("app", 0, exited(143)).stage(Stage::Ended).phase(), "Failed");
}

#[test]
fn a_verdict_fails_the_pod_once_nothing_of_it_runs() {
    let verdict = |reason: &'static str, kind| Verdict { reason: reason.into(), message: "m".to_owned(), kind };
    let mut case = Case::new(ONE).has("app", 0, running()).stage(Stage::Terminating);
    case.verdict = Some(verdict("Evicted", VerdictKind::Disrupted));
    let status = case.status();
    assert_eq!((status.phase.as_deref(), status.reason), (Some("Running"), None));
    let disruption = status.conditions.unwrap().into_iter().find(|one| one.type_ == "DisruptionTarget").unwrap();
    assert_eq!((disruption.status.as_str(), disruption.reason.as_deref()), ("True", Some("TerminationByKubelet")));
    let mut case = Case::new(ONE).has("app", 0, exited(0)).stage(Stage::Ended);
    case.verdict = Some(verdict("DeadlineExceeded", VerdictKind::Stopped));
    let status = case.status();
    assert_eq!(status.phase.as_deref(), Some("Failed"));
    assert_eq!((status.reason.as_deref(), status.message.as_deref()), (Some("DeadlineExceeded"), Some("m")));
    assert!(!status.conditions.unwrap().iter().any(|one| one.type_ == "DisruptionTarget"));
}

#[test]
fn a_rejected_pod_has_a_reason_and_no_containers() {
    let mut case = Case::new(ONE).stage(Stage::Ended);
    let (reason, kind) = ("OutOfcpu".into(), VerdictKind::Rejected);
    case.verdict = Some(Verdict { reason, message: "Pod was rejected: m".to_owned(), kind });
    let status = case.status();
    assert_eq!((status.phase.as_deref(), status.reason.as_deref()), (Some("Failed"), Some("OutOfcpu")));
    assert!(status.container_statuses.is_none() && status.start_time.is_some() && status.host_ip.is_none());
    let deleted = Case::new(ONE).stage(Stage::Ended).before(serde_json::to_value(&status).unwrap());
    assert_eq!(deleted.status(), status);
}

#[test]
fn an_address_is_kept_after_the_sandbox_is_gone() {
    let case = Case::new(ONE).sandboxes(vec![sandbox(0, false)]).before(json!({ "podIPs": [{ "ip": "10.9.0.7" }] }));
    assert_eq!(case.status().pod_ip.as_deref(), Some("10.9.0.7"));
}

#[test]
fn a_pod_on_the_hosts_network_has_the_hosts_address() {
    let spec = ONE.replacen('{', "{hostNetwork: true, ", 1);
    assert_eq!(Case::new(&spec).status().pod_ip.as_deref(), Some("192.0.2.1"));
}

#[test]
fn a_container_that_vanished_counts_as_killed() {
    let old = json!({ "phase": "Running", "containerStatuses": [{ "name": "app", "image": "nginx", "imageID": "i",
        "ready": true, "restartCount": 1, "state": { "running": {} } }] });
    let app = Case::new(ONE).sandboxes(vec![]).before(old).container("app");
    assert_eq!((&app["restartCount"], &app["lastState"]["terminated"]["exitCode"]), (&json!(2), &json!(137)));
}
