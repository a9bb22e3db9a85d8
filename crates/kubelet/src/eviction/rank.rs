//! Who makes way first: who uses more than requested, then who matters less, then who uses most beyond its request. Pure.

use std::cmp::Reverse;
use std::sync::Arc;

use api::core::v1::pod::resources::pod_requests;
use k8s_openapi::api::core::v1::Pod;

use super::{Disks, Signal};
use crate::pod;
use crate::stats::summary::{FsStats, PodStats};

#[cfg(test)]
mod tests;

/// A Pod that could make way.
#[derive(Debug, Clone)]
pub struct Candidate {
    /// The Pod.
    pub pod: Arc<Pod>,
    /// What it uses, if anybody could tell.
    pub stats: Option<PodStats>,
}

/// Sorts: the first goes first. A Pod nobody can measure goes before those that can be.
pub fn rank(candidates: &mut [Candidate], signal: Signal, disks: Disks) {
    candidates.sort_by_cached_key(|candidate| {
        let priority = pod::priority(&candidate.pod);
        let Some(stats) = &candidate.stats else { return (false, false, priority, Reverse(i64::MAX)) };
        let usage = usage(stats, signal, disks);
        if signal == Signal::PidAvailable {
            return (true, false, priority, Reverse(usage));
        }
        let excess = usage.saturating_sub(requested(&candidate.pod, signal));
        (true, excess <= 0, priority, Reverse(excess))
    });
}

/// What a Pod requests of what is short. Inodes and process ids cannot be requested.
fn requested(pod: &Pod, signal: Signal) -> i64 {
    pod_requests(pod).get(signal.resource()).map_or(0, |amount| amount.value())
}

fn usage(stats: &PodStats, signal: Signal, disks: Disks) -> i64 {
    let disk = |of: fn(&FsStats) -> u64| disk_usage(stats, signal, disks, of);
    let usage = match signal {
        Signal::MemoryAvailable | Signal::AllocatableMemoryAvailable => {
            stats.compute.memory.and_then(|memory| memory.working_set_bytes).unwrap_or(0)
        }
        Signal::NodefsAvailable | Signal::ImagefsAvailable | Signal::ContainerfsAvailable => disk(|fs| fs.used_bytes),
        Signal::NodefsInodesFree | Signal::ImagefsInodesFree | Signal::ContainerfsInodesFree => {
            disk(|fs| fs.inodes_used)
        }
        Signal::PidAvailable => stats.process_stats.map_or(0, |processes| processes.process_count),
    };
    i64::try_from(usage).unwrap_or(i64::MAX)
}

/// What the Pod has on the disk that is short: where images are apart, what its containers wrote is with them, and logs
/// and volumes are not.
fn disk_usage(stats: &PodStats, signal: Signal, disks: Disks, of: fn(&FsStats) -> u64) -> u64 {
    let all = stats.ephemeral_storage.as_ref().map_or(0, of);
    let written: u64 = stats.containers.iter().filter_map(|container| container.rootfs.as_ref()).map(of).sum();
    match (disks, signal) {
        (Disks::Shared, _) => all,
        (Disks::ImagesApart, Signal::NodefsAvailable | Signal::NodefsInodesFree) => all.saturating_sub(written),
        (Disks::ImagesApart, _) => written,
    }
}
