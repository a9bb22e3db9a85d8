//! File operations beneath one directory that no path leads out of.
//!
//! Parents are opened with `openat2` and `RESOLVE_IN_ROOT`: symlinks and `..` are followed as they would be with the
//! directory as the root file system. The last component is never followed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags,
    chownat, fchmod, fchown, fsetxattr, futimens, linkat, lsetxattr, makedev, mkdirat, mknodat, openat, openat2,
    statat, symlinkat, unlinkat, utimensat,
};
use rustix::io::Errno;
use tar::EntryType;

/// `openat2` gives up when anything on the system is renamed while it walks a `..`; that is no verdict on the path.
const RESOLVE_ATTEMPTS: usize = 128;
const OPAQUE_XATTR: &str = "trusted.overlay.opaque";
const IMPLIED_DIRECTORY_MODE: Mode = Mode::from_raw_mode(0o755);

/// What an entry says about its file.
pub struct Attributes {
    pub mode: Mode,
    pub uid: Uid,
    pub gid: Gid,
    pub modified: Timespec,
    pub xattrs: Vec<(String, Vec<u8>)>,
}

/// A directory that is being filled.
pub struct Tree<'a> {
    root: BorrowedFd<'a>,
    /// The directory of the last entry: entries come grouped by directory, and each lookup saved is a system call.
    parent: Option<(PathBuf, OwnedFd)>,
    /// Directories and the times to give them once nothing more is put into them.
    modified: Vec<(PathBuf, Timespec)>,
}

impl<'a> Tree<'a> {
    pub fn new(root: BorrowedFd<'a>) -> Self {
        Self { root, parent: None, modified: Vec::new() }
    }

