//! A layer's tar stream becomes an overlay layer directory.
//!
//! Every layer is unpacked on its own, without the layers below it, so the directory depends on the stream alone: it
//! can be named by its digest, shared between images and unpacked in parallel with its neighbours. What the stream says
//! about lower layers (whiteouts) is written in overlayfs' language: a character device 0/0 hides a name, the attribute
//! `trusted.overlay.opaque` hides a directory's lower content.
//!
//! The stream is not trusted. All paths are resolved by the kernel with the layer directory as the root
//! ([`tree::Tree`]), so neither `..` nor a symlink leads out, and attributes that overlayfs itself would obey are
//! refused.

mod tree;

#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Gid, Mode, Timespec, Uid};
use tar::{Entry, EntryType};

use tree::{Attributes, Tree};

const WHITEOUT_PREFIX: &[u8] = b".wh.";
const OPAQUE_MARKER: &[u8] = b".wh..wh..opq";
/// Remarks of the old aufs driver that mean nothing to anyone else.
const AUFS_PREFIX: &[u8] = b".wh..wh.";
const XATTR_KEY_PREFIX: &str = "SCHILY.xattr.";

/// Disk use of a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Usage {
    /// Bytes of file content.
    pub bytes: u64,
    /// Files, directories and everything else with a name.
    pub inodes: u64,
}

/// Why a layer could not be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The stream ended early, is damaged or could not be read.
    #[error("layer stream is damaged")]
    Stream(#[source] io::Error),
    /// An entry has a name no file can have.
    #[error("invalid entry name {0:?} in layer")]
    Name(String),
    /// An entry could not be created.
    #[error("unpacking {path:?}")]
    Entry {
        /// Path within the layer.
        path: PathBuf,
        /// What failed.
        #[source]
        source: io::Error,
    },
    /// Something this version can't represent.
    #[error("unsupported entry {path:?} of type {kind:?} in layer")]
    Unsupported {
        /// Path within the layer.
        path: PathBuf,
        /// The tar type.
        kind: EntryType,
    },
}

/// Unpacks an uncompressed tar stream into the empty directory `root`.
///
/// Reads up to the end-of-archive mark, not to the end of the stream.
///
/// # Errors
/// [`UnpackError`]; the directory then holds a part of the layer and must be thrown away.
pub fn unpack(stream: impl Read, root: BorrowedFd<'_>) -> Result<Usage, UnpackError> {
    let mut tree = Tree::new(root);
    let mut usage = Usage::default();
    let mut archive = tar::Archive::new(stream);
    for entry in archive.entries().map_err(UnpackError::Stream)? {
        let entry = entry.map_err(UnpackError::Stream)?;
        if matches!(entry.header().entry_type(), EntryType::XGlobalHeader) {
            continue;
        }
        usage.inodes += 1;
        usage.bytes += unpack_entry(&mut tree, entry)?;
    }
    tree.finish().map_err(|(path, source)| UnpackError::Entry { path, source })?;
    Ok(usage)
}

/// What an entry's name asks for.
#[derive(Debug, PartialEq, Eq)]
enum Action<'a> {
    /// The root directory's own attributes.
    Root,
    /// Create this.
    Create(PathBuf),
    /// Hide this name of the layers below.
    Hide(PathBuf),
    /// Hide all that the layers below have in this directory.
    HideContent(PathBuf),
    /// Nothing.
    Skip(&'a OsStr),
}

/// Decides by the name alone.
fn plan(name: &Path) -> Result<Action<'_>, UnpackError> {
    let bad_name = || UnpackError::Name(name.display().to_string());
    let mut path = PathBuf::new();
    for component in name.components() {
        match component {
            Component::Normal(part) if !part.as_bytes().contains(&0) => path.push(part),
            Component::CurDir | Component::RootDir => {}
            _ => return Err(bad_name()),
        }
    }
    let Some(last) = path.file_name() else { return Ok(Action::Root) };
    let parent = path.parent().unwrap_or(Path::new(""));
    let bytes = last.as_bytes();
    if bytes == OPAQUE_MARKER {
        return Ok(Action::HideContent(parent.to_owned()));
    }
    if bytes.starts_with(AUFS_PREFIX) {
        return Ok(Action::Skip(name.as_os_str()));
    }
    match bytes.strip_prefix(WHITEOUT_PREFIX) {
        Some(b"" | b"." | b"..") => Err(bad_name()),
        Some(hidden) => Ok(Action::Hide(parent.join(OsStr::from_bytes(hidden)))),
        None => Ok(Action::Create(path)),
    }
}

