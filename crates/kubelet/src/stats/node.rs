//! The machine's own counters, from `/proc`.

use std::collections::BTreeMap;
use std::fs;

use jiff::{SignedDuration, Timestamp};

use super::disk;
use super::summary::{
    ComputeStats, ContainerStats, CpuStats, FsStats, InterfaceStats, MemoryStats, NetworkStats, NodeStats, RlimitStats,
    RuntimeStats,
};
use crate::context::NodeContext;
use crate::machine::parse_meminfo;

/// The kernel tells user space about time in hundredths of a second, on every machine.
const TICK_NANOSECONDS: u64 = 10_000_000;

/// Reads the counters of the node as a whole.
pub(super) fn observe(context: &NodeContext, node_name: String, now: Timestamp) -> NodeStats {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let stat = text("/proc/stat");
    let meminfo = text("/proc/meminfo");
    let boot = figure(&stat, "btime").and_then(|seconds| Timestamp::from_second(i64::try_from(seconds).ok()?).ok());
    let start_time = boot.unwrap_or_default();
    let vmstat = text("/proc/vmstat");
    NodeStats {
        node_name,
        system_containers: [own_process(now, start_time), all_pods(context, now, start_time)]
            .into_iter()
            .flatten()
            .collect(),
        start_time,
        compute: ComputeStats {
            cpu: busy_nanoseconds(&stat).map(|used| cpu(now, used)),
            memory: Some(memory(&meminfo, &vmstat, now)),
            swap: None,
        },
        network: network(&text("/proc/net/dev"), &text("/proc/net/route"), now),
        rlimit: rlimit(&text("/proc/loadavg"), &text("/proc/sys/kernel/pid_max"), now),
        fs: None,
        runtime: None,
    }
}

/// Where the runtime keeps images and containers.
pub(super) async fn images(context: &NodeContext, now: Timestamp) -> Option<RuntimeStats> {
    let info = context.image_service.image_fs_info().await.ok()?;
    let stats = |usages: &[cri::FilesystemUsage]| -> Option<FsStats> {
        let usage = usages.first()?;
        let path = usage.fs_id.as_ref().map(|id| id.mountpoint.clone())?;
        let number = |value: &Option<cri::UInt64Value>| value.as_ref().map_or(0, |value| value.value);
        let used = disk::DiskUsage { bytes: number(&usage.used_bytes), inodes: number(&usage.inodes_used) };
        Some(disk::file_system(path.as_ref(), now)?.used_by(used))
    };
    Some(RuntimeStats { image_fs: stats(&info.image_filesystems), container_fs: stats(&info.container_filesystems) })
}

fn cpu(time: Timestamp, used: u64) -> CpuStats {
    CpuStats { time, usage_nano_cores: None, usage_core_nano_seconds: Some(used) }
}

/// The number after a name in lines of `name value`.
fn figure(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.split(' ').next()?.trim().parse().ok())
}

/// All time of all CPUs but idle and waiting. Guests' time is part of user time already.
fn busy_nanoseconds(stat: &str) -> Option<u64> {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu "))?;
    let ticks: Vec<u64> = line.split_whitespace().map_while(|figure| figure.parse().ok()).take(8).collect();
    let idle = ticks.get(3)? + ticks.get(4)?;
    Some((ticks.iter().sum::<u64>() - idle) * TICK_NANOSECONDS)
}

fn memory(meminfo: &str, vmstat: &str, time: Timestamp) -> MemoryStats {
    let figures: BTreeMap<&str, u64> = parse_meminfo(meminfo);
    let bytes = |name: &str| figures.get(name).copied().unwrap_or(0);
    let usage = bytes("MemTotal").saturating_sub(bytes("MemFree"));
    let working_set = usage.saturating_sub(bytes("Inactive(file)"));
    MemoryStats {
        time,
        available_bytes: Some(bytes("MemTotal").saturating_sub(working_set)),
        usage_bytes: Some(usage),
        working_set_bytes: Some(working_set),
        rss_bytes: Some(bytes("AnonPages")),
        page_faults: figure(vmstat, "pgfault"),
        major_page_faults: figure(vmstat, "pgmajfault"),
    }
}

fn rlimit(loadavg: &str, pid_max: &str, time: Timestamp) -> Option<RlimitStats> {
    // `0.1 0.2 0.3 running/all last`
    let curproc = loadavg.split(' ').nth(3)?.split('/').nth(1)?.parse().ok()?;
    Some(RlimitStats { time, maxpid: pid_max.trim().parse().ok()?, curproc })
}

fn network(dev: &str, route: &str, time: Timestamp) -> Option<NetworkStats> {
    let interfaces = parse_interfaces(dev);
    // Destination and mask 0 in the table of routes.
    let default = route.lines().skip(1).find_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        (fields.get(1) == Some(&"00000000") && fields.get(7) == Some(&"00000000")).then(|| fields[0])
    });
    let default = interfaces.iter().find(|interface| Some(interface.name.as_str()) == default).cloned();
    (!interfaces.is_empty()).then_some(NetworkStats { time, default, interfaces })
}