    /// Creates a file from a reader; returns its length.
    pub fn file(&mut self, path: &Path, attributes: Attributes, content: &mut impl Read) -> io::Result<u64> {
        let (parent, name) = self.make_room(path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(openat(parent, name, flags, Mode::RUSR | Mode::WUSR)?);
        let length = io::copy(content, &mut file)?;
        set_attributes(file.as_fd(), &attributes)?;
        set_modified(file.as_fd(), attributes.modified)?;
        Ok(length)
    }

    /// Creates a directory, or gives an existing one (the root is named by the empty path) these attributes.
    pub fn directory(&mut self, path: &Path, attributes: Attributes) -> io::Result<()> {
        let directory = self.make_directory(path)?;
        set_attributes(directory.as_fd(), &attributes)?;
        self.modified.push((path.to_owned(), attributes.modified));
        Ok(())
    }

    /// Creates a symlink; its target is data and may say anything.
    pub fn symlink(&mut self, path: &Path, attributes: Attributes, target: &Path) -> io::Result<()> {
        let (parent, name) = self.make_room(path)?;
        symlinkat(target, parent, name)?;
        set_link_attributes(parent, name, &attributes)
    }

    /// Creates another name for a file of this layer.
    pub fn hard_link(&mut self, path: &Path, target: &Path) -> io::Result<()> {
        let (target_parent, target_name) = split(target)?;
        let target_parent = open_directory(self.root, target_parent)?;
        let wanted = statat(&target_parent, target_name, AtFlags::SYMLINK_NOFOLLOW)?;
        let (parent, name) = split(path)?;
        match statat(self.open_parent(parent)?, name, AtFlags::SYMLINK_NOFOLLOW) {
            // Making room for the link would remove its target.
            Ok(there) if (there.st_dev, there.st_ino) == (wanted.st_dev, wanted.st_ino) => return Ok(()),
            _ => {}
        }
        let (parent, name) = self.make_room(path)?;
        Ok(linkat(&target_parent, target_name, parent, name, AtFlags::empty())?)
    }

    /// Creates a device or a named pipe.
    pub fn node(&mut self, path: &Path, attributes: Attributes, kind: EntryType, device: (u32, u32)) -> io::Result<()> {
        let file_type = match kind {
            EntryType::Char => FileType::CharacterDevice,
            EntryType::Block => FileType::BlockDevice,
            _ => FileType::Fifo,
        };
        let (parent, name) = self.make_room(path)?;
        mknodat(parent, name, file_type, attributes.mode, makedev(device.0, device.1))?;
        set_link_attributes(parent, name, &attributes)?;
        // The umask may have narrowed the mode, and a change of owner clears the set-id bits. A node can't be opened
        // without side effects, so its name is used; it was created just now and is no symlink.
        Ok(rustix::fs::chmodat(parent, name, attributes.mode, AtFlags::empty())?)
    }

    /// Hides a name of the layers below, but nothing of this layer.
    pub fn hide(&mut self, path: &Path) -> io::Result<()> {
        let (parent_path, name) = split(path)?;
        let parent = self.open_parent(parent_path)?;
        match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) if FileType::from_raw_mode(there.st_mode) == FileType::Directory => self.hide_content(path),
            Ok(_) => Ok(()),
            Err(Errno::NOENT) => Ok(mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), makedev(0, 0))?),
            Err(error) => Err(error.into()),
        }
    }

    /// Hides everything the layers below have in a directory.
    pub fn hide_content(&mut self, path: &Path) -> io::Result<()> {
        let directory = self.make_directory(path)?;
        Ok(fsetxattr(directory, OPAQUE_XATTR, b"y", XattrFlags::empty())?)
    }

    /// Gives the directories their times; returns the path that failed.
    pub fn finish(self) -> Result<(), (PathBuf, io::Error)> {
        for (path, modified) in self.modified.iter().rev() {
            let set = || set_modified(open_directory(self.root, path)?.as_fd(), *modified);
            match set() {
                // Replaced by something else later in the stream.
                Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOENT | Errno::NOTDIR)) => {}
                outcome => outcome.map_err(|error| (path.clone(), error))?,
            }
        }
        Ok(())
    }

    /// Opens the directory at `path`, making it and its parents where they are missing. Replaces what is no directory;
    /// what hid a name below then hides its content.
    fn make_directory(&mut self, path: &Path) -> io::Result<OwnedFd> {
        if path.as_os_str().is_empty() {
            return open_directory(self.root, path);
        }
        let (parent_path, name) = split(path)?;
        let parent = self.open_parent(parent_path)?;
        let there = match statat(parent, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(there) => Some(FileType::from_raw_mode(there.st_mode)),
            Err(Errno::NOENT) => None,
            Err(error) => return Err(error.into()),
        };
        let hid_lower = match there {
            Some(FileType::Directory) => return open_child(parent, name),
            Some(file_type) => {
                unlinkat(parent, name, AtFlags::empty())?;
                file_type == FileType::CharacterDevice
            }
            None => false,
        };
        mkdirat(parent, name, IMPLIED_DIRECTORY_MODE)?;
        let directory = open_child(parent, name)?;
        // The umask must not narrow what the stream did not mention.
        fchmod(&directory, IMPLIED_DIRECTORY_MODE)?;
        if hid_lower {
            fsetxattr(&directory, OPAQUE_XATTR, b"y", XattrFlags::empty())?;
        }
        if there.is_some() {
            self.parent = None;
        }
        Ok(directory)
    }

    /// The parent directory of `path` with nothing at its last component any more.
    fn make_room<'p>(&mut self, path: &'p Path) -> io::Result<(BorrowedFd<'_>, &'p OsStr)> {
        let (parent_path, name) = split(path)?;
        match unlinkat(self.open_parent(parent_path)?, name, AtFlags::empty()) {
            Err(Errno::NOENT) => {}
            // What is removed may be a symlink or directory on the way to the cached parent.
            Ok(()) => self.parent = None,
            Err(Errno::ISDIR) => {
                remove_directory(self.open_parent(parent_path)?, name)?;
                self.parent = None;
            }
            Err(error) => return Err(error.into()),
        }
        Ok((self.open_parent(parent_path)?, name))
    }

    /// Opens a directory for entries in it, making it where it is missing.
    fn open_parent(&mut self, path: &Path) -> io::Result<BorrowedFd<'_>> {
        if self.parent.as_ref().is_none_or(|(cached, _)| cached != path) {
            let directory = match open_directory(self.root, path) {
                Err(error) if Errno::from_io_error(&error) == Some(Errno::NOENT) => self.make_directory(path)?,
                outcome => outcome?,
            };
            self.parent = Some((path.to_owned(), directory));
        }
        let (_, directory) = self.parent.as_ref().expect("set just above");
        Ok(directory.as_fd())
    }
}

