//! What containers use.

use std::path::Path;
use std::sync::Arc;

use cri::{
    ContainerAttributes, ContainerStats, CpuUsage, FilesystemIdentifier, FilesystemUsage, MemoryUsage, SwapUsage,
    UInt64Value,
};
use linux::cgroup::Usage;

use super::Container;
use crate::runtime::Shared;

/// CPU, memory and disk use of one container. What a container that does not run used last is not known.
///
/// # Errors
/// When the disk or the kernel refuse.
pub fn stats(shared: &Shared, container: &Arc<Container>) -> cri::Result<ContainerStats> {
    let config = &container.record.config;
    let timestamp = shared.now();
    let layer = shared.root_filesystems.usage(container.id())?;
    let mountpoint = container.record.spec.root.upper.parent().unwrap_or(Path::new("/")).display().to_string();
    let usage = container.is_running().then(|| shared.cgroups.usage(&container.record.spec.cgroup).ok()).flatten();
    Ok(ContainerStats {
        attributes: Some(ContainerAttributes {
            id: container.id().to_owned(),
            metadata: config.metadata.clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
        }),
        writable_layer: Some(FilesystemUsage {
            timestamp,
            fs_id: Some(FilesystemIdentifier { mountpoint }),
            used_bytes: number(layer.bytes),
            inodes_used: number(layer.inodes),
        }),
        cpu: usage.map(|usage| cpu(timestamp, &usage)),
        memory: usage.map(|usage| memory(timestamp, &usage)),
        swap: usage.and_then(|usage| swap(timestamp, &usage)),
    })
}

/// Stats of all that run and match; one that ends meanwhile has none.
pub fn stats_of<'a>(shared: &Shared, containers: impl Iterator<Item = &'a Arc<Container>>) -> Vec<ContainerStats> {
    let running = containers.filter(|container| container.is_running());
    let measured = running.filter_map(|container| match stats(shared, container) {
        Ok(stats) => Some(stats),
        Err(error) => {
            tracing::debug!(container = container.id(), %error, "no stats");
            None
        }
    });
    measured.collect()
}

/// A number that is there.
pub fn number(value: u64) -> Option<UInt64Value> {
    Some(UInt64Value { value })
}

/// CPU use in CRI's words. The present rate is for whoever asks twice to work out.
pub fn cpu(timestamp: i64, usage: &Usage) -> CpuUsage {
    CpuUsage { timestamp, usage_core_nano_seconds: number(usage.cpu_nanoseconds), usage_nano_cores: None }
}

/// Memory use in CRI's words; what is available is known only where there is a limit.
pub fn memory(timestamp: i64, usage: &Usage) -> MemoryUsage {
    let available = usage.memory_limit_bytes.map(|limit| limit.saturating_sub(usage.memory_working_set_bytes));
    MemoryUsage {
        timestamp,
        working_set_bytes: number(usage.memory_working_set_bytes),
        usage_bytes: number(usage.memory_usage_bytes),
        rss_bytes: number(usage.memory_rss_bytes),
        page_faults: number(usage.page_faults),
        major_page_faults: number(usage.major_page_faults),
        available_bytes: available.and_then(number),
    }
}

fn swap(timestamp: i64, usage: &Usage) -> Option<SwapUsage> {
    usage.swap_bytes.map(|bytes| SwapUsage { timestamp, swap_usage_bytes: number(bytes), swap_available_bytes: None })
}
