//! What new processes do between `clone` and their program: the infra container, a container's first process, and
//! processes executed later. All of this runs in a copy of the shim and ends in `execve` or in a report why not.

use std::convert::Infallible;
use std::ffi::CString;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use linux::cgroup::{Cgroups, Entrance, Version};
use linux::mount::{self, Attributes, Detached};
use linux::namespace::{self, Namespaces};
use linux::process;
use linux::user_namespace;

use super::command;
use super::rootfs::{self, Sources};
use super::setup::{During, Progress, Reporter, Result, SetupError};
use super::spec::{ContainerSpec, PidNamespace, ProcessSpec, SandboxSpec};
use super::stdio::ChildStdio;
use super::users::{Entry, Users};

/// Directory of the sandbox's shared memory in the infra container.
const PAUSE_SHM: &str = "/shm";
/// Directory of the sandbox's files in the infra container.
const PAUSE_FILES: &str = "/files";

/// Becomes the infra container: its own root with nothing in it but the Pod's shared memory. With users of its own it
/// waits for one byte through `mapped`, which says that they are somebody.
pub fn become_pause(
    spec: &SandboxSpec,
    mountpoint: &Path,
    program: BorrowedFd<'_>,
    entrance: &Entrance,
    mapped: Option<&io::PipeReader>,
    reporter: &Reporter,
) -> Infallible {
    let outcome = prepare_pause(spec, mountpoint, entrance, mapped, reporter).map(|()| {
        let error = process::exec_file(program, &[CString::from(c"/pause")], &[]);
        SetupError::Step { act: "execute the infra container".into(), source: error }
    });
    match outcome {
        Ok(error) | Err(error) => reporter.give_up(&error),
    }
}

fn prepare_pause(
    spec: &SandboxSpec,
    mountpoint: &Path,
    entrance: &Entrance,
    mapped: Option<&io::PipeReader>,
    reporter: &Reporter,
) -> Result<()> {
    process::die_with_parent().during("bind life to shim")?;
    if let Some(mut mapped) = mapped {
        mapped.read_exact(&mut [0]).during("wait for the Pod's users")?;
    }
    entrance.enter().during("enter cgroup")?;
    set_oom_score_adj(spec.oom_score_adj, reporter)?;
    if let Some(hostname) = &spec.hostname {
        namespace::set_hostname(hostname).during(format_args!("set host name {hostname:?}"))?;
    }
    mount::isolate().during("isolate mounts")?;
    let attributes = Attributes { no_suid: true, no_dev: true, no_exec: true, read_only: false };
    let tmpfs = |options: &[(&str, &str)]| Detached::new("tmpfs", options, attributes).during("create tmpfs");
    let target = mount::open_path(mountpoint, false).during("open mount point")?;
    let options = [("mode", "0755"), ("size", "1m"), ("uid", "0"), ("gid", "0")];
    tmpfs(&options)?.attach(target.as_fd()).during("mount root of the infra container")?;
    // The host's root finds the way here, and the Pod's may not.
    std::env::set_current_dir(mountpoint).during("enter root of the infra container")?;
    if mapped.is_some() {
        user_namespace::become_root().during("become root of the user namespace")?;
        // The change made the kernel forget it.
        process::die_with_parent().during("bind life to shim")?;
    }
    spec.sysctls.iter().try_for_each(|(name, value)| set_sysctl(name, value))?;
    mount::pivot(Path::new(".")).during("change root")?;
    fs::create_dir(PAUSE_FILES).during("create /files")?;
    for (name, content) in &spec.files {
        fs::write(Path::new(PAUSE_FILES).join(name), content).during(format_args!("write {name}"))?;
    }
    fs::create_dir(PAUSE_SHM).during("create /shm")?;
    let shm = mount::open_path(Path::new(PAUSE_SHM), false).during("open /shm")?;
    let size = spec.shm_bytes.to_string();
    tmpfs(&[("mode", "1777"), ("size", &size)])?.attach(shm.as_fd()).during("mount /shm")
}

fn set_sysctl(name: &str, value: &str) -> Result<()> {
    // Slashes and dots trade places in names that contain a dot themselves, such as those of interfaces.
    let path = if name.contains('/') { name.to_owned() } else { name.replace('.', "/") };
    fs::write(Path::new("/proc/sys").join(path), value).during(format_args!("set sysctl {name}={value}"))
}

/// What a container's first process needs of its sandbox.
pub struct Surroundings<'a> {
    /// The infra container, whose namespaces it joins.
    pub pause: BorrowedFd<'a>,
    /// Which of them are the sandbox's own.
    pub sandbox: &'a SandboxSpec,
    /// Where to mount its root.
    pub mountpoint: PathBuf,
    /// The Pod's users, if they are not the host's.
    pub users: Option<&'a Users>,
    /// The host's mount namespace.
    pub host_mounts: BorrowedFd<'a>,
    /// The host's cgroups.
    pub cgroups: &'a Cgroups,
}

impl Surroundings<'_> {
    /// The sandbox's namespaces a container joins.
    fn shared_namespaces(&self) -> Namespaces {
        Namespaces::NETWORK.when(self.sandbox.own_network)
            | Namespaces::IPC.when(self.sandbox.own_ipc)
            | Namespaces::UTS.when(self.sandbox.hostname.is_some())
    }
}

