//! User namespaces: user and group ids of their own, each of which stands for one of the host's.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use crate::user::{self, User};

/// Lets the ids from 0 to `length` in the new user namespace of a process stand for those from `first` on outside.
///
/// # Errors
/// `EPERM` without the privilege, or when its ids are mapped already; `EINVAL` for ids that do not exist.
pub fn map(pid: i32, first: u32, length: u32) -> io::Result<()> {
    let line = format!("0 {first} {length}\n");
    fs::write(format!("/proc/{pid}/uid_map"), &line)?;
    fs::write(format!("/proc/{pid}/gid_map"), &line)
}

/// Opens the user namespace of a process.
///
/// # Errors
/// `ENOENT` when the process has ended.
pub fn open(pid: i32) -> io::Result<OwnedFd> {
    File::open(format!("/proc/{pid}/ns/user")).map(Into::into)
}

/// Moves the calling process, which must have one thread, into a user namespace: it has every capability there and none
/// outside, and stays the host's user it is until it becomes another.
///
/// # Errors
/// `EINVAL` when it is in there already, `EPERM` without the privilege.
pub fn join(namespace: BorrowedFd<'_>) -> io::Result<()> {
    let kind = rustix::thread::LinkNameSpaceType::User;
    rustix::thread::move_into_link_name_space(namespace.as_fd(), Some(kind)).map_err(Into::into)
}

/// Makes the calling process user and group 0 of the namespace it is in.
///
/// # Errors
/// `EINVAL` when nothing is mapped to 0.
pub fn become_root() -> io::Result<()> {
    user::become_user(&User { uid: 0, gid: 0, groups: Vec::new(), home: None })
}
