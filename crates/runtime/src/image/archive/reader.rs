//! A tar file with its members at hand in any order.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::fs::FileExt;
use std::path::{Component, Path, PathBuf};

use crate::image::compression::{Decompressed, decompress};
use crate::image::error::ArchiveError;

/// Documents are read into memory; nothing that describes an image is near this size.
const DOCUMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Old archives have symlinks from layer to layer.
const LINKS_MAX: usize = 8;

/// An open archive.
#[derive(Debug)]
pub struct Archive {
    file: File,
    members: HashMap<String, Member>,
}

#[derive(Debug)]
enum Member {
    File { offset: u64, length: u64 },
    Link(String),
}

/// A member's content.
#[derive(Debug)]
pub struct Section<'a> {
    file: &'a File,
    offset: u64,
    left: u64,
}

impl Archive {
    /// Opens an archive and lists its members. What is compressed is decompressed into `scratch`, a file that is gone
    /// again with its name when this returns.
    ///
    /// # Errors
    /// [`ArchiveError::Read`].
    pub fn open(path: &Path, scratch: &Path) -> Result<Self, ArchiveError> {
        let open = || {
            let mut file = File::open(path)?;
            let spooled = match decompress(&file)? {
                Decompressed::Plain(_) => None,
                compressed => Some(spool(compressed, scratch)?),
            };
            file = spooled.unwrap_or(file);
            file.seek(SeekFrom::Start(0))?;
            let members = list(&file)?;
            Ok(Self { file, members })
        };
        open().map_err(ArchiveError::Read)
    }

    /// A whole document.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`], [`ArchiveError::Read`].
    pub fn read(&self, path: &str) -> Result<Vec<u8>, ArchiveError> {
        let section = self.section(path)?;
        if section.left > DOCUMENT_BYTES_MAX {
            return Err(ArchiveError::Read(io::Error::other(format!("{path} is too large"))));
        }
        let mut bytes = Vec::new();
        { section }.read_to_end(&mut bytes).map_err(ArchiveError::Read)?;
        Ok(bytes)
    }

    /// A whole document, or `None` when there is no such member.
    ///
    /// # Errors
    /// [`ArchiveError::Read`].
    pub fn read_if_there(&self, path: &str) -> Result<Option<Vec<u8>>, ArchiveError> {
        if self.members.contains_key(path) { self.read(path).map(Some) } else { Ok(None) }
    }

    /// A member to read from.
    ///
    /// # Errors
    /// [`ArchiveError::Missing`].
    pub fn section(&self, path: &str) -> Result<Section<'_>, ArchiveError> {
        let missing = || ArchiveError::Missing(path.to_owned());
        let mut name = normalize(Path::new(path)).ok_or_else(missing)?;
        for _ in 0..LINKS_MAX {
            match self.members.get(&name).ok_or_else(missing)? {
                Member::File { offset, length } => {
                    return Ok(Section { file: &self.file, offset: *offset, left: *length });
                }
                Member::Link(target) => name.clone_from(target),
            }
        }
        Err(missing())
    }
}

impl Section<'_> {
    /// Bytes not read yet.
    pub fn length(&self) -> u64 {
        self.left
    }
}

impl Read for Section<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.left).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.file.read_at(&mut buffer[..wanted], self.offset)?;
        if count == 0 && wanted > 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        self.left -= count as u64;
        Ok(count)
    }
}

fn spool(mut content: impl Read, scratch: &Path) -> io::Result<File> {
    let mut file = File::options().read(true).write(true).create_new(true).open(scratch)?;
    fs::remove_file(scratch)?;
    io::copy(&mut content, &mut file)?;
    Ok(file)
}

fn list(file: &File) -> io::Result<HashMap<String, Member>> {
    let mut members = HashMap::new();
    let mut archive = tar::Archive::new(file);
    for entry in archive.entries_with_seek()? {
        let entry = entry?;
        let Some(name) = normalize(&entry.path()?) else { continue };
        let kind = entry.header().entry_type();
        if kind.is_file() {
            members.insert(name, Member::File { offset: entry.raw_file_position(), length: entry.size() });
        } else if let Some(target) = entry.link_name()? {
            let from =
                if kind.is_symlink() { Path::new(&name).parent().unwrap_or(Path::new("")) } else { Path::new("") };
            if let Some(target) = normalize(&from.join(target)) {
                members.insert(name, Member::Link(target));
            }
        }
    }
    Ok(members)
}

/// A path without `.` and `..`; `None` for one that leads out of the archive.
fn normalize(path: &Path) -> Option<String> {
    let mut parts = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part),
            Component::ParentDir => {
                if !parts.pop() {
                    return None;
                }
            }
            Component::CurDir | Component::RootDir | Component::Prefix(_) => {}
        }
    }
    Some(parts.to_string_lossy().into_owned())
}
