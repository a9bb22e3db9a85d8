//! What a cluster has on the host: processes, cgroups, mounts, links, rules and files, each by the Pod it belongs to.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::Value;

use crate::host::{self, Process};

/// A process in a Pod's cgroup.
#[derive(Debug, Clone)]
pub struct Member {
    /// Its id.
    pub pid: u32,
    /// Its parent's.
    pub parent: u32,
    /// The Pod.
    pub uid: String,
    /// The container, or the sandbox for the pause process.
    pub container: String,
    /// Its command line.
    pub command: String,
}

/// A shim.
#[derive(Debug, Clone)]
pub struct Shim {
    /// Its id.
    pub pid: u32,
    /// Its sandbox.
    pub sandbox: String,
}

/// One look at the host.
#[derive(Debug, Default)]
pub struct World {
    /// Shims.
    pub shims: Vec<Shim>,
    /// Processes in Pods.
    pub members: Vec<Member>,
    /// UIDs of Pods that have a cgroup.
    pub pod_cgroups: BTreeSet<String>,
    /// UIDs of Pods that have a mount.
    pub mounts: BTreeSet<String>,
    /// Links on the cluster's bridge.
    pub links: BTreeSet<String>,
    /// Links that the network's records name, by sandbox.
    pub network_records: BTreeMap<String, String>,
    /// Rules that forward ports.
    pub port_rules: usize,
    /// UIDs of Pods that have a directory of the kubelet.
    pub pod_directories: BTreeSet<String>,
    /// UIDs of Pods that have logs.
    pub log_directories: BTreeSet<String>,
    /// Sandboxes that have a directory.
    pub sandboxes: BTreeSet<String>,
    /// Containers that have a root file system.
    pub snapshots: BTreeSet<String>,
}

impl World {
    /// Looks.
    ///
    /// # Errors
    /// When something can't be read.
    pub fn observe(data_dir: &Path, id: &str) -> Result<Self> {
        let processes = host::running()?;
        let kubelet_pods = format!("{}/kubelet/pods/", data_dir.display());
        let mountinfo = fs::read_to_string("/proc/self/mountinfo")?;
        let below_pod = |line: &str| {
            let path = line.split(' ').nth(4)?.strip_prefix(&kubelet_pods)?;
            path.split('/').next().map(str::to_owned)
        };
        let log_uid = |name: String| name.rsplit('_').next().map(str::to_owned);
        Ok(Self {
            shims: processes.iter().filter_map(|process| shim(process, data_dir)).collect(),
            members: processes.iter().filter_map(|process| member(process, id)).collect(),
            pod_cgroups: pod_cgroups(id),
            mounts: mountinfo.lines().filter_map(below_pod).collect(),
            links: links(&format!("iso-{id}")),
            network_records: network_records(data_dir),
            port_rules: port_rules(id)?,
            pod_directories: names_in(&data_dir.join("kubelet/pods")),
            log_directories: names_in(&data_dir.join("log/pods")).into_iter().filter_map(log_uid).collect(),
            sandboxes: names_in(&data_dir.join("runtime/sandboxes")),
            snapshots: names_in(&data_dir.join("images/snapshots")),
        })
    }

    /// The pause processes: members whose container is a sandbox that has a shim.
    pub fn pauses(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| self.shims.iter().any(|shim| shim.sandbox == member.container))
    }

    /// First processes of containers.
    pub fn inits(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|member| {
            self.shims.iter().any(|shim| shim.pid == member.parent && shim.sandbox != member.container)
        })
    }
}

/// The id that a cluster's things on the host are named by: a hash of its directory, as the README tells.
///
/// # Errors
/// When the directory is not there.
pub fn cluster_id(data_dir: &Path) -> Result<String> {
    let path = data_dir.canonicalize().with_context(|| format!("opening {data_dir:?}"))?;
    let add = |hash: u32, byte: &u8| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
    let hash = path.as_os_str().as_encoded_bytes().iter().fold(0x811c_9dc5_u32, add);
    Ok(format!("{hash:08x}"))
}

fn shim(process: &Process, data_dir: &Path) -> Option<Shim> {
    let sandboxes = format!("shim {}/runtime/sandboxes/", data_dir.display());
    let (_, sandbox) = process.command.split_once(&sandboxes)?;
    Some(Shim { pid: process.pid, sandbox: sandbox.split(' ').next()?.to_owned() })
}

fn member(process: &Process, id: &str) -> Option<Member> {
    let (_, below) = process.cgroups.split_once(&format!("/isopod-{id}/kubepods/"))?;
    let path = below.lines().next()?;
    let mut parts = path.split('/').skip_while(|part| !part.starts_with("pod"));
    let uid = parts.next()?.strip_prefix("pod")?.to_owned();
    let container = parts.next().unwrap_or_default().to_owned();
    let Process { pid, parent, command, .. } = process.clone();
    Some(Member { pid, parent, uid, container, command })
}

fn pod_cgroups(id: &str) -> BTreeSet<String> {
    let own = format!("isopod-{id}");
    let mut roots: Vec<_> = names_in(Path::new("/sys/fs/cgroup"))
        .into_iter()
        .map(|controller| Path::new("/sys/fs/cgroup").join(controller).join(&own))
        .collect();
    roots.push(Path::new("/sys/fs/cgroup").join(&own));
    let levels = ["kubepods", "kubepods/burstable", "kubepods/besteffort"];
    let names = roots.iter().flat_map(|root| levels.map(|level| names_in(&root.join(level)))).flatten();
    names.filter_map(|name| name.strip_prefix("pod").map(str::to_owned)).filter(|uid| uid.len() == 36).collect()
}

fn links(bridge: &str) -> BTreeSet<String> {
    let attached = |name: &String| {
        let master = fs::read_link(Path::new("/sys/class/net").join(name).join("master"));
        master.is_ok_and(|master| master.file_name().is_some_and(|name| name == bridge))
    };
    names_in(Path::new("/sys/class/net")).into_iter().filter(attached).collect()
}

fn network_records(data_dir: &Path) -> BTreeMap<String, String> {
    let directory = data_dir.join("network");
    let record = |name: String| {
        let sandbox = name.strip_suffix(".json")?.to_owned();
        let content = fs::read(directory.join(&name)).ok()?;
        let record: Value = serde_json::from_slice(&content).unwrap_or_default();
        Some((sandbox, record["interface"].as_str().unwrap_or_default().to_owned()))
    };
    names_in(&directory).into_iter().filter_map(record).collect()
}

fn port_rules(id: &str) -> Result<usize> {
    let table = format!("isopod-{id}");
    let output = Command::new("nft").args(["list", "table", "inet", &table]).output().context("running nft")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text.lines().filter(|line| line.contains("dport 42")).count())
}

/// Nothing when there is no such directory.
fn names_in(directory: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}