/// Namespaces a container's first process is born into.
pub fn birth_namespaces(spec: &ContainerSpec) -> Namespaces {
    Namespaces::PID.when(spec.pid == PidNamespace::Own)
}

/// Becomes a container's first process.
pub fn become_container(
    spec: &ContainerSpec,
    surroundings: &Surroundings<'_>,
    entrance: &Entrance,
    stdio: ChildStdio,
    reporter: &Reporter,
) -> Infallible {
    let error = match enter_container(spec, surroundings, entrance, reporter) {
        Ok(filter) => {
            let users = surroundings.users.map(|users| (users, Entry::First));
            command::run(&spec.process, filter.as_ref(), stdio, users, reporter)
        }
        Err(error) => error,
    };
    reporter.give_up(&error)
}

fn enter_container(
    spec: &ContainerSpec,
    surroundings: &Surroundings<'_>,
    entrance: &Entrance,
    reporter: &Reporter,
) -> Result<Option<linux::seccomp::Program>> {
    entrance.enter().during("enter cgroup")?;
    set_oom_score_adj(spec.oom_score_adj, reporter)?;
    let filter = command::load_filter(&spec.process)?;
    let (shm, files) = from_sandbox(spec, surroundings)?;
    let version = surroundings.cgroups.version();
    let cgroups = match version {
        Version::V1 => {
            surroundings.cgroups.directories(&spec.cgroup).map_err(|error| SetupError::Other(error.to_string()))?
        }
        Version::V2 => Vec::new(),
    };
    let sources = Sources::open(spec, shm, files, &cgroups, surroundings.users)?;
    namespace::join(surroundings.pause, surroundings.shared_namespaces()).during("join the sandbox's namespaces")?;
    namespace::unshare(Namespaces::MOUNT | Namespaces::CGROUP.when(version == Version::V2))
        .during("create namespaces")?;
    rootfs::enter(spec, &surroundings.mountpoint, sources, surroundings.users)?;
    Ok(filter)
}

/// What the sandbox's containers share, memory and files: found in the infra container, because only there is it
/// mounted.
fn from_sandbox(spec: &ContainerSpec, surroundings: &Surroundings<'_>) -> Result<(Detached, Vec<(String, Detached)>)> {
    namespace::join(surroundings.pause, Namespaces::MOUNT).during("join the infra container")?;
    let files = spec.sandbox_files.iter().map(|mount| {
        let act = || format!("open the sandbox's {}", mount.name);
        let tree = Detached::clone_of(&Path::new(PAUSE_FILES).join(&mount.name), false).during(act())?;
        let attributes = Attributes { read_only: mount.read_only, ..Attributes::default() };
        tree.set(attributes, Some(mount::Propagation::Private), false).during(act())?;
        Ok((mount.target.clone(), tree))
    });
    let files = files.collect::<Result<_>>()?;
    let own = surroundings.sandbox.own_ipc;
    let shm = own.then(|| Detached::clone_of(Path::new(PAUSE_SHM), false)).transpose();
    let shm = shm.during("open the sandbox's shared memory")?;
    namespace::join_mounts(surroundings.host_mounts).during("return to the host's mounts")?;
    let shm = match shm {
        Some(shm) => shm,
        None => Detached::clone_of(Path::new("/dev/shm"), false).during("open /dev/shm")?,
    };
    Ok((shm, files))
}

/// Becomes another process of a running container.
pub fn become_exec(
    spec: &ProcessSpec,
    container: BorrowedFd<'_>,
    entrance: &Entrance,
    oom_score_adj: i32,
    stdio: ChildStdio,
    users: Option<&Users>,
    reporter: &Reporter,
) -> Infallible {
    let enter = || {
        entrance.enter().during("enter cgroup")?;
        set_oom_score_adj(oom_score_adj, reporter)?;
        let filter = command::load_filter(spec)?;
        let namespaces =
            Namespaces::NETWORK | Namespaces::IPC | Namespaces::UTS | Namespaces::CGROUP | Namespaces::MOUNT;
        namespace::join(container, namespaces).during("join the container")?;
        Ok(filter)
    };
    let error = match enter() {
        Ok(filter) => command::run(spec, filter.as_ref(), stdio, users.map(|users| (users, Entry::Later)), reporter),
        Err(error) => error,
    };
    reporter.give_up(&error)
}

/// Sets how willingly the kernel kills this process. Without the privilege to lower the score it stays where it is.
fn set_oom_score_adj(score: i32, reporter: &Reporter) -> Result<()> {
    match fs::write("/proc/self/oom_score_adj", score.to_string()) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            reporter.tell(&Progress::Warning(format!("oom_score_adj {score} refused by the kernel")), &[]);
            Ok(())
        }
        outcome => outcome.during(format_args!("set oom_score_adj to {score}")),
    }
}

/// The mount namespace this process is in.
///
/// # Errors
/// When `/proc` is not there.
pub fn own_mount_namespace() -> io::Result<File> {
    File::open("/proc/self/ns/mnt")
}
