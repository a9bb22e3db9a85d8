//! Control groups, version 1, hybrid and version 2, behind one set of calls.
//!
//! A cgroup is named by one relative path that is the same below every controller's mount point: Kubernetes' tree
//! (`isopod-x/kubepods/burstable/pod<uid>/<container>`) never differs per controller. On version 1 four controllers are
//! used (`cpu`, `cpuacct`, `memory`, `pids`); `cpuset`, `hugetlb` and `devices` join when a limit asks for them. Which
//! devices there are is not controlled here: containers get `nodev` mounts instead, which needs neither the `devices`
//! controller nor a BPF program. Only a device that may be read but not written needs the former.
//!
//! What these calls decide is pure ([`limits`]); the rest reads and writes files.

mod layout;
pub mod limits;
mod memory_event;
mod stats;
#[cfg(test)]
mod tests;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

pub use layout::{Controller, Version};
pub use limits::Limits;
pub use memory_event::MemoryEvent;
pub use stats::Usage;

use layout::Layout;

/// Why a call on a cgroup failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The host has no usable cgroup file system.
    #[error("no usable cgroup file system: {0}")]
    Detect(String),
    /// The path leaves the tree or is empty.
    #[error("cgroup path {0:?} is not a plain relative path")]
    InvalidPath(PathBuf),
    /// A directory could not be made.
    #[error("create cgroup {path}")]
    Create {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file could not be written.
    #[error("write {value:?} to {path}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What was written.
        value: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file could not be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
    /// A file holds something else than the kernel documents.
    #[error("unexpected content in {path}")]
    Malformed {
        /// The file.
        path: PathBuf,
    },
    /// Less memory than is in use already.
    #[error("unable to set memory limit to {limit} (current usage: {usage})")]
    MemoryInUse {
        /// Bytes asked for.
        limit: i64,
        /// Bytes in use.
        usage: u64,
    },
    /// Files of version 2 on a version 1 host.
    #[error("invalid configuration: cannot use unified on cgroup v1")]
    NoUnified,
    /// A device that may be used in part only, where nothing can see to that.
    #[error("access to a device cannot be restricted ({0}) without the devices controller of cgroup v1")]
    NoDeviceRules(String),
    /// A large page size the kernel does not account for.
    #[error("no limit for large pages: {0} is missing")]
    NoHugepages(String),
    /// A directory could not be removed.
    #[error("remove cgroup {path}")]
    Remove {
        /// The directory.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

impl Error {
    /// Whether the kernel took a write for wrong as things are.
    fn is_refusal(&self) -> bool {
        let code = match self {
            Self::Write { source, .. } => source.raw_os_error(),
            _ => None,
        };
        matches!(code, Some(libc::EINVAL | libc::EBUSY))
    }

    fn is_busy(&self) -> bool {
        matches!(self, Self::Write { source, .. } if source.raw_os_error() == Some(libc::EBUSY))
    }
}

/// The outcome of a call on a cgroup.
pub type Result<T> = std::result::Result<T, Error>;

/// The host's cgroup hierarchies. Cheap to clone; holds paths only.
#[derive(Debug, Clone)]
pub struct Cgroups {
    layout: Layout,
    /// Hierarchies that isopod does not use, but other runtimes do: only removal goes there.
    others: Vec<PathBuf>,
}

impl Cgroups {
    /// Finds the mounted hierarchies. Version 1 controllers win where both are mounted (hybrid), because then the
    /// version 2 tree has no controllers to offer.
    ///
    /// # Errors
    /// [`Error::Detect`] when `cpu` and `memory` cannot be controlled.
    pub fn detect() -> Result<Self> {
        let path = Path::new("/proc/self/mountinfo");
        let mountinfo = fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let layout = Layout::from_mountinfo(&mountinfo)?;
        Ok(Self { others: layout.other_roots(&mountinfo), layout })
    }

    /// Which interface the kernel offers here.
    pub fn version(&self) -> Version {
        match &self.layout {
            Layout::V1(_) => Version::V1,
            Layout::V2(_) => Version::V2,
        }
    }

    /// Creates the cgroup and missing parents, then applies the limits. One that exists is only given the limits.
    ///
    /// # Errors
    /// [`Error::Create`] or [`Error::Write`], naming the file.
    pub fn create(&self, path: impl AsRef<Path>, limits: &Limits) -> Result<()> {
        let path = relative(path.as_ref())?;
        match &self.layout {
            Layout::V1(hierarchies) => {
                for (controller, root) in hierarchies {
                    match controller {
                        Controller::Cpuset if limits.needs_cpuset() => create_cpuset(root, path)?,
                        Controller::Hugetlb if !limits.hugepages.is_empty() => create_all(&root.join(path))?,
                        Controller::Devices if !limits.device_denials.is_empty() => create_all(&root.join(path))?,
                        Controller::Cpuset | Controller::Hugetlb | Controller::Devices => {}
                        _ => create_all(&root.join(path))?,
                    }
                }
            }
            Layout::V2(root) => create_v2(root, path)?,
        }
        self.apply(path, limits)
    }

    /// Applies the limits that are set; the others stay as they are. Memory that is in use is not taken away.
    ///
    /// # Errors
    /// [`Error::MemoryInUse`]; [`Error::Write`], naming file and value.
    pub fn apply(&self, path: impl AsRef<Path>, limits: &Limits) -> Result<()> {
        let path = relative(path.as_ref())?;
        if self.version() == Version::V1 && !limits.unified.is_empty() {
            return Err(Error::NoUnified);
        }
        if self.layout.root(Controller::Devices).is_none_or(|_| self.version() == Version::V2)
            && let Some(denial) = limits.device_denials.first()
        {
            return Err(Error::NoDeviceRules(denial.clone()));
        }
        self.refuse_memory_in_use(path, limits)?;
        self.settle(path, limits.writes(self.version()), limits)
    }

    /// Some files limit each other: memory and memory with swap, CPU quota and period. What one refuses now it may take
    /// once the other is written, so the refused come last, once more.
    fn settle(&self, path: &Path, writes: Vec<limits::Write>, limits: &Limits) -> Result<()> {
        let mut refused = Vec::new();
        for write in writes {
            if let Err(error) = self.write(path, &write) {
                if !error.is_refusal() {
                    return Err(error);
                }
                refused.push(write);
            }
        }
        for write in refused {
            let outcome = self.write(path, &write);
            outcome.map_err(|error| match limits.memory_bytes {
                Some(limit) if error.is_busy() => self.memory_in_use(path, limit),
                _ => error,
            })?;
        }
        Ok(())
    }

    fn write(&self, path: &Path, write: &limits::Write) -> Result<()> {
        let Some(root) = self.layout.root(write.controller) else {
            // A host without large pages has none to limit; asking for some is another matter.
            let asked = write.controller == Controller::Hugetlb && write.value != "0";
            return if asked { Err(Error::NoHugepages(write.file.clone())) } else { Ok(()) };
        };
        write_file(&root.join(path).join(&write.file), &write.value)
    }

    /// Version 1 refuses by itself what it cannot reclaim; version 2 would end processes instead.
    fn refuse_memory_in_use(&self, path: &Path, limits: &Limits) -> Result<()> {
        let Some(limit @ 1..) = limits.memory_bytes.filter(|_| self.version() == Version::V2) else { return Ok(()) };
        match self.usage(path) {
            Ok(usage) if limit.unsigned_abs() <= usage.memory_usage_bytes => Err(self.memory_in_use(path, limit)),
            _ => Ok(()),
        }
    }

    fn memory_in_use(&self, path: &Path, limit: i64) -> Error {
        let usage = self.usage(path).unwrap_or_default().memory_usage_bytes;
        Error::MemoryInUse { limit, usage }
    }

    /// Whether the cgroup exists.
    pub fn exists(&self, path: impl AsRef<Path>) -> bool {
        relative(path.as_ref()).is_ok_and(|path| self.layout.roots().any(|root| root.join(path).is_dir()))
    }

    /// The cgroup's directory in the hierarchy of one controller, if that hierarchy is mounted.
    pub fn directory(&self, controller: Controller, path: impl AsRef<Path>) -> Option<PathBuf> {
        Some(self.layout.root(controller)?.join(relative(path.as_ref()).ok()?))
    }

    /// Directories of the cgroup by controller name: what a container sees below `/sys/fs/cgroup`. Version 2 has one,
    /// with an empty name.
    pub fn directories(&self, path: impl AsRef<Path>) -> Result<Vec<(&'static str, PathBuf)>> {
        let path = relative(path.as_ref())?;
        Ok(match &self.layout {
            Layout::V1(hierarchies) => hierarchies
                .iter()
                .map(|(controller, root)| (controller.name(), root.join(path)))
                .filter(|(_, directory)| directory.is_dir())
                .collect(),
            Layout::V2(root) => vec![("", root.join(path))],
        })
    }

    /// Moves a process into the cgroup.
    ///
    /// # Errors
    /// [`Error::Write`]; the cause is `ESRCH` when the process is gone.
    pub fn add_process(&self, path: impl AsRef<Path>, pid: i32) -> Result<()> {
        let path = relative(path.as_ref())?;
        for root in self.layout.roots() {
            let directory = root.join(path);
            if directory.is_dir() {
                write_file(&directory.join("cgroup.procs"), &pid.to_string())?;
            }
        }
        Ok(())
    }

    /// Opens the cgroup for a child process to enter; see [`Entrance`].
    ///
    /// # Errors
    /// [`Error::Read`] when the cgroup does not exist.
    pub fn entrance(&self, path: impl AsRef<Path>) -> Result<Entrance> {
        let path = relative(path.as_ref())?;
        let open = |path: PathBuf, write: bool| {
            OpenOptions::new().read(!write).write(write).open(&path).map_err(|source| Error::Read { path, source })
        };
        Ok(match &self.layout {
            Layout::V1(hierarchies) => Entrance::Tasks(
                hierarchies
                    .iter()
                    .filter(|(controller, root)| !controller.is_optional() || root.join(path).is_dir())
                    .map(|(_, root)| open(root.join(path).join("tasks"), true))
                    .collect::<Result<_>>()?,
            ),
            Layout::V2(root) => Entrance::Directory(open(root.join(path), false)?),
        })
    }

    /// Processes in this cgroup and below it; empty when it does not exist.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn processes(&self, path: impl AsRef<Path>) -> Result<Vec<i32>> {
        let mut found = Vec::new();
        collect_processes(&self.layout.main_root().join(relative(path.as_ref())?), &mut found)?;
        found.sort_unstable();
        found.dedup();
        Ok(found)
    }

    /// CPU and memory use of this cgroup and those below it.
    ///
    /// # Errors
    /// [`Error::Read`] when it does not exist.
    pub fn usage(&self, path: impl AsRef<Path>) -> Result<Usage> {
        stats::usage(&self.layout, relative(path.as_ref())?)
    }

    /// How many processes of this cgroup the kernel has killed for lack of memory.
    ///
    /// # Errors
    /// [`Error::Read`] when it does not exist.
    pub fn oom_kills(&self, path: impl AsRef<Path>) -> Result<u64> {
        stats::oom_kills(&self.layout, relative(path.as_ref())?)
    }

    /// Kills every process in the cgroup and below with SIGKILL, so that none can escape by forking. Returns when the
    /// signals are sent; the processes disappear once their parents reap them.
    ///
    /// # Errors
    /// [`Error::Read`] or [`Error::Write`]. A cgroup that does not exist is fine.
    pub fn kill(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = relative(path.as_ref())?;
        match &self.layout {
            Layout::V2(root) => match write_file(&root.join(path).join("cgroup.kill"), "1") {
                Err(Error::Write { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(()),
                outcome => outcome,
            },
            Layout::V1(_) => self.kill_v1(path),
        }
    }

    /// Version 1 has no atomic kill. Forbidding new processes first makes one pass over the list complete.
    fn kill_v1(&self, path: &Path) -> Result<()> {
        if let Some(root) = self.layout.root(Controller::Pids) {
            let file = root.join(path).join("pids.max");
            if file.exists() {
                write_file(&file, "0")?;
            }
        }
        for pid in self.processes(path)? {
            // A process that exited in between is what we want.
            let _ = crate::process::kill(pid, libc::SIGKILL);
        }
        Ok(())
    }

    /// Removes the cgroup and every cgroup below it; one that is gone is fine. Processes still in it make this fail, so
    /// kill and reap them first. Dying processes are waited for, briefly.
    ///
    /// # Errors
    /// [`Error::Remove`].
    pub fn remove(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = relative(path.as_ref())?;
        let roots = self.layout.roots().chain(self.others.iter().map(PathBuf::as_path));
        roots.map(|root| root.join(path)).try_for_each(|directory| remove_tree(&directory))
    }
}

/// A cgroup opened for a child to enter at the moment it starts.
///
/// Moving another process takes a lock over all of the machine's forks, which costs milliseconds; a single thread that
/// moves itself (version 1) or a child created right inside (version 2, `CLONE_INTO_CGROUP`) does not.
#[derive(Debug)]
pub enum Entrance {
    /// Version 1: the `tasks` files of each hierarchy.
    Tasks(Vec<File>),
    /// Version 2: the directory to create the child in.
    Directory(File),
}

impl Entrance {
    /// The directory to hand to `clone3` with `CLONE_INTO_CGROUP`.
    pub fn clone_directory(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Tasks(_) => None,
            Self::Directory(directory) => Some(directory.as_fd()),
        }
    }

    /// Moves the calling thread, which must be its process's only one, into the cgroup. Allocates nothing.
    ///
    /// # Errors
    /// What the kernel said to the write.
    pub fn enter(&self) -> io::Result<()> {
        match self {
            Self::Tasks(files) => files.iter().try_for_each(|mut file| file.write_all(b"0")),
            Self::Directory(_) => Ok(()),
        }
    }
}

/// The path without a leading slash, if nothing in it can leave the tree.
fn relative(path: &Path) -> Result<&Path> {
    let stripped = path.strip_prefix("/").unwrap_or(path);
    let plain = stripped.components().all(|component| matches!(component, Component::Normal(_)));
    if plain && stripped.components().next().is_some() { Ok(stripped) } else { Err(Error::InvalidPath(path.into())) }
}

fn create_all(path: &Path) -> Result<()> {
    match fs::create_dir(path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::create_dir_all(path).map_err(|source| Error::Create { path: path.into(), source })
        }
        Err(source) => Err(Error::Create { path: path.into(), source }),
    }
}

/// A version 1 cpuset starts without CPUs and memory nodes and takes no process until it has some.
fn create_cpuset(root: &Path, path: &Path) -> Result<()> {
    let mut parent = root.to_path_buf();
    for component in path.components() {
        let child = parent.join(component);
        create_all(&child)?;
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if read_file(&child.join(file))?.trim().is_empty() {
                write_file(&child.join(file), read_file(&parent.join(file))?.trim())?;
            }
        }
        parent = child;
    }
    Ok(())
}

