//! Mounts, through the kernel's file-descriptor based calls: a tree is made or cloned detached, given its attributes,
//! and only then attached, so that it is never visible half configured.

#[cfg(test)]
mod tests;

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags, OpenTreeFlags,
    UnmountFlags,
};

use crate::process::check;

/// Attributes of mount points.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Attributes {
    /// Nothing can be written through it.
    pub read_only: bool,
    /// Set-user-ID bits and file capabilities have no effect.
    pub no_suid: bool,
    /// Device nodes cannot be opened.
    pub no_dev: bool,
    /// Programs cannot be executed.
    pub no_exec: bool,
}

impl Attributes {
    fn bits(self) -> u64 {
        let flag = |set: bool, bit: u64| if set { bit } else { 0 };
        flag(self.read_only, libc::MOUNT_ATTR_RDONLY)
            | flag(self.no_suid, libc::MOUNT_ATTR_NOSUID)
            | flag(self.no_dev, libc::MOUNT_ATTR_NODEV)
            | flag(self.no_exec, libc::MOUNT_ATTR_NOEXEC)
    }
}

/// How mounts made below one copy of a tree reach the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Propagation {
    /// Not at all.
    Private,
    /// From the original to this copy.
    Slave,
    /// Both ways.
    Shared,
}

/// A mount tree that is attached nowhere yet; it vanishes when dropped.
#[derive(Debug)]
pub struct Detached(OwnedFd);

impl Detached {
    /// A copy of what is mounted at `path`, with everything mounted below it if `recursive`.
    ///
    /// # Errors
    /// `ENOENT` when there is nothing at `path`.
    pub fn clone_of(path: &Path, recursive: bool) -> io::Result<Self> {
        let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
        flags.set(OpenTreeFlags::AT_RECURSIVE, recursive);
        Ok(Self(rustix::mount::open_tree(CWD, path, flags)?))
    }

    /// A second copy of this tree.
    ///
    /// # Errors
    /// What the kernel says; a detached tree can be copied since Linux 6.15, an attached one always.
    pub fn duplicate(&self) -> io::Result<Self> {
        let flags = OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_EMPTY_PATH
            | OpenTreeFlags::AT_RECURSIVE;
        Ok(Self(rustix::mount::open_tree(&self.0, c"", flags)?))
    }

    /// A new file system of the given kind and options.
    ///
    /// # Errors
    /// `ENODEV` when the kernel does not know the kind, `EINVAL` for an option it does not know.
    pub fn new(kind: &str, options: &[(&str, &str)], attributes: Attributes) -> io::Result<Self> {
        let context = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC)?;
        for (name, value) in options {
            if value.is_empty() {
                rustix::mount::fsconfig_set_flag(&context, *name)?;
            } else {
                rustix::mount::fsconfig_set_string(&context, *name, *value)?;
            }
        }
        rustix::mount::fsconfig_create(&context)?;
        let attributes = MountAttrFlags::from_bits_retain(attributes.bits() as u32);
        Ok(Self(rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?))
    }

    /// Directories one over the other, the uppermost first, at least two; nothing can be written to them. With a user
    /// namespace their owners are its users.
    ///
    /// # Errors
    /// `EINVAL` for fewer than two, or on kernels before 6.8, which take no layers one by one (6.15 with a namespace).
    pub fn of_layers(
        layers: &[std::path::PathBuf],
        attributes: Attributes,
        ids: Option<BorrowedFd<'_>>,
    ) -> io::Result<Self> {
        // Named by descriptor: the kernel takes names of 255 bytes only.
        let open = layers.iter().map(|layer| open_layer(layer, ids)).collect::<io::Result<Vec<_>>>()?;
        let names: Vec<String> = open.iter().map(|layer| format!("/proc/self/fd/{}", layer.as_raw_fd())).collect();
        let options: Vec<(&str, &str)> = names.iter().map(|name| ("lowerdir+", name.as_str())).collect();
        Self::new("overlay", &options, attributes)
    }

    /// What is at a path inside the tree; links in it end inside the tree.
    ///
    /// # Errors
    /// `ENOENT` when there is nothing; `EINVAL` on kernels before 6.15, which copy attached trees only.
    pub fn part(&self, path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::CLOEXEC;
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let part = rustix::fs::openat2(&self.0, path, flags, Mode::empty(), resolve)?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        Ok(Self(rustix::mount::open_tree(&part, c"", flags)?))
    }

    /// Adds attributes (none is ever taken away) and sets the propagation.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn set(&self, attributes: Attributes, propagation: Option<Propagation>, recursive: bool) -> io::Result<()> {
        set_attributes(self.0.as_fd(), attributes, propagation, recursive)
    }

    /// Shows the owner of each file as the user of that number in a user namespace, and the other way round. Mounts
    /// below the root of the tree keep their owners.
    ///
    /// # Errors
    /// `EINVAL` for a file system that cannot do it, `EPERM` when the tree is mapped already.
    pub fn map_ids(&self, namespace: BorrowedFd<'_>) -> io::Result<()> {
        let request = libc::mount_attr {
            attr_set: libc::MOUNT_ATTR_IDMAP,
            attr_clr: 0,
            propagation: 0,
            userns_fd: namespace.as_raw_fd() as u64,
        };
        change_mount(self.0.as_fd(), &request, libc::AT_EMPTY_PATH)
    }

    /// Whether the root of the tree is a directory; otherwise it is a single file.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn is_directory(&self) -> io::Result<bool> {
        Ok(FileType::from_raw_mode(rustix::fs::fstat(&self.0)?.st_mode).is_dir())
    }

    /// Attaches the tree at an existing file or directory.
    ///
    /// # Errors
    /// `ENOENT` when the target does not exist, `ENOTDIR` when only one of the two is a directory.
    pub fn attach(self, target: BorrowedFd<'_>) -> io::Result<()> {
        let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
        rustix::mount::move_mount(&self.0, c"", target, c"", flags).map_err(Into::into)
    }
}

