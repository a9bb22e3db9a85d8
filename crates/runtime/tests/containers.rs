//! Containers with real namespaces, cgroups and mounts. Needs root and Debian's busybox-static.

#![allow(clippy::unwrap_used)] // a test ends where it unwraps in vain

mod node;

use std::time::{Duration, Instant};

use cri::{ContainerState, Error, PodSandboxState, RuntimeService};
use node::{Node, idle, shell};

#[tokio::test]
async fn a_container_runs_to_its_end() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let status = node.runtime.pod_sandbox_status(&sandbox).await.unwrap();
    assert_eq!(status.network.unwrap().ip, "10.42.0.7");

    let (status, log) = node.run_to_end(&sandbox, shell("main", "echo out; echo err >&2; hostname; exit 3")).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (3, "Error"));
    assert!(status.started_at > 0 && status.finished_at >= status.started_at && status.created_at <= status.started_at);
    assert_eq!(log.lines().filter(|line| *line != "err").collect::<Vec<_>>(), ["out", "pod"]);
    assert!(node.log("main").contains(" stderr F err\n"));

    let (status, _) = node.run_to_end(&sandbox, shell("second", "true")).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (0, "Completed"));
}

#[tokio::test]
async fn commands_are_executed_in_a_running_container() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let container = node.run(&sandbox, idle("main")).await;
    assert_eq!(node.output(&container, "echo $FROM_IMAGE $HOSTNAME $HOME").await, "yes pod /root");
    assert_eq!(node.exec(&container, "exit 7").await.exit_code, 7);
    assert_eq!(node.output(&container, "cat /proc/1/cmdline | head -c 2").await, "sh");
    let error = node.runtime.exec_sync(node::exec_request("no-such-container", "true")).await.unwrap_err();
    assert!(matches!(error, Error::NotFound(_)), "{error:?}");

    let missing = cri::ExecSyncRequest { container_id: container.clone(), cmd: vec!["foo".into()], timeout: 0 };
    let error = node.runtime.exec_sync(missing).await.unwrap_err();
    assert!(error.to_string().ends_with("exec: \"foo\": executable file not found in $PATH"), "{error}");

    let slow = cri::ExecSyncRequest { timeout: 1, ..node::exec_request(&container, "sleep 1000") };
    assert!(matches!(node.runtime.exec_sync(slow).await.unwrap_err(), Error::DeadlineExceeded(_)));
    let large = node.exec(&container, "yes | head -c 3000000").await;
    assert_eq!(large.stdout.len(), 3_000_000);
}

#[tokio::test]
async fn what_cannot_be_started_says_why() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    for (command, expected) in [
        ("foo", "exec: \"foo\": executable file not found in $PATH"),
        ("/no/such", "exec: \"/no/such\": stat /no/such: no such file or directory"),
        ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
    ] {
        let config = cri::ContainerConfig { command: vec![command.into()], ..shell("broken", "") };
        let id = node.create(&sandbox, config).await;
        let error = node.runtime.start_container(&id).await.unwrap_err();
        assert!(error.to_string().ends_with(expected), "{error}");
        let status = node.status(&id).await;
        assert_eq!(status.state, ContainerState::ContainerExited as i32);
        assert_eq!((status.exit_code, status.reason.as_str()), (128, "StartError"));
        assert!(status.message.ends_with(expected), "{}", status.message);
    }
}

#[tokio::test]
async fn stopping_asks_first_and_kills_after_the_grace_period() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let polite = shell("polite", "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done");
    let polite = node.run(&sandbox, polite).await;
    // A first process without a handler never sees the signal.
    while !node.log("polite").contains("ready") {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    node.runtime.stop_container(&polite, 20).await.unwrap();
    assert_eq!(node.status(&polite).await.exit_code, 5);

    let stubborn = node.run(&sandbox, shell("stubborn", "trap '' TERM; while :; do sleep 1000; done")).await;
    let begun = Instant::now();
    node.runtime.stop_container(&stubborn, 1).await.unwrap();
    assert!(begun.elapsed() >= Duration::from_secs(1) && begun.elapsed() < Duration::from_secs(5));
    assert_eq!(node.status(&stubborn).await.exit_code, 137);
    node.runtime.stop_container(&stubborn, 1).await.unwrap();
    node.runtime.stop_container("no-such-container", 1).await.unwrap();
}