/// Returns the bytes of content written.
fn unpack_entry<R: Read>(tree: &mut Tree<'_>, mut entry: Entry<'_, R>) -> Result<u64, UnpackError> {
    let name = PathBuf::from(OsStr::from_bytes(&entry.path_bytes()));
    let failed = |source| UnpackError::Entry { path: name.clone(), source };
    match plan(&name)? {
        Action::Skip(_) => Ok(0),
        Action::Root => {
            let attributes = read_attributes(&mut entry).map_err(failed)?;
            tree.directory(Path::new(""), attributes).map_err(failed).map(|()| 0)
        }
        Action::Hide(path) => tree.hide(&path).map_err(failed).map(|()| 0),
        Action::HideContent(path) => tree.hide_content(&path).map_err(failed).map(|()| 0),
        Action::Create(path) => create(tree, &path, entry),
    }
}

fn create<R: Read>(tree: &mut Tree<'_>, path: &Path, mut entry: Entry<'_, R>) -> Result<u64, UnpackError> {
    let failed = |source| UnpackError::Entry { path: path.to_owned(), source };
    let attributes = read_attributes(&mut entry).map_err(failed)?;
    let kind = entry.header().entry_type();
    let outcome = match kind {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => tree.file(path, attributes, &mut entry),
        EntryType::Directory => tree.directory(path, attributes).map(|()| 0),
        EntryType::Symlink => {
            link_target(&entry).and_then(|target| tree.symlink(path, attributes, &target)).map(|()| 0)
        }
        EntryType::Link => link_target(&entry).and_then(|target| tree.hard_link(path, &target)).map(|()| 0),
        EntryType::Char | EntryType::Block | EntryType::Fifo => {
            device_number(&entry, kind).and_then(|device| tree.node(path, attributes, kind, device)).map(|()| 0)
        }
        _ => return Err(UnpackError::Unsupported { path: path.to_owned(), kind }),
    };
    outcome.map_err(failed)
}

fn link_target<R: Read>(entry: &Entry<'_, R>) -> io::Result<PathBuf> {
    let target = entry.link_name_bytes().ok_or_else(|| io::Error::other("link without a target"))?;
    Ok(PathBuf::from(OsStr::from_bytes(&target)))
}

fn device_number<R: Read>(entry: &Entry<'_, R>, kind: EntryType) -> io::Result<(u32, u32)> {
    if kind == EntryType::Fifo {
        return Ok((0, 0));
    }
    let header = entry.header();
    Ok((header.device_major()?.unwrap_or(0), header.device_minor()?.unwrap_or(0)))
}

fn read_attributes<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<Attributes> {
    let header = entry.header();
    let id = |value: u64| u32::try_from(value).map_err(|_| io::Error::other("user or group id out of range"));
    let mut attributes = Attributes {
        mode: Mode::from_raw_mode(header.mode()? & 0o7777),
        uid: Uid::from_raw(id(header.uid()?)?),
        gid: Gid::from_raw(id(header.gid()?)?),
        modified: Timespec { tv_sec: i64::try_from(header.mtime()?).unwrap_or(0), tv_nsec: 0 },
        xattrs: Vec::new(),
    };
    let Some(extensions) = entry.pax_extensions()? else { return Ok(attributes) };
    for extension in extensions {
        let extension = extension?;
        let Ok(key) = extension.key() else { continue };
        if let Some(name) = key.strip_prefix(XATTR_KEY_PREFIX) {
            if !is_overlay_attribute(name) {
                attributes.xattrs.push((name.to_owned(), extension.value_bytes().to_owned()));
            }
        } else if key == "mtime"
            && let Some(modified) = extension.value().ok().and_then(parse_time)
        {
            attributes.modified = modified;
        }
    }
    Ok(attributes)
}

/// Attributes with which a layer could make overlayfs show content from elsewhere.
fn is_overlay_attribute(name: &str) -> bool {
    name.starts_with("trusted.overlay.") || name.starts_with("user.overlay.")
}

/// Seconds with an optional fraction, as pax headers have them; times before 1970 too.
fn parse_time(text: &str) -> Option<Timespec> {
    let (seconds, fraction) = text.split_once('.').unwrap_or((text, ""));
    let tv_sec: i64 = seconds.parse().ok()?;
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let digits: String = fraction.chars().chain("000000000".chars()).take(9).collect();
    let tv_nsec: i64 = digits.parse().ok()?;
    match seconds.starts_with('-') && tv_nsec > 0 {
        true => Some(Timespec { tv_sec: tv_sec - 1, tv_nsec: 1_000_000_000 - tv_nsec }),
        false => Some(Timespec { tv_sec, tv_nsec }),
    }
}
