//! What a cgroup uses.

#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};

use super::layout::{Controller, Layout};
use super::{Error, Result, read_file};

/// CPU and memory use of a cgroup and everything below it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time used so far.
    pub cpu_nanoseconds: u64,
    /// Memory in use, page cache included.
    pub memory_usage_bytes: u64,
    /// Memory that can't be reclaimed easily: usage without inactive file pages. What the kubelet calls working set.
    pub memory_working_set_bytes: u64,
    /// Anonymous memory.
    pub memory_rss_bytes: u64,
    /// Page faults so far.
    pub page_faults: u64,
    /// Page faults that needed I/O.
    pub major_page_faults: u64,
    /// The cgroup's own memory limit, if it has one.
    pub memory_limit_bytes: Option<u64>,
    /// Swap in use, where swap is accounted.
    pub swap_bytes: Option<u64>,
    /// Tasks now, where they are counted.
    pub tasks: Option<u64>,
}

/// Names of the same figures in the two versions' `memory.stat`.
struct MemoryNames {
    usage: &'static str,
    limit: &'static str,
    /// Version 1 counts memory and swap together, version 2 swap alone.
    swap: &'static str,
    inactive_file: &'static str,
    rss: &'static str,
    faults: &'static str,
    major_faults: &'static str,
}

const V1: MemoryNames = MemoryNames {
    usage: "memory.usage_in_bytes",
    limit: "memory.limit_in_bytes",
    swap: "memory.memsw.usage_in_bytes",
    inactive_file: "total_inactive_file",
    rss: "total_rss",
    faults: "total_pgfault",
    major_faults: "total_pgmajfault",
};

const V2: MemoryNames = MemoryNames {
    usage: "memory.current",
    limit: "memory.max",
    swap: "memory.swap.current",
    inactive_file: "inactive_file",
    rss: "anon",
    faults: "pgfault",
    major_faults: "pgmajfault",
};

pub(super) fn usage(layout: &Layout, path: &Path) -> Result<Usage> {
    let names = match layout {
        Layout::V1(_) => &V1,
        Layout::V2(_) => &V2,
    };
    let memory = layout.main_root().join(path);
    let memory_usage_bytes = read_number(memory.join(names.usage))?;
    let stat_path = memory.join("memory.stat");
    let stat = read_file(&stat_path)?;
    let figure = |name: &str| value_of(&stat, name).unwrap_or(0);
    let optional = |name: &str| read_file(&memory.join(name)).ok();
    let swap = optional(names.swap).and_then(|text| text.trim().parse::<u64>().ok());
    Ok(Usage {
        cpu_nanoseconds: cpu_nanoseconds(layout, path)?,
        memory_usage_bytes,
        memory_working_set_bytes: memory_usage_bytes.saturating_sub(figure(names.inactive_file)),
        memory_rss_bytes: figure(names.rss),
        page_faults: figure(names.faults),
        major_page_faults: figure(names.major_faults),
        memory_limit_bytes: optional(names.limit).and_then(|text| limit(&text)),
        swap_bytes: match layout {
            Layout::V1(_) => swap.map(|both| both.saturating_sub(memory_usage_bytes)),
            Layout::V2(_) => swap,
        },
        tasks: tasks(layout, path),
    })
}

/// Version 1 says "no limit" with the largest number of pages there can be, version 2 with a word.
fn limit(text: &str) -> Option<u64> {
    const UNLIMITED: u64 = i64::MAX as u64 & !0xffff;
    text.trim().parse().ok().filter(|bytes| *bytes < UNLIMITED)
}

fn tasks(layout: &Layout, path: &Path) -> Option<u64> {
    let directory = layout.root(Controller::Pids)?.join(path);
    read_number(directory.join("pids.current")).ok()
}

fn cpu_nanoseconds(layout: &Layout, path: &Path) -> Result<u64> {
    match layout {
        Layout::V1(_) => match layout.root(Controller::Cpuacct) {
            Some(root) => read_number(root.join(path).join("cpuacct.usage")),
            None => Ok(0),
        },
        Layout::V2(root) => {
            let file = root.join(path).join("cpu.stat");
            let stat = read_file(&file)?;
            value_of(&stat, "usage_usec").map(|us| us.saturating_mul(1000)).ok_or(Error::Malformed { path: file })
        }
    }
}

pub(super) fn oom_kills(layout: &Layout, path: &Path) -> Result<u64> {
    let file = match layout {
        Layout::V1(_) => "memory.oom_control",
        Layout::V2(_) => "memory.events",
    };
    let file = layout.main_root().join(path).join(file);
    let text = read_file(&file)?;
    value_of(&text, "oom_kill").ok_or(Error::Malformed { path: file })
}

fn read_number(path: PathBuf) -> Result<u64> {
    read_file(&path)?.trim().parse().map_err(|_| Error::Malformed { path })
}

/// The number after a name in a file of `name value` lines.
pub(super) fn value_of(text: &str, name: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
}