/// Creates each level with its controllers delegated to the next.
fn create_v2(root: &Path, path: &Path) -> Result<()> {
    let directory = root.join(path);
    match fs::create_dir(&directory) {
        Ok(()) if directory.join("memory.max").exists() => return Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(()),
        _ => {}
    }
    let mut parent = root.to_path_buf();
    for component in path.components() {
        let control = parent.join("cgroup.subtree_control");
        let enabled = read_file(&control)?;
        for controller in ["cpu", "memory", "pids", "cpuset", "hugetlb"] {
            if !enabled.split_whitespace().any(|word| word == controller) {
                match write_file(&control, &format!("+{controller}")) {
                    // These are wanted by few containers; a host that does not delegate them still works.
                    Err(_) if matches!(controller, "cpuset" | "hugetlb") => {}
                    outcome => outcome?,
                }
            }
        }
        parent.push(component);
        create_all(&parent)?;
    }
    Ok(())
}

fn collect_processes(directory: &Path, found: &mut Vec<i32>) -> Result<()> {
    let file = directory.join("cgroup.procs");
    let text = match fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if is_gone(&error) => return Ok(()),
        Err(source) => return Err(Error::Read { path: file, source }),
    };
    found.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()));
    children(directory)?.iter().try_for_each(|child| collect_processes(child, found))
}

