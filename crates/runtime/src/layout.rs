//! Where things are on disk, below `<data-dir>/runtime`.
//!
//! ```text
//! sandboxes/<id>/sandbox.json            what the sandbox is: written by the daemon, read by the shim
//! sandboxes/<id>/shim.json               the shim's process, written by the shim once it serves
//! sandboxes/<id>/shim.sock               where the shim serves
//! sandboxes/<id>/{resolv.conf,hostname,hosts}   files mounted into the containers
//! sandboxes/<id>/rootfs                  empty; where each container mounts its root in its own namespace
//! sandboxes/<id>/containers/<id>/container.json   what the container is: written by the daemon, read by the shim
//! sandboxes/<id>/containers/<id>/state.json       what became of it: written by the shim
//! seccomp/<hash>.bpf                     compiled system call filters
//! ```
//!
//! Files are replaced by rename, so a reader sees the old or the new content, never half of it. They are not synced to
//! the medium: what they describe does not survive a power failure either.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;

/// The directory of one sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxDir(PathBuf);

/// Name of the shim's socket in its sandbox's directory.
pub const SHIM_SOCKET: &str = "shim.sock";

impl SandboxDir {
    /// The directory of sandbox `id` of the runtime whose state is at `root`.
    pub fn new(root: &Path, id: &str) -> Self {
        Self(sandboxes(root).join(id))
    }

    /// A path that was handed over.
    pub fn at(path: PathBuf) -> Self {
        Self(path)
    }

    /// The directory itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// What the sandbox is.
    pub fn sandbox_file(&self) -> PathBuf {
        self.0.join("sandbox.json")
    }

    /// The shim's process.
    pub fn shim_file(&self) -> PathBuf {
        self.0.join("shim.json")
    }

    /// What a shim says that cannot say it to the daemon.
    pub fn shim_log(&self) -> PathBuf {
        self.0.join("shim.log")
    }

    /// Where containers mount their root.
    pub fn rootfs(&self) -> PathBuf {
        self.0.join("rootfs")
    }

    /// Name resolution of the Pod.
    pub fn resolv_conf(&self) -> PathBuf {
        self.0.join("resolv.conf")
    }

    /// Host name of the Pod.
    pub fn hostname(&self) -> PathBuf {
        self.0.join("hostname")
    }

    /// Host table for containers that bring none.
    pub fn hosts(&self) -> PathBuf {
        self.0.join("hosts")
    }

    /// The containers' directories.
    pub fn containers(&self) -> PathBuf {
        self.0.join("containers")
    }

    /// The directory of one container.
    pub fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }

    /// What the container is.
    pub fn container_file(&self, id: &str) -> PathBuf {
        self.container(id).join("container.json")
    }

    /// What became of the container.
    pub fn state_file(&self, id: &str) -> PathBuf {
        self.container(id).join("state.json")
    }
}

/// The directory that holds the sandboxes.
pub fn sandboxes(root: &Path) -> PathBuf {
    root.join("sandboxes")
}

/// The directory that holds compiled system call filters.
pub fn seccomp(root: &Path) -> PathBuf {
    root.join("seccomp")
}

/// Creates a directory only its owner can enter, and missing parents; one that exists is fine.
///
/// # Errors
/// What the file system says.
pub fn create_private_dir(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Replaces a file by `content`, readable for its owner only.
///
/// # Errors
/// What the file system says; the old file is then untouched.
pub fn replace_file(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut new = path.as_os_str().to_owned();
    new.push(".new");
    let new = PathBuf::from(new);
    fs::File::options().write(true).create(true).truncate(true).mode(0o600).open(&new)?.write_all(content)?;
    fs::rename(&new, path)
}

/// Replaces a file by a value in JSON.
///
/// # Errors
/// As [`replace_file`].
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    replace_file(path, &serde_json::to_vec(value)?)
}

/// Reads a value from a file.
///
/// # Errors
/// What the file system says; `InvalidData` when the content is something else.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<T> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

/// As [`read_json`], or `None` when there is no such file.
///
/// # Errors
/// As [`read_json`].
pub fn read_json_if_there<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match read_json(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        outcome => outcome.map(Some),
    }
}
