//! What is seen of the node: a few small files, and a question to each of its file systems.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use api::quantity::Quantity;
use jiff::Timestamp;

use super::judge::{Observation, Observations};
use super::{Disks, Signal};
use crate::context::NodeContext;
use crate::machine::{Machine, parse_meminfo};
use crate::stats::disk;

/// Where the node's files are.
#[derive(Debug, Clone)]
pub struct FileSystems {
    node: PathBuf,
    images: PathBuf,
    containers: PathBuf,
}

impl FileSystems {
    /// Asks the runtime for its part.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn find(context: &NodeContext) -> cri::Result<Self> {
        let info = context.image_service.image_fs_info().await?;
        let node = context.paths.root.clone();
        let mountpoint = |usages: &[cri::FilesystemUsage]| {
            let id = usages.first().and_then(|usage| usage.fs_id.as_ref());
            id.map(|id| PathBuf::from(&id.mountpoint))
        };
        let images = mountpoint(&info.image_filesystems).unwrap_or_else(|| node.clone());
        let containers = mountpoint(&info.container_filesystems).unwrap_or_else(|| images.clone());
        Ok(Self { node, images, containers })
    }

    /// How they are laid out.
    pub fn disks(&self) -> Disks {
        let device = |path: &Path| std::fs::metadata(path).map(|metadata| metadata.dev()).ok();
        match (device(&self.node), device(&self.images)) {
            (Some(node), Some(images)) if node != images => Disks::ImagesApart,
            _ => Disks::Shared,
        }
    }
}

/// Looks at the node.
pub fn look(context: &NodeContext, machine: &Machine, file_systems: &FileSystems) -> Observations {
    let mut seen = Observations::new();
    seen.extend(node_memory(machine).map(|observation| (Signal::MemoryAvailable, observation)));
    seen.extend(memory_of_pods(context).map(|observation| (Signal::AllocatableMemoryAvailable, observation)));
    let now = context.clock.now();
    for (path, space, inodes) in [
        (&file_systems.node, Signal::NodefsAvailable, Signal::NodefsInodesFree),
        (&file_systems.images, Signal::ImagefsAvailable, Signal::ImagefsInodesFree),
        (&file_systems.containers, Signal::ContainerfsAvailable, Signal::ContainerfsInodesFree),
    ] {
        seen.extend(disk_space(path, now, space, inodes));
    }
    if let Some(tasks) = task_count().filter(|_| machine.pid_limit > 0) {
        let free = count(machine.pid_limit.saturating_sub(tasks));
        seen.insert(Signal::PidAvailable, Observation { available: free, capacity: count(machine.pid_limit) });
    }
    seen
}

/// The node's memory without its working set, as `kubectl top node` counts it.
fn node_memory(machine: &Machine) -> Option<Observation> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let figures = parse_meminfo(&meminfo);
    let available = figures.get("MemFree")? + figures.get("Inactive(file)")?;
    Some(Observation { available: bytes(available), capacity: bytes(machine.memory_bytes) })
}

/// What all Pods together can still use.
fn memory_of_pods(context: &NodeContext) -> Option<Observation> {
    let usage = context.host.cgroup_usage(&context.kubepods()).ok()?;
    let limit = usage.memory_limit_bytes?;
    let available = limit.saturating_sub(usage.memory_working_set_bytes);
    Some(Observation { available: bytes(available), capacity: bytes(limit) })
}

fn disk_space(path: &Path, now: Timestamp, space: Signal, inodes: Signal) -> Vec<(Signal, Observation)> {
    let Some(fs) = disk::file_system(path, now) else { return Vec::new() };
    let mut seen =
        vec![(space, Observation { available: bytes(fs.available_bytes), capacity: bytes(fs.capacity_bytes) })];
    // Some file systems have no such limit.
    if fs.inodes > 0 {
        seen.push((inodes, Observation { available: count(fs.inodes_free), capacity: count(fs.inodes) }));
    }
    seen
}

fn bytes(value: u64) -> Quantity {
    Quantity::from_bytes(i64::try_from(value).unwrap_or(i64::MAX))
}

fn count(value: u64) -> Quantity {
    Quantity::from_value(i64::try_from(value).unwrap_or(i64::MAX))
}

/// How many tasks the kernel has.
fn task_count() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/loadavg").ok()?;
    text.split(' ').nth(3)?.split_once('/')?.1.parse().ok()
}
