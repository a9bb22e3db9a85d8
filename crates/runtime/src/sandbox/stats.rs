//! What a Pod's sandbox uses as a whole.

use std::fs;
use std::sync::Arc;

use cri::{
    LinuxPodSandboxStats, NetworkInterfaceUsage, NetworkUsage, PodSandboxAttributes, PodSandboxStats, ProcessUsage,
};

use super::Sandbox;
use crate::container::stats::{self, number};
use crate::runtime::Shared;

/// CPU, memory, network and processes of the sandbox, and the stats of its running containers.
pub fn stats(shared: &Shared, sandbox: &Arc<Sandbox>) -> PodSandboxStats {
    let config = &sandbox.record.config;
    let timestamp = shared.now();
    let usage = shared.cgroups.usage(accounting_cgroup(sandbox)).ok();
    PodSandboxStats {
        attributes: Some(PodSandboxAttributes {
            id: sandbox.id().to_owned(),
            metadata: config.metadata.clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
        }),
        linux: Some(LinuxPodSandboxStats {
            cpu: usage.map(|usage| stats::cpu(timestamp, &usage)),
            memory: usage.map(|usage| stats::memory(timestamp, &usage)),
            network: network(sandbox, timestamp),
            process: usage
                .and_then(|usage| usage.tasks)
                .map(|tasks| ProcessUsage { timestamp, process_count: number(tasks) }),
            containers: stats::stats_of(shared, shared.containers_of(sandbox.id()).iter()),
        }),
        windows: None,
    }
}

/// The Pod's cgroup, where the kubelet made one; otherwise the infra container's own is all there is to count.
fn accounting_cgroup(sandbox: &Sandbox) -> &str {
    let linux = sandbox.record.config.linux.as_ref();
    let parent = linux.map(|linux| linux.cgroup_parent.trim_matches('/')).unwrap_or_default();
    if parent.is_empty() { &sandbox.record.spec.cgroup } else { parent }
}

/// Traffic of the sandbox's own network; on the host's network nobody can tell whose it is.
fn network(sandbox: &Sandbox, timestamp: i64) -> Option<NetworkUsage> {
    let process = sandbox.pause_pid().filter(|_| sandbox.record.spec.own_network)?;
    let table = fs::read_to_string(format!("/proc/{process}/net/dev")).ok()?;
    let mut interfaces = parse_interfaces(&table);
    let default = interfaces.iter().position(|interface| interface.name == "eth0");
    Some(NetworkUsage { timestamp, default_interface: default.map(|index| interfaces.remove(index)), interfaces })
}

/// Reads `/proc/<pid>/net/dev`, without the loopback interface.
pub(super) fn parse_interfaces(table: &str) -> Vec<NetworkInterfaceUsage> {
    let parse = |line: &str| {
        let (name, figures) = line.split_once(':')?;
        let figures: Vec<u64> = figures.split_whitespace().map_while(|figure| figure.parse().ok()).collect();
        let figure = |index: usize| figures.get(index).copied().and_then(number);
        Some(NetworkInterfaceUsage {
            name: name.trim().to_owned(),
            rx_bytes: figure(0),
            rx_errors: figure(2),
            tx_bytes: figure(8),
            tx_errors: figure(10),
        })
    };
    table.lines().filter_map(parse).filter(|interface| interface.name != "lo").collect()
}
