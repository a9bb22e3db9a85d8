//! Removing everything a runtime made on the host, also after a crash, and nothing else.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use linux::cgroup::Cgroups;
use linux::{process, socket};
use rustix::event::{PollFd, PollFlags, Timespec};

use crate::layout::{self, SandboxDir};
use crate::sandbox::record::SandboxRecord;
use crate::shim::protocol::{Call, Request};
use crate::shim_client;

/// How long a shim may take to end its containers before it is killed itself.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why not everything could be removed. Calling again takes up where this left off.
#[derive(Debug, thiserror::Error)]
pub enum ResetError {
    /// The host's cgroups cannot be used.
    #[error("remove cgroups")]
    Cgroups(#[from] linux::cgroup::Error),
    /// A directory cannot be read or removed.
    #[error("remove {path}")]
    Files {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
}

/// Ends every sandbox of the runtime at `root` (`<data-dir>/runtime`), kills what is left below its cgroup, and removes
/// its files. No daemon may use the runtime meanwhile. The Pod network has a reset of its own.
///
/// # Errors
/// [`ResetError`]; what could be removed is.
pub fn reset(root: &Path, cgroup_root: &str) -> Result<(), ResetError> {
    let files = |path: &Path| {
        let path = path.to_owned();
        move |source| ResetError::Files { path, source }
    };
    let sandboxes = layout::sandboxes(root);
    match fs::read_dir(&sandboxes) {
        Ok(entries) => {
            for entry in entries {
                let entry = entry.map_err(files(&sandboxes))?;
                end_sandbox(&SandboxDir::at(entry.path()));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(files(&sandboxes)(error)),
    }
    let cgroups = Cgroups::detect()?;
    if cgroups.exists(cgroup_root) {
        cgroups.kill(cgroup_root)?;
        cgroups.remove(cgroup_root)?;
    }
    match fs::remove_dir_all(root) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(files(root)(error)),
        _ => Ok(()),
    }
}

/// Asks a shim to end, and kills it when it does not.
fn end_sandbox(directory: &SandboxDir) {
    let record: io::Result<SandboxRecord> = layout::read_json(&directory.sandbox_file());
    let process = record.map_or(0, |record| record.shim_pid);
    let handle = shim_client::find(process, directory);
    let asked = shim_client::connect(directory).and_then(|connection| {
        let request = serde_json::to_vec(&Request { number: 1, call: Call::Stop })?;
        socket::send(connection.as_fd(), &request, &[])?;
        // The answer, or the end of the connection.
        wait_readable(connection.as_fd())
    });
    let Some(handle) = handle else { return };
    if asked.is_err() || wait_readable(handle.as_fd()).is_err() {
        // Its children die with it.
        let _ = process::signal(handle.as_fd(), libc::SIGKILL);
        let _ = wait_readable(handle.as_fd());
    }
}

fn wait_readable(file: std::os::fd::BorrowedFd<'_>) -> io::Result<()> {
    let timeout = Timespec { tv_sec: PATIENCE.as_secs() as i64, tv_nsec: 0 };
    match rustix::event::poll(&mut [PollFd::from_borrowed_fd(file, PollFlags::IN)], Some(&timeout))? {
        0 => Err(io::ErrorKind::TimedOut.into()),
        _ => Ok(()),
    }
}
