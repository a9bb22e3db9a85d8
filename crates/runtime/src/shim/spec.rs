//! What a shim is to run: sandboxes and containers with every decision already taken by the daemon.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// A sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxSpec {
    /// CRI id.
    pub id: String,
    /// Host name of its own UTS namespace, or `None` to stay in the host's.
    pub hostname: Option<String>,
    /// Whether it has a network namespace of its own.
    pub own_network: bool,
    /// Whether it has an IPC namespace of its own.
    pub own_ipc: bool,
    /// Whether its containers share one PID namespace.
    pub shared_pid: bool,
    /// Ids of the host that are the users of its own user namespace, if it has one.
    #[serde(default)]
    pub users: Option<IdRange>,
    /// Kernel parameters of its namespaces, names with dots.
    pub sysctls: BTreeMap<String, String>,
    /// cgroup of the infra container.
    pub cgroup: String,
    /// Files of the sandbox by name, which containers mount.
    pub files: BTreeMap<String, String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_bytes: u64,
    /// How willingly the kernel kills the infra container.
    pub oom_score_adj: i32,
}

/// User and group ids of the host that a Pod's ids from 0 on stand for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// What 0 is.
    pub first: u32,
    /// How many there are.
    pub length: u32,
}

impl IdRange {
    /// What an id of the Pod is on the host, if the Pod has it.
    pub fn on_host(self, id: u32) -> Option<u32> {
        (id < self.length).then(|| self.first.checked_add(id)).flatten()
    }
}

/// A container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// CRI id.
    pub id: String,
    /// Its root file system.
    pub root: RootSpec,
    /// Its first process.
    pub process: ProcessSpec,
    /// Where it sees processes.
    pub pid: PidNamespace,
    /// Directories and files mounted into it, parents before children.
    pub mounts: Vec<MountSpec>,
    /// Files of the sandbox mounted into it.
    pub sandbox_files: Vec<SandboxFileMount>,
    /// Device nodes beside the ordinary ones.
    pub devices: Vec<DeviceSpec>,
    /// Paths hidden from it.
    pub masked_paths: Vec<String>,
    /// Paths it can only read.
    pub read_only_paths: Vec<String>,
    /// Whether it may do nearly everything on the host.
    pub privileged: bool,
    /// Its cgroup.
    pub cgroup: String,
    /// How willingly the kernel kills it.
    pub oom_score_adj: i32,
    /// Log file, if it has one.
    pub log_path: Option<PathBuf>,
    /// Whether its standard input can be written to.
    pub stdin: bool,
    /// Whether standard input ends with the first client that wrote to it.
    pub stdin_once: bool,
}

/// A root file system made of layers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootSpec {
    /// Read-only layers, the uppermost first.
    pub lower: Vec<PathBuf>,
    /// Takes the container's changes.
    pub upper: PathBuf,
    /// Scratch space of the kernel.
    pub work: PathBuf,
    /// Whether the container may change it.
    pub read_only: bool,
}

/// A process in a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Program and arguments; never empty.
    pub argv: Vec<String>,
    /// Environment as `NAME=value`.
    pub env: Vec<String>,
    /// Working directory; made if it is not there.
    pub cwd: String,
    /// `user[:group]`, names or numbers, looked up in the container's own files.
    pub user: String,
    /// Groups beside those the container's files list for the user.
    pub supplemental_groups: Vec<u32>,
    /// Ignore what the container's files list.
    pub strict_groups: bool,
    /// The most it can ever have, as the kernel's mask.
    pub capabilities: u64,
    /// Whether programs it executes can gain privileges.
    pub no_new_privileges: bool,
    /// Compiled system call filter, if any.
    pub seccomp: Option<PathBuf>,
    /// Whether it runs on a terminal.
    pub tty: bool,
}

/// Where a container sees processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum PidNamespace {
    /// Its own; its first process is number 1.
    Own,
    /// That of the sandbox.
    Sandbox,
    /// The host's.
    Host,
    /// That of another container of the sandbox.
    Container(String),
}

/// A directory or file of the host, or the content of an image, mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountSpec {
    /// What is mounted.
    pub source: MountSource,
    /// Path in the container.
    pub target: String,
    /// Nothing can be written through it.
    pub read_only: bool,
    /// The same for what is mounted below the source.
    pub recursive_read_only: bool,
    /// Whether mounts made below it reach the container or the host.
    pub propagation: Propagation,
    /// Whether its owners are users of the sandbox's user namespace rather than the host's.
    #[serde(default)]
    pub own_users: bool,
}

/// What a mount shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum MountSource {
    /// A path of the host.
    Host(PathBuf),
    /// What is in an image.
    Image {
        /// Its layers, the uppermost first; at least two.
        layers: Vec<PathBuf>,
        /// Which part of it; empty for all.
        sub_path: PathBuf,
    },
}

/// A file of the sandbox mounted into a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SandboxFileMount {
    /// Which of [`SandboxSpec::files`].
    pub name: String,
    /// Path in the container.
    pub target: String,
    /// Nothing can be written through it.
    pub read_only: bool,
}

/// Whether mounts made below a mount reach the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From the host to the container.
    HostToContainer,
    /// Both ways.
    Bidirectional,
}

/// A device node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeviceSpec {
    /// Path on the host.
    pub source: PathBuf,
    /// Path in the container.
    pub target: String,
}

/// What became of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ContainerPhase {
    /// Its process runs.
    Running {
        /// On the host.
        pid: i32,
        /// Nanoseconds since the epoch.
        started_at: i64,
        /// Who it runs as.
        user: ResolvedUser,
    },
    /// Its process ended, or could not be started.
    Exited(ContainerExit),
}

/// The end of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerExit {
    /// Exit code, 128 plus the signal, or 128 when it could not be started.
    pub code: i32,
    /// Nanoseconds since the epoch; 0 when it was never started.
    pub started_at: i64,
    /// Nanoseconds since the epoch.
    pub finished_at: i64,
    /// Whether the kernel killed one of its processes for lack of memory.
    pub oom_killed: bool,
    /// Why it could not be started.
    pub start_error: Option<String>,
}

/// Ids a process runs with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ResolvedUser {
    /// User id.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// Supplementary groups.
    pub groups: Vec<u32>,
}

/// The part of `sandbox.json` a shim reads.
#[derive(Debug, Deserialize)]
pub struct SandboxFile {
    /// What to run.
    pub spec: SandboxSpec,
}

/// The part of `container.json` a shim reads.
#[derive(Debug, Deserialize)]
pub struct ContainerFile {
    /// What to run.
    pub spec: ContainerSpec,
}