#[tokio::test]
async fn stopping_a_sandbox_ends_its_containers_and_removing_it_leaves_nothing() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let container = node.run(&sandbox, idle("main")).await;
    node.runtime.stop_pod_sandbox(&sandbox).await.unwrap();
    let status = node.status(&container).await;
    assert_eq!((status.state, status.exit_code), (ContainerState::ContainerExited as i32, 137));
    let status = node.runtime.pod_sandbox_status(&sandbox).await.unwrap();
    assert_eq!(status.state, PodSandboxState::SandboxNotReady as i32);
    node.runtime.stop_pod_sandbox(&sandbox).await.unwrap();
    node.runtime.remove_pod_sandbox(&sandbox).await.unwrap();
    assert!(matches!(node.runtime.container_status(&container).await, Err(Error::NotFound(_))));
    assert!(!node.home.sandbox_dir(&sandbox).exists());
    node.runtime.remove_pod_sandbox(&sandbox).await.unwrap();
}

#[tokio::test]
async fn long_lines_and_many_lines_reach_the_log() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let (_, log) = node.run_to_end(&sandbox, shell("main", "seq 1 20000")).await;
    let expected: Vec<String> = (1..=20000).map(|number| number.to_string()).collect();
    assert_eq!(log, expected.join("\n"));
}

#[tokio::test]
async fn usage_is_measured_per_container_and_sandbox() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let container = node.run(&sandbox, idle("main")).await;
    let value = |value: Option<cri::UInt64Value>| value.map_or(0, |value| value.value);
    let stats = node.runtime.pod_sandbox_stats(&sandbox).await.unwrap();
    let linux = stats.linux.unwrap();
    assert!(value(linux.cpu.unwrap().usage_core_nano_seconds) > 0);
    assert!(value(linux.process.unwrap().process_count) >= 2, "the infra container and the container's process");
    let [main] = &linux.containers[..] else { panic!("{:?}", linux.containers) };
    assert_eq!(main.attributes.as_ref().unwrap().id, container);
    assert!(value(main.memory.clone().unwrap().usage_bytes) > 0);

    let listed = node.runtime.list_pod_sandbox_stats(cri::PodSandboxStatsFilter::default()).await.unwrap();
    assert_eq!(listed.len(), 1);
    let described: Vec<_> = node.runtime.list_metric_descriptors().await.unwrap();
    let metrics = node.runtime.list_pod_sandbox_metrics().await.unwrap();
    for metric in metrics[0].metrics.iter().chain(metrics[0].container_metrics.iter().flat_map(|c| &c.metrics)) {
        let descriptor = described.iter().find(|descriptor| descriptor.name == metric.name).unwrap();
        assert_eq!(descriptor.label_keys.len(), metric.label_values.len(), "{}", metric.name);
    }
    node.runtime.stop_pod_sandbox(&sandbox).await.unwrap();
    assert!(node.runtime.list_pod_sandbox_stats(cri::PodSandboxStatsFilter::default()).await.unwrap().is_empty());
}

#[tokio::test]
async fn limits_of_a_running_container_change() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let container = node.run(&sandbox, idle("main")).await;
    let change = |memory: i64, quota: i64| cri::UpdateContainerResourcesRequest {
        container_id: container.clone(),
        linux: Some(cri::LinuxContainerResources {
            cpu_shares: 512,
            cpu_quota: quota,
            cpu_period: 100_000,
            memory_limit_in_bytes: memory,
            ..Default::default()
        }),
        ..Default::default()
    };
    let limits = || async {
        let status = node.runtime.container_status(&container).await.unwrap();
        let linux = status.resources.unwrap().linux.unwrap();
        (linux.memory_limit_in_bytes, linux.cpu_quota, linux.cpu_shares)
    };
    node.runtime.update_container_resources(change(64 << 20, 50_000)).await.unwrap();
    assert_eq!(limits().await, (64 << 20, 50_000, 512));
    let shown = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null || cat /sys/fs/cgroup/memory.max";
    assert_eq!(node.output(&container, shown).await, "67108864");

    // Memory that cannot be taken away: kept alive by a process of the container.
    node.output(&container, "dd if=/dev/zero of=/dev/shm/fill bs=1M count=20 2>/dev/null").await;
    let error = node.runtime.update_container_resources(change(8 << 20, 50_000)).await.unwrap_err();
    assert!(error.to_string().contains("unable to set memory limit to 8388608 (current usage: "), "{error}");
    assert_eq!(limits().await, (64 << 20, 50_000, 512), "what is refused is not reported");
    node.runtime.update_container_resources(change(0, 20_000)).await.unwrap();
    assert_eq!(limits().await, (64 << 20, 20_000, 512), "what is not named stays");
}
