//! The users of a Pod that has its own: a user namespace, whose ids are a range of the host's.
//!
//! The infra container is born with it and owns the Pod's other namespaces through it. A container's first process sets
//! up mounts with the host's privileges, as in any Pod, and enters the user namespace last; so does every process
//! executed later.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use linux::mount::Detached;
use linux::namespace::{self, Namespaces};
use linux::user_namespace;

use super::spec::IdRange;

/// A Pod's user namespace.
#[derive(Debug)]
pub struct Users {
    namespace: OwnedFd,
    range: IdRange,
}

/// Which process of a container enters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// The first one: the container's mounts become a matter of the user namespace, too.
    First,
    /// One executed later.
    Later,
}

impl Users {
    /// Those of a process, the infra container.
    ///
    /// # Errors
    /// `ENOENT` when it has ended.
    pub fn of(pid: i32, range: IdRange) -> io::Result<Self> {
        Ok(Self { namespace: user_namespace::open(pid)?, range })
    }

    /// The namespace, for mounts that show owners in it.
    pub fn namespace(&self) -> BorrowedFd<'_> {
        self.namespace.as_fd()
    }

    /// Shows a mount's owners as users of the Pod.
    ///
    /// # Errors
    /// `EINVAL` for file systems that cannot, in words for the user.
    pub fn own(&self, tree: &Detached) -> io::Result<()> {
        tree.map_ids(self.namespace.as_fd()).map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => io::Error::other("its file system cannot map owners for a user namespace"),
            _ => error,
        })
    }

    /// Whom a user or group of the Pod is on the host.
    ///
    /// # Errors
    /// When the Pod has no such id.
    pub fn on_host(&self, id: u32) -> io::Result<u32> {
        self.range.on_host(id).ok_or_else(|| io::Error::other(format!("id {id} is not one of the Pod's")))
    }

    /// Gives a file of the host to a user of the Pod.
    ///
    /// # Errors
    /// What the file system says.
    pub fn give(&self, path: &Path, uid: u32, gid: u32) -> io::Result<()> {
        std::os::unix::fs::lchown(path, Some(self.on_host(uid)?), Some(self.on_host(gid)?))
    }

    /// Enters the namespace for good, with every privilege in it and none outside.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn enter(&self, entry: Entry) -> io::Result<()> {
        user_namespace::join(self.namespace.as_fd())?;
        match entry {
            Entry::First => namespace::unshare(Namespaces::MOUNT),
            Entry::Later => Ok(()),
        }
    }
}
