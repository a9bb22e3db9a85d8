//! What is done to a cluster: processes are killed as by `kill -9`, files are broken or taken away.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::seed::Seed;
use super::world::World;
use crate::Cluster;

/// One thing done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The daemon is killed.
    Daemon,
    /// A Pod's shim is killed.
    Shim,
    /// A Pod's pause process is killed.
    Pause,
    /// A container's process is killed.
    Container,
    /// A file is cut short.
    Truncate,
    /// A file's content is replaced by noise.
    Garble,
    /// A file is removed.
    Remove,
    /// A Pod gets an ephemeral container.
    Debug,
    /// A Pod is deleted.
    Delete {
        /// With this grace period; 0 by force.
        grace_seconds: u32,
    },
}

impl Fault {
    /// Everything.
    pub const ALL: [Self; 13] = [
        Self::Daemon,
        Self::Daemon,
        Self::Daemon,
        Self::Shim,
        Self::Pause,
        Self::Container,
        Self::Container,
        Self::Truncate,
        Self::Garble,
        Self::Remove,
        Self::Debug,
        Self::Delete { grace_seconds: 1 },
        Self::Delete { grace_seconds: 0 },
    ];
    /// What may happen to Pods that are going.
    pub const PROCESSES: [Self; 4] = [Self::Daemon, Self::Shim, Self::Pause, Self::Container];
}

/// Injects faults into one cluster.
pub struct Injector<'a> {
    cluster: &'a Cluster,
    /// The id in the names of everything of the cluster.
    pub id: String,
    up: bool,
    /// Files that were broken, for the report.
    pub files: Vec<PathBuf>,
    /// Whether containers may have ended by what was done.
    pub containers_died: bool,
}

impl<'a> Injector<'a> {
    /// For this cluster, whose daemon runs.
    ///
    /// # Errors
    /// When it has no id.
    pub fn new(cluster: &'a Cluster) -> Result<Self> {
        let id = super::world::cluster_id(&cluster.data_dir())?;
        Ok(Self { cluster, id, up: true, files: Vec::new(), containers_died: false })
    }

    /// Whether the daemon runs.
    pub fn is_up(&self) -> bool {
        self.up
    }

    /// Starts the daemon again if it is away.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn revive(&mut self) -> Result<()> {
        if !self.up {
            self.cluster.start_server().context("starting the server after it was killed")?;
            self.up = true;
        }
        Ok(())
    }

    /// Does it; answers whether there was anything to do it to.
    ///
    /// # Errors
    /// When the host can't be looked at.
    pub fn inject(&mut self, fault: Fault, seed: &mut Seed) -> Result<bool> {
        if fault == Fault::Daemon {
            if self.up {
                self.cluster.kill_server()?;
            }
            return Ok(std::mem::replace(&mut self.up, false));
        }
        let world = World::observe(&self.cluster.data_dir(), &self.id)?;
        let pids = match fault {
            Fault::Shim => world.shims.iter().map(|shim| shim.pid).collect(),
            Fault::Pause => world.pauses().map(|process| process.pid).collect(),
            Fault::Container => world.inits().map(|process| process.pid).collect(),
            Fault::Truncate | Fault::Garble | Fault::Remove => return self.break_file(fault, seed),
            Fault::Daemon | Fault::Debug | Fault::Delete { .. } => Vec::new(),
        };
        if pids.is_empty() {
            return Ok(false);
        }
        self.containers_died = true;
        let pid = i32::try_from(seed.pick(&pids)).ok().and_then(Pid::from_raw).context("a PID")?;
        // It may have ended by itself just now.
        Ok(kill_process(pid, Signal::KILL).is_ok())
    }

    fn break_file(&mut self, fault: Fault, seed: &mut Seed) -> Result<bool> {
        let data_dir = self.cluster.data_dir();
        let mut files = Vec::new();
        for directory in ["runtime/sandboxes", "network", "kubelet"] {
            list_files(&data_dir.join(directory), &mut files);
        }
        if files.is_empty() {
            return Ok(false);
        }
        files.sort();
        let file = seed.pick(&files);
        let broken = match fault {
            Fault::Truncate => fs::read(&file).and_then(|content| fs::write(&file, &content[..content.len() / 2])),
            Fault::Garble => fs::write(&file, b"\0\xffnot what it was\n{"),
            _ => fs::remove_file(&file),
        };
        // Without its records a container can't be known to have run; it is started again or given up.
        self.containers_died = true;
        self.files.push(file);
        Ok(broken.is_ok())
    }
}

/// Files that isopod keeps for itself; what is in volumes is the user's. Files come and go while one looks.
fn list_files(directory: &Path, files: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(directory) else { return };
    for entry in entries.flatten() {
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() {
            if entry.file_name() != "volumes" && entry.file_name() != "volume-subpaths" {
                list_files(&entry.path(), files);
            }
        } else {
            files.push(entry.path());
        }
    }
}
