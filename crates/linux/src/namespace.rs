//! Namespaces: which ones to create, joining those of another process.

use std::fs::File;
use std::io;
use std::ops::{BitOr, BitOrAssign};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::thread::{ThreadNameSpaceType, UnshareFlags};

/// A set of namespace kinds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Namespaces(u32);

impl Namespaces {
    /// Mount points.
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u32);
    /// Process ids.
    pub const PID: Self = Self(libc::CLONE_NEWPID as u32);
    /// Network devices, addresses, routes, sockets.
    pub const NETWORK: Self = Self(libc::CLONE_NEWNET as u32);
    /// System V IPC and POSIX message queues.
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u32);
    /// Host name.
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u32);
    /// User and group ids, and the privileges over namespaces made with it.
    pub const USER: Self = Self(libc::CLONE_NEWUSER as u32);
    /// Root of the visible cgroup tree.
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP as u32);

    /// No kind at all.
    pub const fn none() -> Self {
        Self(0)
    }

    /// The kernel's flags.
    pub const fn bits(self) -> u32 {
        self.0
    }

    /// Whether no kind is in the set.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The set, if wanted, or nothing.
    #[must_use]
    pub const fn when(self, wanted: bool) -> Self {
        if wanted { self } else { Self(0) }
    }
}

impl BitOr for Namespaces {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for Namespaces {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// Moves the calling thread into namespaces of the process behind a pidfd. Joining a PID namespace takes effect for
/// children created from now on.
///
/// # Errors
/// `ESRCH` when the process has ended, `EPERM` without the privilege.
pub fn join(pidfd: BorrowedFd<'_>, namespaces: Namespaces) -> io::Result<()> {
    if namespaces.is_empty() {
        return Ok(());
    }
    let kinds = ThreadNameSpaceType::from_bits_retain(namespaces.0);
    rustix::thread::move_into_thread_name_spaces(pidfd, kinds).map_err(Into::into)
}

/// Moves the calling thread into new namespaces.
///
/// # Errors
/// `EPERM` without the privilege.
pub fn unshare(namespaces: Namespaces) -> io::Result<()> {
    let flags = UnshareFlags::from_bits_retain(namespaces.0);
    // SAFETY: unsound is only what splits the table of open files (CLONE_FILES); `Namespaces` cannot express it.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(Into::into)
}

/// Moves the calling process into an open mount namespace; its root and working directory become those of that
/// namespace.
///
/// # Errors
/// `EPERM` without the privilege.
pub fn join_mounts(namespace: BorrowedFd<'_>) -> io::Result<()> {
    let kind = rustix::thread::LinkNameSpaceType::Mount;
    rustix::thread::move_into_link_name_space(namespace, Some(kind)).map_err(Into::into)
}

/// Opens the network namespace of a process.
///
/// # Errors
/// `ENOENT` when the process has ended.
pub fn open_network(pid: i32) -> io::Result<OwnedFd> {
    File::open(format!("/proc/{pid}/ns/net")).map(Into::into)
}

/// Runs `body` with children born into the PID namespace that the process behind `pidfd` is in.
///
/// # Errors
/// What [`join`] or `body` say, or failing to come back, after which this process must not go on.
pub fn with_pid_namespace_of<T>(pidfd: BorrowedFd<'_>, body: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let own = File::open("/proc/self/ns/pid")?;
    join(pidfd, Namespaces::PID)?;
    let outcome = body();
    let own_kind = rustix::thread::LinkNameSpaceType::ProcessID;
    rustix::thread::move_into_link_name_space(own.as_fd(), Some(own_kind))?;
    outcome
}

/// Sets the host name of the UTS namespace the caller is in.
///
/// # Errors
/// `EINVAL` when it is longer than 64 bytes.
pub fn set_hostname(name: &str) -> io::Result<()> {
    rustix::system::sethostname(name.as_bytes()).map_err(Into::into)
}
