//! What is on the host, to see what a cluster leaves behind.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// Everything that a container runtime might leave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    mounts: BTreeSet<String>,
    links: BTreeSet<String>,
    cgroups: BTreeSet<String>,
    nftables: BTreeSet<String>,
    processes: BTreeSet<String>,
}

impl Host {
    /// Looks at the host.
    ///
    /// # Errors
    /// When something can't be read.
    pub fn observe() -> Result<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let mount_point = |line: &str| line.split(' ').nth(4).map(str::to_owned);
        let mut cgroups = BTreeSet::new();
        list_directories(Path::new("/sys/fs/cgroup"), &mut cgroups)?;
        Ok(Self {
            mounts: mounts.lines().filter_map(mount_point).collect(),
            links: names_in("/sys/class/net")?,
            cgroups,
            nftables: nftables()?,
            processes: processes()?,
        })
    }

    /// What is here of a cluster that was not there before, one line each. Only what has the cluster's id or data
    /// directory in its name counts: the host has other users.
    pub fn left_behind(&self, before: &Self, data_dir: &Path, id: &str) -> Vec<String> {
        let data_dir = data_dir.to_string_lossy().into_owned();
        let pairs = [
            ("mount", &self.mounts, &before.mounts),
            ("link", &self.links, &before.links),
            ("cgroup", &self.cgroups, &before.cgroups),
            ("nftables table", &self.nftables, &before.nftables),
            ("process", &self.processes, &before.processes),
        ];
        let of_cluster = |name: &str| name.contains(id) || name.contains(&data_dir);
        let mut left = Vec::new();
        for (kind, now, then) in pairs {
            left.extend(now.difference(then).filter(|name| of_cluster(name)).map(|name| format!("{kind} {name}")));
        }
        left
    }
}

fn names_in(directory: &str) -> Result<BTreeSet<String>> {
    let names = fs::read_dir(directory)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    names.collect()
}

/// Control groups come and go while one looks.
fn list_directories(directory: &Path, found: &mut BTreeSet<String>) -> Result<()> {
    let Ok(entries) = fs::read_dir(directory) else { return Ok(()) };
    for entry in entries.flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.insert(entry.path().to_string_lossy().into_owned());
            list_directories(&entry.path(), found)?;
        }
    }
    Ok(())
}

/// Processes by command line and control groups, which tell whose containers they are in.
fn processes() -> Result<BTreeSet<String>> {
    let line = |process: Process| format!("{} {} {}", process.pid, process.command, process.cgroups.replace('\n', " "));
    Ok(running()?.into_iter().map(line).collect())
}

/// The id in the names of a cluster's bridge, tables and control groups, found by one of its containers: its shim's
/// control group or its own is `isopod-<id>`.
///
/// # Errors
/// When no container of the cluster runs.
pub fn cluster_id(containers: &[Process]) -> Result<String> {
    let id = |process: &Process| {
        let (_, rest) = process.cgroups.split_once("/isopod-")?;
        Some(rest.split(['/', '\n']).next()?.to_owned())
    };
    containers.iter().find_map(id).context("no container of the cluster runs")
}

/// One running process.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// Its command line, with spaces between the arguments.
    pub command: String,
    /// `/proc/<pid>/cgroup`.
    pub cgroups: String,
    /// Its parent's id.
    pub parent: u32,
}

/// All processes of the host but this one and the kernel's.
///
/// # Errors
/// When `/proc` can't be read.
pub fn running() -> Result<Vec<Process>> {
    let pids = fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let mut processes: Vec<Process> = pids.filter(|pid| *pid != std::process::id()).filter_map(process).collect();
    processes.sort_by_key(|process| process.pid);
    Ok(processes)
}

/// `None` for kernel threads and for what has just ended.
fn process(pid: u32) -> Option<Process> {
    let read = |file: &str| fs::read(format!("/proc/{pid}/{file}")).ok();
    let command = String::from_utf8_lossy(&read("cmdline")?).replace('\0', " ").trim().to_owned();
    let stat = String::from_utf8_lossy(&read("stat")?).into_owned();
    // The name before it is in parentheses and may hold anything.
    let parent = stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()?;
    let cgroups = String::from_utf8_lossy(&read("cgroup")?).into_owned();
    (!command.is_empty()).then_some(Process { pid, command, cgroups, parent })
}

fn nftables() -> Result<BTreeSet<String>> {
    let output = Command::new("nft").args(["list", "tables"]).output().context("running nft")?;
    ensure!(output.status.success(), "nft failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}
