//! Address ranges of a cluster's own.

use std::fs::File;

use anyhow::{Context as _, Result};
use rustix::fs::FlockOperation;

/// Clusters that fit side by side on one host.
const SLOTS: u8 = 64;

/// Pod and Service ranges that no other test cluster on this host has, of whichever process, while this lives.
pub struct Ranges {
    slot: u8,
    /// Locked; the kernel lets go of it even when the process is killed.
    _lock: File,
}

impl Ranges {
    /// Takes the first ranges that are free.
    ///
    /// # Errors
    /// When none is, or the files that stand for them can't be opened.
    pub fn take() -> Result<Self> {
        for slot in 0..SLOTS {
            let path = std::env::temp_dir().join(format!("isopod-test-ranges-{slot}.lock"));
            let lock =
                File::options().create(true).append(true).open(&path).with_context(|| format!("opening {path:?}"))?;
            if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_ok() {
                return Ok(Self { slot, _lock: lock });
            }
        }
        anyhow::bail!("{SLOTS} clusters are running on this host already")
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
