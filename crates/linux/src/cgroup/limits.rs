//! Limits as Kubernetes states them, and the files they end up in. Pure.

use std::collections::BTreeMap;

use super::layout::{Controller, Version};

/// CPU bandwidth period Kubernetes uses, in microseconds.
pub const CPU_PERIOD_US: u64 = 100_000;
const MIN_SHARES: u64 = 2;
const MAX_SHARES: u64 = 262_144;
const MIN_QUOTA_US: i64 = 1_000;

/// Limits to apply; `None` leaves the present value alone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Limits {
    /// Relative CPU weight in version 1's scale (2 to 262144).
    pub cpu_shares: Option<u64>,
    /// CPU time per period in microseconds; negative means no limit.
    pub cpu_quota_us: Option<i64>,
    /// Length of the period in microseconds.
    pub cpu_period_us: Option<u64>,
    /// Memory in bytes; negative means no limit.
    pub memory_bytes: Option<i64>,
    /// Memory and swap together in bytes; negative means no limit.
    pub memory_swap_bytes: Option<i64>,
    /// Number of processes; negative means no limit.
    pub pids: Option<i64>,
    /// CPUs to run on, as `0-3,7`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes to allocate from.
    pub cpuset_mems: Option<String>,
    /// Bytes in large pages, by size as the kernel writes it (`2MB`).
    pub hugepages: BTreeMap<String, u64>,
    /// Access to devices that is taken away, in the words of version 1: `c 1:5 w`. Version 2 cannot.
    pub device_denials: Vec<String>,
    /// Files of version 2 and what to write to them; version 1 has none of them.
    pub unified: BTreeMap<String, String>,
}

/// One file of a cgroup to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    pub controller: Controller,
    pub file: String,
    pub value: String,
}

impl Limits {
    pub(super) fn needs_cpuset(&self) -> bool {
        self.cpuset_cpus.is_some() || self.cpuset_mems.is_some()
    }

    pub(super) fn writes(&self, version: Version) -> Vec<Write> {
        match version {
            Version::V1 => self.writes_v1(),
            Version::V2 => self.writes_v2(),
        }
    }

    fn writes_v1(&self) -> Vec<Write> {
        use Controller::{Cpu, Cpuset, Devices, Memory, Pids};
        let number = |value: &i64| value.to_string();
        [
            (Cpu, "cpu.shares", self.cpu_shares.map(|shares| shares.to_string())),
            (Cpu, "cpu.cfs_period_us", self.cpu_period_us.map(|period| period.to_string())),
            (Cpu, "cpu.cfs_quota_us", self.cpu_quota_us.map(|quota| quota.max(-1).to_string())),
            (Memory, "memory.limit_in_bytes", self.memory_bytes.map(|bytes| bytes.max(-1).to_string())),
            (Memory, "memory.memsw.limit_in_bytes", self.memory_swap_bytes.as_ref().map(number)),
            (Pids, "pids.max", self.pids.map(max_or_number)),
            (Cpuset, "cpuset.cpus", self.cpuset_cpus.clone()),
            (Cpuset, "cpuset.mems", self.cpuset_mems.clone()),
        ]
        .into_iter()
        .filter_map(|(controller, file, value)| Some(Write { controller, file: file.into(), value: value? }))
        .chain(self.hugepage_writes("limit_in_bytes"))
        .chain(self.device_denials.iter().map(|denial| Write {
            controller: Devices,
            file: "devices.deny".to_owned(),
            value: denial.clone(),
        }))
        .collect()
    }

    fn hugepage_writes(&self, file: &str) -> impl Iterator<Item = Write> {
        self.hugepages.iter().map(move |(size, bytes)| Write {
            controller: Controller::Hugetlb,
            file: format!("hugetlb.{size}.{file}"),
            value: bytes.to_string(),
        })
    }

    fn writes_v2(&self) -> Vec<Write> {
        use Controller::{Cpu, Cpuset, Memory, Pids};
        let bandwidth = match (self.cpu_quota_us, self.cpu_period_us) {
            (None, None) => None,
            (quota, period) => Some(format!(
                "{} {}",
                quota.map_or_else(|| "max".to_owned(), max_or_number),
                period.unwrap_or(CPU_PERIOD_US)
            )),
        };
        // Version 2 counts swap apart from memory.
        let swap = match (self.memory_swap_bytes, self.memory_bytes) {
            (Some(total), _) if total < 0 => Some("max".to_owned()),
            (Some(total), Some(memory)) if memory >= 0 => Some((total - memory).max(0).to_string()),
            _ => None,
        };
        [
            (Cpu, "cpu.weight", self.cpu_shares.map(|shares| weight_from_shares(shares).to_string())),
            (Cpu, "cpu.max", bandwidth),
            (Memory, "memory.max", self.memory_bytes.map(max_or_number)),
            (Memory, "memory.swap.max", swap),
            (Pids, "pids.max", self.pids.map(max_or_number)),
            (Cpuset, "cpuset.cpus", self.cpuset_cpus.clone()),
            (Cpuset, "cpuset.mems", self.cpuset_mems.clone()),
        ]
        .into_iter()
        .filter_map(|(controller, file, value)| Some(Write { controller, file: file.into(), value: value? }))
        .chain(self.hugepage_writes("max"))
        .chain(self.unified.iter().map(|(file, value)| Write {
            controller: Memory,
            file: file.clone(),
            value: value.clone(),
        }))
        .collect()
    }
}

fn max_or_number(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

/// CPU shares of a request in thousandths of a CPU; the smallest weight for none.
pub fn shares_from_milli_cpu(milli_cpu: i64) -> u64 {
    let shares = u64::try_from(milli_cpu).unwrap_or(0).saturating_mul(1024) / 1000;
    shares.clamp(MIN_SHARES, MAX_SHARES)
}

/// CPU quota in microseconds of a limit in thousandths of a CPU, for a period in microseconds; 0 (no limit) for none.
pub fn quota_from_milli_cpu(milli_cpu: i64, period_us: u64) -> i64 {
    if milli_cpu <= 0 {
        return 0;
    }
    let period = i64::try_from(period_us).unwrap_or(i64::MAX);
    (milli_cpu.saturating_mul(period) / 1000).max(MIN_QUOTA_US)
}

/// Version 2's `cpu.weight` (1 to 10000) of version 1's shares (2 to 262144): the curve that maps both ends and the
/// defaults (1024 shares, weight 100) onto each other, as runc and crun have it.
pub fn weight_from_shares(shares: u64) -> u64 {
    if shares <= MIN_SHARES {
        return 1;
    }
    if shares >= MAX_SHARES {
        return 10_000;
    }
    let log = (shares as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    10f64.powf(exponent).ceil() as u64
}