impl AsFd for Detached {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Opens a file or directory only to name it, for instance as the target of a mount.
///
/// # Errors
/// `ENOENT`; `ELOOP` when `follow` is false and the last component is a symbolic link.
pub fn open_path(path: &Path, follow: bool) -> io::Result<OwnedFd> {
    let mut flags = OFlags::PATH | OFlags::CLOEXEC;
    flags.set(OFlags::NOFOLLOW, !follow);
    let file = rustix::fs::open(path, flags, Mode::empty())?;
    if !follow && FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode) == FileType::Symlink {
        return Err(io::Error::from_raw_os_error(libc::ELOOP));
    }
    Ok(file)
}

/// Adds attributes to the mount whose root is the open file.
///
/// # Errors
/// `EINVAL` when the file is not the root of a mount.
pub fn set_attributes(
    mount: BorrowedFd<'_>,
    attributes: Attributes,
    propagation: Option<Propagation>,
    recursive: bool,
) -> io::Result<()> {
    let request = libc::mount_attr {
        attr_set: attributes.bits(),
        attr_clr: 0,
        propagation: match propagation {
            None => 0,
            Some(Propagation::Private) => libc::MS_PRIVATE,
            Some(Propagation::Slave) => libc::MS_SLAVE,
            Some(Propagation::Shared) => libc::MS_SHARED,
        },
        userns_fd: 0,
    };
    change_mount(mount, &request, libc::AT_EMPTY_PATH | if recursive { libc::AT_RECURSIVE } else { 0 })
}

fn change_mount(mount: BorrowedFd<'_>, request: &libc::mount_attr, flags: libc::c_int) -> io::Result<()> {
    // SAFETY: the path is a literal and `request` outlives the call, which only reads it.
    let outcome = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            flags,
            ptr::from_ref(request),
            size_of::<libc::mount_attr>(),
        )
    };
    check(outcome as libc::c_int).map(drop)
}

/// Stops mounts of this mount namespace from reaching others; those of the namespace it was copied from still arrive.
///
/// # Errors
/// What the kernel says.
pub fn isolate() -> io::Result<()> {
    let flags = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    rustix::mount::mount_change("/", flags).map_err(Into::into)
}

/// The layers of an overlay file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay<'a> {
    /// Read-only layers, the uppermost first.
    pub lower: &'a [std::path::PathBuf],
    /// Takes all changes.
    pub upper: &'a Path,
    /// Scratch directory on the file system of `upper`.
    pub work: &'a Path,
}

/// The longest option string `mount` takes is a page, including the final zero.
const MAX_OPTIONS: usize = 4095;