/// Parent and last component; the root itself has neither.
fn split(path: &Path) -> io::Result<(&Path, &OsStr)> {
    let name = path.file_name().ok_or(Errno::INVAL)?;
    Ok((path.parent().unwrap_or(Path::new("")), name))
}

/// Opens a directory by a path that is resolved with `root` as the root.
fn open_directory(root: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    for _ in 0..RESOLVE_ATTEMPTS {
        match openat2(root, path, flags, Mode::empty(), resolve) {
            Err(Errno::AGAIN) => {}
            outcome => return Ok(outcome?),
        }
    }
    Err(Errno::AGAIN.into())
}

fn open_child(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(openat(parent, name, flags, Mode::empty())?)
}

/// Removes a directory of this layer that a later entry replaces; follows no symlink.
fn remove_directory(parent: BorrowedFd<'_>, name: &OsStr) -> io::Result<()> {
    let directory = open_child(parent, name)?;
    let entries = Dir::read_from(&directory)?.collect::<Result<Vec<_>, _>>()?;
    for child in entries.iter().map(|entry| OsStr::from_bytes(entry.file_name().to_bytes())) {
        if child == "." || child == ".." {
            continue;
        }
        match unlinkat(&directory, child, AtFlags::empty()) {
            Err(Errno::ISDIR) => remove_directory(directory.as_fd(), child)?,
            outcome => outcome?,
        }
    }
    Ok(unlinkat(parent, name, AtFlags::REMOVEDIR)?)
}

/// Owner first: changing it clears set-id bits and file capabilities.
fn set_attributes(file: BorrowedFd<'_>, attributes: &Attributes) -> io::Result<()> {
    fchown(file, Some(attributes.uid), Some(attributes.gid))?;
    fchmod(file, attributes.mode)?;
    for (name, value) in &attributes.xattrs {
        ignore_unsupported(fsetxattr(file, name.as_str(), value, XattrFlags::empty()))?;
    }
    Ok(())
}

/// For what can't be opened: symlinks and devices.
fn set_link_attributes(parent: BorrowedFd<'_>, name: &OsStr, attributes: &Attributes) -> io::Result<()> {
    chownat(parent, name, Some(attributes.uid), Some(attributes.gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if !attributes.xattrs.is_empty() {
        let path = Path::new("/proc/self/fd").join(parent.as_raw_fd().to_string()).join(name);
        for (xattr, value) in &attributes.xattrs {
            ignore_unsupported(lsetxattr(&path, xattr.as_str(), value, XattrFlags::empty()))?;
        }
    }
    let times = Timestamps { last_access: OMIT, last_modification: attributes.modified };
    Ok(utimensat(parent, name, &times, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Security labels of a module this kernel does not run are of no use here.
fn ignore_unsupported(outcome: rustix::io::Result<()>) -> io::Result<()> {
    match outcome {
        Err(Errno::OPNOTSUPP) => Ok(()),
        outcome => Ok(outcome?),
    }
}

const OMIT: Timespec = Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT };

fn set_modified(file: BorrowedFd<'_>, modified: Timespec) -> io::Result<()> {
    Ok(futimens(file, &Timestamps { last_access: OMIT, last_modification: modified })?)
}
