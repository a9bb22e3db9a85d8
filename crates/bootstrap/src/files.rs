//! Files that appear whole or not at all, with their mode from the start.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file that could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("cannot {act} {}", path.display())]
pub struct Error {
    /// `read`, `write` or `create`.
    pub act: &'static str,
    /// The file or directory.
    pub path: PathBuf,
    /// Why not.
    pub source: io::Error,
}

/// Makes a directory (and those above it) that only root can enter.
///
/// # Errors
/// [`Error`].
pub fn create_private_directory(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|source| Error {
        act: "create",
        path: path.to_owned(),
        source,
    })
}

/// Writes a file that only root can read, durably, in place of what was there.
///
/// # Errors
/// [`Error`].
pub fn write_private(path: &Path, content: &str) -> Result<(), Error> {
    let partial = path.with_added_extension("partial");
    let write = || {
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial)?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
        fs::rename(&partial, path)
    };
    write().map_err(|source| Error { act: "write", path: path.to_owned(), source })
}

/// The text of a file, or `None` if there is none.
///
/// # Errors
/// [`Error`].
pub fn read(path: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error { act: "read", path: path.to_owned(), source }),
    }
}
