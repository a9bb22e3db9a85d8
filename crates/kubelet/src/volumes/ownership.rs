//! `fsGroup`: giving a volume to a group.

use std::fs::{self, Permissions};
use std::io;
use std::os::fd::{AsFd, AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags};
use rustix::io::Errno;

/// What the group may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    ReadWrite,
    ReadOnly,
}

impl Access {
    fn bits(self) -> u32 {
        match self {
            Self::ReadWrite => 0o660,
            Self::ReadOnly => 0o440,
        }
    }
}

/// The group that owns the Pod's volumes, if it asks for one.
pub(super) fn fs_group(pod: &Pod) -> Option<i64> {
    pod.spec.as_ref()?.security_context.as_ref()?.fs_group
}

/// Gives a volume that outlives its Pods to the Pod's group: everything in it, unless the policy is satisfied with a
/// root that is right already.
pub(super) async fn give_tree(pod: &Pod, root: &Path) -> io::Result<()> {
    let Some(group) = fs_group(pod) else { return Ok(()) };
    let security = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let on_mismatch =
        security.and_then(|security| security.fs_group_change_policy.as_deref()) == Some("OnRootMismatch");
    if on_mismatch && is_given(&fs::metadata(root)?, group) {
        return Ok(());
    }
    let root = root.to_owned();
    // A volume may hold very many files: that is done where it may block.
    tokio::task::spawn_blocking(move || give_all(&root, group)).await.map_err(io::Error::other)?
}

/// Whether a directory is as [`give_to_group`] leaves it.
fn is_given(root: &fs::Metadata, group: i64) -> bool {
    const GROUP_BITS: u32 = 0o2070;
    i64::from(root.gid()) == group && root.mode() & GROUP_BITS == GROUP_BITS
}

/// Containers may change the volume meanwhile: every file is opened once, without following links, and everything is
/// done to what was opened.
fn give_all(root: &Path, group: i64) -> io::Result<()> {
    // The way to the volume is the host's own business.
    let root = rustix::fs::open(root, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    give_tree_of(&root, group)
}

fn give_tree_of(file: &OwnedFd, group: i64) -> io::Result<()> {
    if FileType::from_raw_mode(rustix::fs::fstat(file)?.st_mode) == FileType::Directory {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let directory = rustix::fs::openat(file, ".", flags, Mode::empty())?;
        for entry in Dir::read_from(&directory)? {
            let entry = entry?;
            if matches!(entry.file_name().to_bytes(), b"." | b"..") {
                continue;
            }
            match open(&directory, entry.file_name()) {
                // What vanished needs no group.
                Err(Errno::NOENT) => {}
                child => give_tree_of(&child?, group)?,
            }
        }
    }
    give(file, group, Access::ReadWrite)
}

fn open(directory: impl AsFd, name: impl rustix::path::Arg) -> rustix::io::Result<OwnedFd> {
    rustix::fs::openat(directory, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
}

/// Gives one file or directory to a group. What is made in a directory later belongs to the group as well (setgid).
pub(super) fn give_to_group(path: &Path, group: i64, access: Access) -> io::Result<()> {
    give(&open(rustix::fs::CWD, path)?, group, access)
}

fn give(file: &OwnedFd, group: i64, access: Access) -> io::Result<()> {
    let group = u32::try_from(group).map_err(io::Error::other)?;
    rustix::fs::chownat(file, c"", None, Some(Gid::from_raw(group)), AtFlags::EMPTY_PATH)?;
    let mode = rustix::fs::fstat(file)?.st_mode;
    let kind = FileType::from_raw_mode(mode);
    if kind == FileType::Symlink {
        return Ok(());
    }
    let directory_bits = if kind == FileType::Directory { 0o2110 } else { 0 };
    let mode = mode & 0o7777 | access.bits() | directory_bits;
    // The very file that is open, which only this name still leads to for sure.
    fs::set_permissions(format!("/proc/self/fd/{}", file.as_raw_fd()), Permissions::from_mode(mode))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use rustix::fs::{CWD, RenameFlags};

    use super::*;

    /// Exchanges a directory of a volume and a link out of it until told to stop, as a container might.
    fn swap(one: &Path, other: &Path, stop: &AtomicBool) {
        while !stop.load(Ordering::Relaxed) {
            rustix::fs::renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).unwrap();
        }
    }

    /// A volume with a directory `a`, whose place a link to a directory outside takes again and again; runs `attacked`
    /// meanwhile and returns what is outside.
    fn under_attack(attacked: impl Fn(&Path)) -> tempfile::TempDir {
        let (volume, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::write(outside.path().join("file"), "the host's").unwrap();
        fs::set_permissions(outside.path().join("file"), Permissions::from_mode(0o600)).unwrap();
        let (directory, link) = (volume.path().join("a"), volume.path().join("b"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("file"), "the volume's").unwrap();
        symlink(outside.path(), &link).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| swap(&directory, &link, &stop));
            (0..2000).for_each(|_| attacked(volume.path()));
            stop.store(true, Ordering::Relaxed);
        });
        outside
    }

    #[test]
    fn a_group_gets_nothing_outside_of_its_volume() {
        let outside = under_attack(|volume| give_all(volume, 4321).unwrap());
        let file = fs::metadata(outside.path().join("file")).unwrap();
        assert_eq!((file.gid() == 4321, file.mode() & 0o777), (false, 0o600));
    }

    #[test]
    fn a_sub_path_is_never_outside_of_its_volume() {
        under_attack(|volume| {
            if let Ok(found) = super::super::sub_path::open_beneath(volume, Path::new("a/file")) {
                let found = fs::read_to_string(format!("/proc/self/fd/{}", found.as_raw_fd())).unwrap();
                assert_eq!(found, "the volume's");
            }
        });
    }
}
