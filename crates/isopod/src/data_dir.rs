//! The data directory: its layout, its lock, and the id everything on the host is named by.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::FlockOperation;

/// A data directory that exists.
#[derive(Debug, Clone)]
pub struct DataDir {
    path: PathBuf,
}

impl DataDir {
    /// Makes the directory if need be, enterable by root alone.
    pub fn create(path: &Path) -> Result<Self> {
        bootstrap::files::create_private_directory(path).with_context(|| "cannot use --data-dir")?;
        Self::open(path)
    }

    /// An existing directory.
    pub fn open(path: &Path) -> Result<Self> {
        let path = path.canonicalize().with_context(|| format!("cannot open --data-dir {}", path.display()))?;
        Ok(Self { path })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Eight hex digits that tell this server's bridge, cgroups, tables and shims from another's on the same host.
    pub fn id(&self) -> String {
        // FNV-1a: stable across versions, which a hasher of the standard library does not promise.
        let hash = self
            .path
            .as_os_str()
            .as_encoded_bytes()
            .iter()
            .fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193));
        format!("{hash:08x}")
    }

    /// The embedded store's file.
    pub fn store(&self) -> PathBuf {
        self.path.join("store.redb")
    }

    /// Where a running server hands out snapshots.
    pub fn snapshot_socket(&self) -> PathBuf {
        self.path.join("snapshot.sock")
    }

    /// Sandboxes and their shims.
    pub fn runtime(&self) -> PathBuf {
        self.path.join("runtime")
    }

    /// Where the embedded runtime speaks CRI.
    pub fn cri_socket(&self) -> PathBuf {
        self.path.join("cri.sock")
    }

    /// Holds the address of the runtime that is used instead of the embedded one.
    pub fn runtime_endpoint(&self) -> PathBuf {
        self.path.join("container-runtime-endpoint")
    }

    /// Container images.
    pub fn images(&self) -> PathBuf {
        self.path.join("images")
    }

    /// Directories that are PersistentVolumes.
    pub fn storage(&self) -> PathBuf {
        self.path.join("storage")
    }

    /// Records of the Pod network.
    pub fn network(&self) -> PathBuf {
        self.path.join("network")
    }

    /// The admin kubeconfig.
    pub fn kubeconfig(&self) -> PathBuf {
        self.path.join("admin.kubeconfig")
    }

    /// Names the kubeconfig that `--write-kubeconfig` asked for, so that `reset` finds it.
    pub fn extra_kubeconfig(&self) -> PathBuf {
        self.path.join("extra-kubeconfig")
    }

    /// Takes the directory for this process. The lock is the kernel's: it goes with the process however that ends.
    pub fn lock(&self) -> Result<Lock> {
        let mut file = self.lock_file()?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let owner = read_pid(&mut file)?.map(|pid| format!(" (PID {pid})")).unwrap_or_default();
            bail!("{} is in use by another isopod server{owner}", self.path.display());
        }
        file.set_len(0)?;
        write!(file, "{}", std::process::id())?;
        Ok(Lock { _file: file })
    }

    /// Stops the server that holds the directory, if one does, and takes its place.
    pub fn lock_after_stopping_server(&self) -> Result<Lock> {
        let mut file = self.lock_file()?;
        if rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
            let pid = read_pid(&mut file)?.and_then(rustix::process::Pid::from_raw);
            let pid = pid.context("the data directory is locked by an unknown process")?;
            println!("Stopping the server (PID {}) ...", pid.as_raw_nonzero());
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).context("cannot stop the server")?;
            rustix::fs::flock(&file, FlockOperation::LockExclusive).context("cannot wait for the server to stop")?;
        }
        Ok(Lock { _file: file })
    }

    fn lock_file(&self) -> Result<File> {
        let path = self.path.join("lock");
        let open = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        open.with_context(|| format!("cannot open {}", path.display()))
    }

    /// Removes what isopod keeps here, and the directory itself if nothing else is in it.
    pub fn remove(self, _lock: Lock) -> Result<()> {
        const OURS: [&str; 15] = [
            "tls",
            "kubelet",
            "storage",
            "log",
            "runtime",
            "images",
            "network",
            "cri.sock",
            "snapshot.sock",
            "container-runtime-endpoint",
            "store.redb",
            "store.wal",
            "store.new",
            "admin.kubeconfig",
            "extra-kubeconfig",
        ];
        if let Ok(extra) = std::fs::read_to_string(self.extra_kubeconfig()) {
            remove_if_there(Path::new(&extra))?;
        }
        for name in OURS {
            remove_if_there(&self.path.join(name))?;
        }
        remove_if_there(&self.path.join("lock"))?;
        match std::fs::remove_dir(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {
                println!("Left {} in place: it holds files that are not isopod's", self.path.display());
            }
            other => other.with_context(|| format!("cannot remove {}", self.path.display()))?,
        }
        Ok(())
    }
}

/// Holds a data directory until dropped.
#[derive(Debug)]
pub struct Lock {
    _file: File,
}

fn read_pid(file: &mut File) -> io::Result<Option<i32>> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok(text.trim().parse().ok())
}

fn remove_if_there(path: &Path) -> Result<()> {
    let removed = match std::fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_dir() => std::fs::remove_dir_all(path),
        Ok(_) => std::fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_server_at_a_time_and_the_lock_goes_with_it() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = DataDir::create(&directory.path().join("d")).unwrap();
        let lock = data_dir.lock().unwrap();
        let error = data_dir.lock().unwrap_err().to_string();
        assert!(error.contains("is in use by another isopod server (PID"), "{error}");
        drop(lock);
        data_dir.lock().unwrap();
    }

    #[test]
    fn removal_spares_what_is_not_ours() {
        let directory = tempfile::tempdir().unwrap();
        let data_dir = DataDir::create(&directory.path().join("d")).unwrap();
        std::fs::create_dir_all(data_dir.path().join("kubelet/pods")).unwrap();
        std::fs::write(data_dir.path().join("mine.txt"), "keep").unwrap();
        let lock = data_dir.lock().unwrap();
        data_dir.clone().remove(lock).unwrap();
        let left: Vec<_> =
            std::fs::read_dir(data_dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left, ["mine.txt"]);
    }
}
