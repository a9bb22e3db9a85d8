use kubelet::history::{Entry, PodProcess};
use serde_json::{Value, json};

use super::*;

fn now() -> Timestamp {
    "2026-01-01T00:01:00Z".parse().unwrap()
}

fn told(pod: Value) -> Told {
    Told { pod: Some(serde_json::from_value(pod).unwrap()), ..Told::default() }
}

fn on_node(status: Value) -> Value {
    json!({"metadata": {}, "spec": {"nodeName": "n", "containers": [{"name": "app"}]}, "status": status})
}

fn waiting(reason: &str, message: &str) -> Value {
    let state = json!({"waiting": {"reason": reason, "message": message}});
    let ended = json!({"terminated": {"exitCode": 3, "reason": "Error", "finishedAt": "2026-01-01T00:00:55Z"}});
    on_node(json!({"phase": "Running", "containerStatuses": [{"name": "app", "image": "", "imageID": "",
        "ready": false, "restartCount": 2, "state": state, "lastState": ended}]}))
}

fn event(at: &str, reason: &str, message: &str) -> Entry {
    let what = json!({"at": at, "what": "event", "warning": true, "reason": reason, "message": message,
        "container": "app", "count": 1});
    serde_json::from_value(what).unwrap()
}

#[test]
fn a_pod_without_a_node_waits_for_the_scheduler() {
    let pod = |spec: Value, conditions: Value| told(json!({"spec": spec, "status": {"conditions": conditions}}));
    let unfit = json!([{"type": "PodScheduled", "status": "False", "message": "0/1 nodes are available: 1 Insufficient cpu. preemption: none",
        "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let check = |told: &Told, expected: &str| assert_eq!(reasons(told, now()), [expected]);
    check(
        &pod(json!({"containers": []}), unfit),
        "No node fits for 1m00s: 0/1 nodes are available: 1 Insufficient cpu",
    );
    check(&pod(json!({"containers": []}), json!([])), "The scheduler has not looked at it yet");
    let gated = json!({"containers": [], "schedulingGates": [{"name": "a.io/x"}]});
    check(&pod(gated, json!([])), "It is not to be scheduled before its scheduling gates are removed: a.io/x");
}

#[test]
fn each_node_says_why_it_does_not_take_the_pod() {
    let unfit = json!([{"type": "PodScheduled", "status": "False", "message": "0/2 nodes are available: 2 reasons."}]);
    let pod = json!({"spec": {"containers": []}, "status": {"conditions": unfit}});
    let obstacle = |reason: &str, remedies: Value| json!({"plugin": "P", "reason": reason, "remedies": remedies});
    let scheduling = json!({"uid": "u", "at": "2026-01-01T00:00:58Z", "message": "0/2 nodes are available: 2 reasons.",
        "nearest": "needs 200m more CPU on n2", "omitted": 3, "nodes": [
        {"node": "n2", "obstacles": [obstacle("Insufficient cpu", json!([{"needs": "200m more CPU"}]))]},
        {"node": "n1", "obstacles": [obstacle("tainted", json!([{"do": "tolerate taint x"}])), obstacle("far", json!([]))]}]});
    let mut told = told(pod);
    told.scheduling = Some(serde_json::from_value(scheduling).unwrap());
    let expected = [
        "No node fits: 0/2 nodes are available: 2 reasons.",
        "Nearest miss: needs 200m more CPU on n2",
        "What each node said at the last attempt, 2.0s ago:",
        "  n2: Insufficient cpu (needs 200m more CPU)",
        "  n1: tainted (tolerate taint x); far",
        "  and 3 nodes more",
    ];
    assert_eq!(reasons(&told, now()), expected);
    told.pod = None;
    let gone = "The Pod is gone, it never had a node (0/2 nodes are available: 2 reasons.) and waits for nothing; \
                isopod story tells what befell it";
    assert_eq!(reasons(&told, now()), [gone]);
}

#[test]
fn a_container_that_crashes_waits_for_its_back_off() {
    let told = told(waiting("CrashLoopBackOff", "back-off 20s restarting failed container=app pod=p"));
    let expected = "Container app has exited with code 3 (Error), 2 restarts so far; \
                    its back-off lasts until 2026-01-01T00:01:15Z, 15.0s from now";
    assert_eq!(reasons(&told, now()), [expected]);
}

#[test]
fn a_container_that_is_made_waits_for_mounts_or_its_image() {
    let mut told = told(waiting("ContainerCreating", ""));
    let check = |told: &Told, expected: &str| assert_eq!(reasons(told, now()), [expected]);
    check(&told, "Node n has not taken it up yet");
    told.entries = vec![event("2026-01-01T00:00:57.1Z", "Pulling", "Pulling image \"big\"")];
    check(&told, "Container app waits for its image \"big\", which has been pulled for 2.9s");
    told.entries.push(event("2026-01-01T00:00:58Z", "FailedMount", "configmap \"x\" not found"));
    check(&told, "FailedMount, 2.0s ago: configmap \"x\" not found");
}

#[test]
fn what_hangs_is_named_before_what_failed_earlier() {
    let mut told = told(waiting("ContainerCreating", ""));
    told.entries = vec![event("2026-01-01T00:00:10Z", "FailedMount", "configmap \"x\" not found")];
    let act = |since: &str| Act {
        what: "volume \"data\" is being set up (nfs s:/x)".to_owned(),
        since: since.parse().unwrap(),
    };
    told.under_way = vec![act("2026-01-01T00:00:30Z")];
    let expected = "Its volume \"data\" is being set up (nfs s:/x) since 2026-01-01T00:00:30Z, for 30.0s";
    assert_eq!(reasons(&told, now()), [expected]);
    told.under_way = vec![act("2026-01-01T00:00:59.9Z")];
    assert_eq!(reasons(&told, now()), ["FailedMount, 50.0s ago: configmap \"x\" not found"]);
}

#[test]
fn init_containers_are_counted_and_startup_failures_too() {
    let pod = json!({"metadata": {}, "spec": {"nodeName": "n",
        "initContainers": [{"name": "a"}, {"name": "b"}], "containers": [{"name": "app"}]},
        "status": {"phase": "Pending", "initContainerStatuses": [
            {"name": "a", "image": "", "imageID": "", "ready": true, "restartCount": 0, "state": {"terminated": {"exitCode": 0}}},
            {"name": "b", "image": "", "imageID": "", "ready": false, "restartCount": 0,
             "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}]}});
    assert_eq!(reasons(&told(pod), now()), ["Init container b (2 of 2) has run for 1m00s and has not ended"]);
    let mut pod = on_node(json!({"phase": "Running", "containerStatuses": [{"name": "app", "image": "", "imageID": "",
        "ready": false, "started": false, "restartCount": 0, "state": {"running": {}}}]}));
    pod["spec"]["containers"][0]["startupProbe"] = json!({"failureThreshold": 30});
    let mut told = told(pod);
    let mut failed = event("2026-01-01T00:00:58Z", "Unhealthy", "Startup probe failed: no");
    let Transition::Event { count, .. } = &mut failed.what else { panic!("an Event") };
    *count = 12;
    told.entries = vec![failed];
    let expected = "Container app runs, but its startup probe has not passed, 12 failures of 30 that end it; \
                    last: Startup probe failed: no";
    assert_eq!(reasons(&told, now()), [expected]);
}

#[test]
fn a_container_that_runs_waits_for_its_probes_and_the_pod_for_its_gates() {
    let mut pod = on_node(json!({"phase": "Running", "containerStatuses": [{"name": "app", "image": "", "imageID": "",
        "ready": false, "started": true, "restartCount": 0, "state": {"running": {}}}]}));
    pod["spec"]["readinessGates"] = json!([{"conditionType": "lb"}]);
    let mut told = told(pod);
    told.entries = vec![event("2026-01-01T00:00:58Z", "Unhealthy", "Readiness probe failed: 503")];
    let expected = [
        "Container app runs, but its readiness probe has not passed; last: Readiness probe failed: 503",
        "Its readiness gate lb is not True",
    ];
    assert_eq!(reasons(&told, now()), expected);
}

#[test]
fn a_pod_that_is_deleted_waits_for_processes_and_finalizers() {
    let mut pod = on_node(json!({"phase": "Running"}));
    pod["metadata"] = json!({"deletionTimestamp": "2026-01-01T00:01:20Z", "finalizers": ["a.io/keep"]});
    let mut told = told(pod);
    told.processes = vec![PodProcess {
        pid: 7,
        container: Some("app".to_owned()),
        command: "sleep 9".to_owned(),
        state: "S".to_owned(),
        deaf: true,
    }];
    let expected = [
        "PID 7 (sleep 9) of container app has not ended; it does not listen to SIGTERM",
        "Its containers may take their time until 2026-01-01T00:01:20Z, 20.0s from now; then they are killed",
        "Its finalizer a.io/keep has not been removed by whoever set it",
    ];
    assert_eq!(reasons(&told, now()), expected);
}

#[test]
fn what_waits_for_nothing_says_so() {
    let ready = json!([{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}]);
    let check = |told: &Told, expected: &str| assert_eq!(reasons(told, now()), [expected]);
    let running = json!({"phase": "Running", "conditions": ready, "containerStatuses": [{"name": "app", "image": "",
        "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]});
    check(&told(on_node(running)), "It has been ready for 1m00s and waits for nothing");
    let evicted = json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"});
    check(&told(on_node(evicted)), "It has ended as Failed (Evicted: low on memory) and waits for nothing");
    check(&Told::default(), "The Pod is gone and waits for nothing; isopod story tells what befell it");
}
