//! Address ranges of a cluster's own.

use std::fs::File;
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::fs::FlockOperation;

/// Clusters that fit side by side on one host.
const SLOTS: u8 = 64;

/// Pod and Service ranges that no other test cluster on this host has, of whichever process, while this lives.
pub struct Ranges {
    slot: u8,
    /// Locked; the kernel lets go of it even when the process is killed. Names the cluster's directory.
    lock: File,
    left_behind: Option<PathBuf>,
}

impl Ranges {
    /// Takes the first ranges that are free.
    ///
    /// # Errors
    /// When none is, or the files that stand for them can't be opened.
    pub fn take() -> Result<Self> {
        for slot in 0..SLOTS {
            let path = std::env::temp_dir().join(format!("isopod-test-ranges-{slot}.lock"));
            let mut options = File::options();
            let mut lock = options
                .create(true)
                .truncate(false)
                .read(true)
                .write(true)
                .open(&path)
                .with_context(|| format!("opening {path:?}"))?;
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                let mut owner = String::new();
                lock.read_to_string(&mut owner)?;
                let left_behind = Some(PathBuf::from(owner)).filter(|root| root.join("data").exists());
                return Ok(Self { slot, lock, left_behind });
            }
        }
        anyhow::bail!("{SLOTS} clusters are running on this host already")
    }

    /// The directory of a cluster whose test was killed before it could remove it: it may still have these ranges.
    pub fn left_behind(&self) -> Option<&Path> {
        self.left_behind.as_deref()
    }

    /// Names the directory of the cluster that has the ranges from now on.
    ///
    /// # Errors
    /// When it can't be written down.
    pub fn belong_to(&mut self, root: &Path) -> Result<()> {
        self.lock.rewind()?;
        self.lock.set_len(0)?;
        write!(self.lock, "{}", root.display())?;
        Ok(())
    }

    /// Tells this cluster from the others on this host.
    pub fn slot(&self) -> u8 {
        self.slot
    }

    /// Addresses of Pods, where the runtime brings its own network.
    pub fn pod_subnet(&self) -> String {
        format!("10.{}.0.0/24", 64 + self.slot)
    }

    /// For `--cluster-cidr`.
    pub fn cluster_cidr(&self) -> String {
        format!("10.{}.0.0/16", 64 + self.slot)
    }

    /// For `--service-cidr`.
    pub fn service_cidr(&self) -> String {
        format!("10.{}.0.0/16", 128 + self.slot)
    }
}