/// Without loopback and the node's ends of Pods' links, which are counted with the Pods.
fn parse_interfaces(dev: &str) -> Vec<InterfaceStats> {
    let parse = |line: &str| {
        let (name, figures) = line.split_once(':')?;
        let figures: Vec<u64> = figures.split_whitespace().map_while(|figure| figure.parse().ok()).collect();
        let figure = |index: usize| figures.get(index).copied().unwrap_or(0);
        Some(InterfaceStats {
            name: name.trim().to_owned(),
            rx_bytes: figure(0),
            rx_errors: figure(2),
            tx_bytes: figure(8),
            tx_errors: figure(10),
        })
    };
    let counted = |interface: &InterfaceStats| interface.name != "lo" && !interface.name.starts_with("veth");
    dev.lines().filter_map(parse).filter(counted).collect()
}

/// This process: the kubelet, and what else of isopod shares it.
fn own_process(now: Timestamp, boot: Timestamp) -> Option<ContainerStats> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    // The command's name is in parentheses and may hold anything; fields are counted behind it.
    let fields: Vec<u64> =
        stat.rsplit_once(')')?.1.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    let started = SignedDuration::from_nanos(i64::try_from(field(22) * TICK_NANOSECONDS).ok()?);
    let figures = parse_meminfo(&status);
    let bytes = |name: &str| figures.get(name).copied();
    Some(ContainerStats {
        name: "kubelet".to_owned(),
        start_time: boot + started,
        compute: ComputeStats {
            cpu: Some(cpu(now, (field(14) + field(15)) * TICK_NANOSECONDS)),
            memory: Some(MemoryStats {
                time: now,
                available_bytes: None,
                usage_bytes: bytes("VmRSS"),
                working_set_bytes: bytes("VmRSS"),
                rss_bytes: bytes("RssAnon"),
                page_faults: Some(field(10)),
                major_page_faults: Some(field(12)),
            }),
            swap: None,
        },
        ..ContainerStats::default()
    })
}

fn all_pods(context: &NodeContext, now: Timestamp, boot: Timestamp) -> Option<ContainerStats> {
    let usage = context.host.cgroup_usage(&context.kubepods()).ok()?;
    Some(ContainerStats {
        name: "pods".to_owned(),
        start_time: boot,
        compute: ComputeStats {
            cpu: Some(cpu(now, usage.cpu_nanoseconds)),
            memory: Some(MemoryStats {
                time: now,
                available_bytes: usage
                    .memory_limit_bytes
                    .map(|limit| limit.saturating_sub(usage.memory_working_set_bytes)),
                usage_bytes: Some(usage.memory_usage_bytes),
                working_set_bytes: Some(usage.memory_working_set_bytes),
                rss_bytes: Some(usage.memory_rss_bytes),
                page_faults: Some(usage.page_faults),
                major_page_faults: Some(usage.major_page_faults),
            }),
            swap: None,
        },
        ..ContainerStats::default()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_not_used_time() {
        let stat = "cpu  100 1 20 5000 300 0 9 0 0 0\ncpu0 1 2 3\nbtime 1700000000\n";
        assert_eq!(busy_nanoseconds(stat), Some(130 * TICK_NANOSECONDS));
        assert_eq!(figure(stat, "btime"), Some(1_700_000_000));
    }

    #[test]
    fn the_default_interface_has_the_default_route() {
        let dev = "Inter-| Receive\n face |bytes\n    lo: 1 1 0 0 0 0 0 0 1 1 0 0 0 0 0 0\n\
                   eth0: 10 1 2 0 0 0 0 0 30 1 4 0 0 0 0 0\nveth1: 5 1 0 0 0 0 0 0 5 1 0 0 0 0 0 0\n";
        let route = "Iface Destination Gateway Flags RefCnt Use Metric Mask\n\
                     eth1 0000A8C0 00000000 0001 0 0 0 00FFFFFF\neth0 00000000 0100A8C0 0003 0 0 0 00000000\n";
        let network = network(dev, route, Timestamp::UNIX_EPOCH).unwrap();
        let eth0 = InterfaceStats { name: "eth0".to_owned(), rx_bytes: 10, rx_errors: 2, tx_bytes: 30, tx_errors: 4 };
        assert_eq!((network.default, network.interfaces), (Some(eth0.clone()), vec![eth0]));
    }

    #[test]
    fn working_set_is_without_inactive_files() {
        let meminfo = "MemTotal: 100 kB\nMemFree: 30 kB\nInactive(file): 20 kB\nAnonPages: 25 kB\n";
        let memory = memory(meminfo, "pgfault 5\npgmajfault 2\n", Timestamp::UNIX_EPOCH);
        assert_eq!(memory.working_set_bytes, Some(50 * 1024));
        assert_eq!(memory.available_bytes, Some(50 * 1024));
        assert_eq!((memory.page_faults, memory.major_page_faults), (Some(5), Some(2)));
    }
}