impl Overlay<'_> {
    /// The option string. Changes need not survive a power failure: a container's writable layer is never mounted again.
    fn options(&self) -> Vec<u8> {
        let mut options = b"volatile,lowerdir=".to_vec();
        for (index, layer) in self.lower.iter().enumerate() {
            if index > 0 {
                options.push(b':');
            }
            escape(layer, &mut options);
        }
        options.extend_from_slice(b",upperdir=");
        escape(self.upper, &mut options);
        options.extend_from_slice(b",workdir=");
        escape(self.work, &mut options);
        options
    }

    /// Mounts the overlay at `target`.
    ///
    /// # Errors
    /// `E2BIG` for more layers than one mount takes (some two hundred), otherwise what the kernel says.
    pub fn mount(&self, target: &Path, attributes: Attributes) -> io::Result<()> {
        let options = self.options();
        if options.len() > MAX_OPTIONS {
            return self.mount_by_descriptor(target, attributes, None);
        }
        mount_overlay(options, target, attributes)
    }

    /// Mounts the overlay with the owners of the read-only layers being users of a user namespace. What is written has
    /// the host's owners: the mapped ones for processes in that namespace.
    ///
    /// # Errors
    /// As [`Overlay::mount`]; `EINVAL` on kernels before 6.15 and for layers on a file system that cannot map owners.
    pub fn mount_with_ids_of(
        &self,
        namespace: BorrowedFd<'_>,
        target: &Path,
        attributes: Attributes,
    ) -> io::Result<()> {
        self.mount_by_descriptor(target, attributes, Some(namespace))
    }

    /// The same with directories named by file descriptors, which are short. Kernels since 6.8 take layers one by one,
    /// but this works on all.
    fn mount_by_descriptor(
        &self,
        target: &Path,
        attributes: Attributes,
        ids: Option<BorrowedFd<'_>>,
    ) -> io::Result<()> {
        let lower = self.lower.iter().map(|layer| open_layer(layer, ids)).collect::<io::Result<Vec<_>>>()?;
        let (upper, work) = (open_path(self.upper, true)?, open_path(self.work, true)?);
        let name = |directory: &OwnedFd| std::path::PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd()));
        let lower: Vec<_> = lower.iter().map(name).collect();
        let options = Overlay { lower: &lower, upper: &name(&upper), work: &name(&work) }.options();
        if options.len() > MAX_OPTIONS {
            return Err(io::ErrorKind::ArgumentListTooLong.into());
        }
        mount_overlay(options, target, attributes)
    }
}

/// Opens a layer, as it is or with the users of a namespace as its owners.
fn open_layer(path: &Path, ids: Option<BorrowedFd<'_>>) -> io::Result<OwnedFd> {
    let Some(namespace) = ids else { return open_path(path, true) };
    let tree = Detached::clone_of(path, false)?;
    tree.map_ids(namespace)?;
    Ok(tree.0)
}

fn mount_overlay(options: Vec<u8>, target: &Path, attributes: Attributes) -> io::Result<()> {
    let options = CString::new(options).map_err(|_| io::ErrorKind::InvalidInput)?;
    let flags = if attributes.no_dev { MountFlags::NODEV } else { MountFlags::empty() };
    rustix::mount::mount("overlay", target, "overlay", flags, Some(options.as_c_str())).map_err(Into::into)
}

/// A path in an overlay option: backslash before the characters that separate.
fn escape(path: &Path, options: &mut Vec<u8>) {
    for &byte in path.as_os_str().as_bytes() {
        if matches!(byte, b':' | b',' | b'\\') {
            options.push(b'\\');
        }
        options.push(byte);
    }
}

/// Makes `new_root`, which must be a mount point, the root of this mount namespace and lets go of the old one.
///
/// # Errors
/// `EINVAL` when `new_root` is no mount point or mounts still propagate ([`isolate`]).
pub fn pivot(new_root: &Path) -> io::Result<()> {
    rustix::process::chdir(new_root)?;
    // With both names the same directory the old root ends up on top of the new one, and needs no directory inside it.
    rustix::process::pivot_root(".", ".")?;
    rustix::mount::unmount(".", UnmountFlags::DETACH)?;
    rustix::process::chdir("/").map_err(Into::into)
}

/// Takes away what is mounted at `path`, now or once nobody uses it any more. Nothing there is fine.
///
/// # Errors
/// What the kernel says.
pub fn unmount(path: &Path) -> io::Result<()> {
    match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
