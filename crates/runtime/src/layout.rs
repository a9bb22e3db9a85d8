//! Where things are on disk, below `<data-dir>/runtime`.
//!
//! ```text
//! sandboxes/<id>/sandbox.json          what the sandbox is: written by the daemon, read by the shim
//! sandboxes/<id>/shim.sock             where the shim serves
//! sandboxes/<id>/container-<id>.json   what the container is: written by the daemon, read by the shim
//! sandboxes/<id>/state-<id>.json       what became of it: written by the shim
//! mountpoint/                          empty; where each container mounts its root in its own namespace
//! skeleton/                            mount points every container needs: the lowest layer of every root
//! seccomp/<hash>.bpf                   compiled system call filters
//! shims.log                            what shims have to say that nobody asked for
//! ```
//!
//! A Pod makes few files, because making one is what a busy file system is slowest at; what its containers see as
//! `/etc/resolv.conf` and the like is in the infra container's memory.
//!
//! Files are replaced by rename, so a reader sees the old or the new content, never half of it. They are not synced to
//! the medium: what they describe does not survive a power failure either.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

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

    /// The runtime's directory.
    pub fn root(&self) -> &Path {
        self.0.ancestors().nth(2).unwrap_or(Path::new("/"))
    }

    /// What the sandbox is.
    pub fn sandbox_file(&self) -> PathBuf {
        self.0.join("sandbox.json")
    }

    /// What the container is.
    pub fn container_file(&self, id: &str) -> PathBuf {
        self.0.join(format!("container-{id}.json"))
    }

    /// What became of the container.
    pub fn state_file(&self, id: &str) -> PathBuf {
        self.0.join(format!("state-{id}.json"))
    }

    /// Ids of the containers that have a file.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn container_ids(&self) -> io::Result<Vec<String>> {
        let mut ids = Vec::new();
        for entry in fs::read_dir(&self.0)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let id = name.strip_prefix("container-").and_then(|rest| rest.strip_suffix(".json"));
            ids.extend(id.map(ToOwned::to_owned));
        }
        Ok(ids)
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

/// Where containers mount their root.
pub fn mountpoint(root: &Path) -> PathBuf {
    root.join("mountpoint")
}

/// The lowest layer of every root file system.
pub fn skeleton(root: &Path) -> PathBuf {
    root.join("skeleton")
}

/// The shims' common log.
pub fn shim_log(root: &Path) -> PathBuf {
    root.join("shims.log")
}

/// Makes the directories all sandboxes share; those that exist are fine.
///
/// # Errors
/// What the file system says, with the path.
pub fn prepare(root: &Path) -> Result<(), (PathBuf, io::Error)> {
    for path in [sandboxes(root), seccomp(root), mountpoint(root), skeleton(root)] {
        create_private_dir(&path).map_err(|error| (path, error))?;
    }
    let skeleton = skeleton(root);
    make_skeleton(&skeleton).map_err(|error| (skeleton, error))
}

/// Mount points an image may lack. Without them each container would make its own in its writable layer.
fn make_skeleton(root: &Path) -> io::Result<()> {
    let readable = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode));
    readable(root, 0o755)?;
    for directory in ["dev", "etc", "proc", "sys"] {
        let path = root.join(directory);
        create_private_dir(&path)?;
        readable(&path, 0o755)?;
    }
    for file in ["etc/hostname", "etc/hosts", "etc/resolv.conf"] {
        let path = root.join(file);
        fs::write(&path, "")?;
        readable(&path, 0o644)?;
    }
    Ok(())
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
    // Several may replace one file at once, each by a file of its own.
    static REPLACEMENTS: AtomicU64 = AtomicU64::new(0);
    let number = REPLACEMENTS.fetch_add(1, Ordering::Relaxed);
    let mut new = path.as_os_str().to_owned();
    new.push(format!(".{}-{number}.new", std::process::id()));
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
