//! Daemons and shims that die: what lives on, what is found again, what is cleaned up.

#![allow(clippy::unwrap_used)] // a test ends where it unwraps in vain

mod node;

use std::path::Path;
use std::time::{Duration, Instant};

use cri::{ContainerEventResponse, ContainerEventType, ContainerState, PodSandboxState, RuntimeService};
use futures::{Stream, StreamExt};
use node::{Node, idle, shell};

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// The shim and the infra container, its first child.
fn processes(node: &Node, sandbox: &str) -> (i32, i32) {
    let shim = json(&node.home.sandbox_dir(sandbox).join("sandbox.json"))["shim_pid"].as_i64().unwrap() as i32;
    let children = std::fs::read_to_string(format!("/proc/{shim}/task/{shim}/children")).unwrap();
    (shim, children.split_whitespace().next().unwrap().parse().unwrap())
}

fn container_pid(node: &Node, sandbox: &str, container: &str) -> i32 {
    let state = json(&node.home.sandbox_dir(sandbox).join(format!("state-{container}.json")));
    state["Running"]["pid"].as_i64().unwrap() as i32
}

fn is_alive(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    !status.is_empty() && !status.contains("State:\tZ")
}

fn wait_for(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn containers_outlive_the_daemon_and_are_found_again() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let staying = node.run(&sandbox, idle("staying")).await;
    let go = "while [ ! -e /tmp/go ]; do sleep 0.01; done; echo gone; exit 4";
    let leaving = node.run(&sandbox, shell("leaving", go)).await;
    let created = node.create(&sandbox, idle("created")).await;
    let before = (processes(&node, &sandbox), container_pid(&node, &sandbox, &staying));
    let started_at = node.status(&staying).await.started_at;
    node.output(&leaving, "(sleep 0.2; touch /tmp/go) > /dev/null 2>&1 &").await;

    let (home, runtime) = (node.home, node.runtime);
    drop(runtime);
    let log = home.path().join("logs/leaving.log");
    wait_for("the container ends unseen", || std::fs::read_to_string(&log).is_ok_and(|text| text.contains("gone")));
    let state = home.sandbox_dir(&sandbox).join(format!("state-{leaving}.json"));
    wait_for("its end is recorded", || std::fs::read_to_string(&state).is_ok_and(|text| text.contains("Exited")));

    let node = Node::open(home).await;
    assert_eq!((processes(&node, &sandbox), container_pid(&node, &sandbox, &staying)), before);
    let status = node.runtime.pod_sandbox_status(&sandbox).await.unwrap();
    assert_eq!(status.state, PodSandboxState::SandboxReady as i32);
    assert_eq!(status.network.unwrap().ip, "10.42.0.7");
    assert_eq!(node.status(&staying).await.started_at, started_at);
    let status = node.status(&leaving).await;
    assert_eq!((status.state, status.exit_code), (ContainerState::ContainerExited as i32, 4));
    assert_eq!(node.output(&staying, "echo still here").await, "still here");
    node.runtime.start_container(&created).await.unwrap();
    node.runtime.stop_container(&staying, 5).await.unwrap();
    assert_eq!(node.status(&staying).await.exit_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_shim_takes_its_pod_with_it() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let container = node.run(&sandbox, idle("main")).await;
    let ((shim, pause), pid) = (processes(&node, &sandbox), container_pid(&node, &sandbox, &container));
    let mut events = node.runtime.container_events().await.unwrap();
    kill(shim);
    wait_for_end(&mut events, &sandbox).await;
    wait_for("its processes end", || !is_alive(pause) && !is_alive(pid));
    let status = node.status(&container).await;
    assert_eq!((status.state, status.exit_code), (ContainerState::ContainerExited as i32, 137));
    let status = node.runtime.pod_sandbox_status(&sandbox).await.unwrap();
    assert_eq!(status.state, PodSandboxState::SandboxNotReady as i32);
    // The same is found by a daemon that was not there when it happened.
    let other = node.run_sandbox().await;
    let container = node.run(&other, idle("other")).await;
    let (shim, pause) = processes(&node, &other);
    let home = node.home;
    drop(node.runtime);
    kill(shim);
    wait_for("its processes end", || !is_alive(pause));
    let node = Node::open(home).await;
    assert_eq!(node.status(&container).await.exit_code, 137);
    node.runtime.remove_pod_sandbox(&other).await.unwrap();
    node.runtime.remove_pod_sandbox(&sandbox).await.unwrap();
    assert!(node.runtime.list_pod_sandbox(Default::default()).await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_without_its_infra_container_is_over() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let container = node.run(&sandbox, idle("main")).await;
    let (shim, pause) = processes(&node, &sandbox);
    let mut events = node.runtime.container_events().await.unwrap();
    kill(pause);
    wait_for_end(&mut events, &sandbox).await;
    assert_eq!(node.ended(&container).await.exit_code, 137);
    wait_for("the shim ends, too", || !is_alive(shim));
    let status = node.runtime.pod_sandbox_status(&sandbox).await.unwrap();
    assert_eq!(status.state, PodSandboxState::SandboxNotReady as i32);
}

#[tokio::test(flavor = "multi_thread")]
async fn reset_leaves_nothing_behind_and_touches_nothing_else() {
    let (node, neighbour) = (Node::start().await, Node::start().await);
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let sandbox = node.run_sandbox().await;
    let container = node.run(&sandbox, shell("stubborn", "trap '' TERM; while :; do sleep 1000; done")).await;
    let (other, other_pause) = processes(&neighbour, &neighbour.run_sandbox().await);
    let ((shim, pause), pid) = (processes(&node, &sandbox), container_pid(&node, &sandbox, &container));
    let home = node.home;
    drop(node.runtime);
    runtime::reset(&home.root(), &home.cgroup_root).unwrap();
    assert!(![shim, pause, pid].into_iter().any(is_alive));
    assert!(!home.root().exists());
    for controller in ["cpu", "memory", "pids", ""] {
        assert!(!Path::new("/sys/fs/cgroup").join(controller).join(&home.cgroup_root).exists(), "{controller}");
    }
    assert_eq!(std::fs::read_to_string("/proc/self/mountinfo").unwrap(), mounts);
    assert!(is_alive(other) && is_alive(other_pause));
    runtime::reset(&home.root(), &home.cgroup_root).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn logs_go_on_in_a_new_file_after_rotation() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let script = "echo before; while [ ! -e /tmp/go ]; do sleep 0.01; done; echo after; while :; do sleep 1000; done";
    let container = node.run(&sandbox, shell("main", script)).await;
    wait_for("the first line", || node.log("main").contains("before"));
    let path = node.home.path().join("logs/main.log");
    std::fs::rename(&path, path.with_extension("log.1")).unwrap();
    node.runtime.reopen_container_log(&container).await.unwrap();
    node.output(&container, "touch /tmp/go").await;
    wait_for("the second line", || node.log("main").contains("after"));
    assert!(!node.log("main").contains("before"));
}

async fn wait_for_end(events: &mut (impl Stream<Item = ContainerEventResponse> + Unpin), sandbox: &str) {
    let stopped = ContainerEventType::ContainerStoppedEvent as i32;
    while let Some(event) = events.next().await {
        if event.container_event_type == stopped && event.container_id == sandbox {
            return;
        }
    }
    panic!("the events end");
}

fn kill(pid: i32) {
    linux::process::kill(pid, 9).unwrap();
}
