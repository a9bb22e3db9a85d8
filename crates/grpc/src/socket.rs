//! Unix sockets that one server owns.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Listens on a socket that only its owner may connect to. One that an earlier process left is replaced; one that
/// somebody listens on is not. The path may be longer than the address of a socket can be.
///
/// # Errors
/// What the system said; `AddrInUse` when somebody listens.
pub fn listen(path: &Path) -> io::Result<UnixListener> {
    let (_directory, short) = shorten(path)?;
    match UnixStream::connect(&short) {
        Ok(_) => return Err(io::ErrorKind::AddrInUse.into()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(_) => std::fs::remove_file(path)?,
    }
    let listener = UnixListener::bind(&short)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Connects to a socket, whose path may be longer than the address of a socket can be.
///
/// # Errors
/// What the system said.
pub async fn connect(path: &Path) -> io::Result<tokio::net::UnixStream> {
    let (_directory, short) = shorten(path)?;
    tokio::net::UnixStream::connect(&short).await
}

/// A short path for the same file, good for as long as its directory is held open.
fn shorten(path: &Path) -> io::Result<(File, PathBuf)> {
    let (name, directory) = (path.file_name(), path.parent());
    let (Some(name), Some(directory)) = (name, directory) else { return Err(io::ErrorKind::InvalidInput.into()) };
    let directory = File::open(directory)?;
    let short = PathBuf::from(format!("/proc/self/fd/{}", directory.as_raw_fd())).join(name);
    Ok((directory, short))
}
