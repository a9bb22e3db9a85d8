//! `subPath`: a part of a volume, found without ever leaving it.
//!
//! A container can write symbolic links into its volume. The path is therefore resolved by the kernel with the volume
//! as the limit, and what was found is pinned by a bind mount made from the open file, so that nothing can be swapped
//! between the look and the use.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use crate::host::Host;

/// Why a sub path cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SubPathError {
    /// It leaves the volume.
    #[error("subPath \"{0}\" leads out of the volume")]
    Escapes(PathBuf),
    /// The file system said no.
    #[error("{act} {path}: {source}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

/// Makes `sub_path` of a volume available at `target`; directories that are missing are created.
pub(super) fn bind(host: &dyn Host, volume: &Path, sub_path: &Path, target: &Path) -> Result<(), SubPathError> {
    let failed = |act, path: &Path| {
        let path = path.to_owned();
        move |source| SubPathError::Io { act, path, source }
    };
    let found = open_beneath(volume, sub_path)?;
    let is_directory = File::from(found.try_clone().map_err(failed("look at", sub_path))?)
        .metadata()
        .map_err(failed("look at", sub_path))?
        .is_dir();
    if target.exists() && super::mounts::is_bound(target, &found) {
        return Ok(());
    }
    prepare_target(host, target, is_directory).map_err(failed("prepare", target))?;
    let source = PathBuf::from(format!("/proc/self/fd/{}", found.as_raw_fd()));
    host.bind_mount(&source, target).map_err(failed("bind to", target))
}

fn prepare_target(host: &dyn Host, target: &Path, is_directory: bool) -> io::Result<()> {
    if let Some(parent) = target.parent() {
        std::fs::create_dir_all(parent)?;
    }
    if target.exists() {
        for mounted in host.mounts_below(target)? {
            host.unmount(&mounted)?;
        }
        if target.is_dir() == is_directory {
            return Ok(());
        }
        if target.is_dir() { std::fs::remove_dir(target)? } else { std::fs::remove_file(target)? }
    }
    if is_directory { std::fs::create_dir(target) } else { File::create(target).map(drop) }
}

/// Opens a path below a volume, whatever links are on the way, as long as they stay inside.
pub(super) fn open_beneath(volume: &Path, sub_path: &Path) -> Result<OwnedFd, SubPathError> {
    let failed = |act: &'static str| {
        let path = volume.join(sub_path);
        move |source: rustix::io::Errno| SubPathError::Io { act, path, source: source.into() }
    };
    if sub_path.components().any(|component| !matches!(component, Component::Normal(_) | Component::CurDir)) {
        return Err(SubPathError::Escapes(sub_path.to_owned()));
    }
    let root = rustix::fs::open(volume, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(failed("open the volume of"))?;
    match open_at(&root, sub_path) {
        Err(rustix::io::Errno::NOENT) => {
            create_directories(&root, sub_path).map_err(|errno| classify(errno, sub_path, failed("create")))?;
            open_at(&root, sub_path).map_err(|errno| classify(errno, sub_path, failed("open")))
        }
        outcome => outcome.map_err(|errno| classify(errno, sub_path, failed("open"))),
    }
}

fn classify(
    errno: rustix::io::Errno,
    sub_path: &Path,
    other: impl FnOnce(rustix::io::Errno) -> SubPathError,
) -> SubPathError {
    match errno {
        rustix::io::Errno::XDEV | rustix::io::Errno::LOOP => SubPathError::Escapes(sub_path.to_owned()),
        errno => other(errno),
    }
}

/// Reads a small file of a volume as text; links on the way lead nowhere but into the volume.
///
/// # Errors
/// When it is not there, is no file, is larger than `max_bytes` or no text.
pub fn read_in_root(volume: &Path, path: &Path, max_bytes: u64) -> io::Result<String> {
    let root = rustix::fs::open(volume, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    // Whoever made a pipe of it is not waited for.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat2(root.as_fd(), path, flags, Mode::empty(), resolve)?);
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.len() > max_bytes {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not a file, or too large"));
    }
    let mut text = String::new();
    file.take(max_bytes).read_to_string(&mut text)?;
    Ok(text)
}

fn open_at(root: &OwnedFd, path: &Path) -> rustix::io::Result<OwnedFd> {
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
    rustix::fs::openat2(root.as_fd(), path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty(), resolve)
}

/// Parts of a volume are as open as the volume: its containers may have different users.
fn create_directories(root: &OwnedFd, path: &Path) -> rustix::io::Result<()> {
    let mode = Mode::from_raw_mode(rustix::fs::fstat(root)?.st_mode & 0o777);
    let mut parent = open_at(root, Path::new("."))?;
    let mut walked = PathBuf::new();
    for component in path.components() {
        walked.push(component);
        parent = match open_at(root, &walked) {
            Err(rustix::io::Errno::NOENT) => {
                rustix::fs::mkdirat(&parent, component.as_os_str(), mode)?;
                open_up(&parent, component.as_os_str(), mode)?;
                open_at(root, &walked)?
            }
            outcome => outcome?,
        };
    }
    Ok(())
}

/// Gives a new directory its mode, whatever the process' mask says. A group that it inherits is inherited further on.
fn open_up(parent: &OwnedFd, name: &OsStr, mode: Mode) -> rustix::io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    let inherits = Mode::from_raw_mode(rustix::fs::fstat(&made)?.st_mode) & Mode::SGID;
    rustix::fs::fchmod(&made, mode | inherits)
}