fn children(directory: &Path) -> Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_gone(&error) => return Ok(Vec::new()),
        Err(source) => return Err(Error::Read { path: directory.into(), source }),
    };
    Ok(entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|e| e.path()).collect())
}

fn remove_tree(directory: &Path) -> Result<()> {
    const ATTEMPTS: u32 = 20;
    for attempt in 1..=ATTEMPTS {
        match fs::remove_dir(directory) {
            Ok(()) => return Ok(()),
            Err(error) if is_gone(&error) => return Ok(()),
            Err(error) if error.raw_os_error() == Some(libc::EBUSY) && attempt < ATTEMPTS => {
                // Children to remove first, or processes that are exiting: the kernel offers no event for the latter
                // on version 1, and they are gone within a few milliseconds.
                let below = children(directory)?;
                below.iter().try_for_each(|child| remove_tree(child))?;
                if below.is_empty() {
                    std::thread::sleep(Duration::from_millis(u64::from(attempt)));
                }
            }
            Err(source) => return Err(Error::Remove { path: directory.into(), source }),
        }
    }
    Ok(())
}

/// Whether a file is missing, or its cgroup was removed while it was open.
fn is_gone(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(libc::ENODEV)
}

fn write_file(path: &Path, value: &str) -> Result<()> {
    OpenOptions::new()
        .write(true)
        .open(path)
        .and_then(|mut file| file.write_all(value.as_bytes()))
        .map_err(|source| Error::Write { path: path.into(), value: value.into(), source })
}

fn read_file(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })
}
