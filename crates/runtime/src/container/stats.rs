//! What containers use.

use std::path::Path;
use std::sync::Arc;

use cri::{
    ContainerAttributes, ContainerStats, CpuUsage, FilesystemIdentifier, FilesystemUsage, MemoryUsage, UInt64Value,
};

use super::Container;
use crate::runtime::Shared;

/// CPU, memory and disk use of one container. What a container that does not run used last is not known.
///
/// # Errors
/// When the disk or the kernel refuse.
pub fn stats(shared: &Shared, container: &Arc<Container>) -> cri::Result<ContainerStats> {
    let config = &container.record.config;
    let timestamp = shared.now();
    let number = |value: u64| Some(UInt64Value { value });
    let layer = shared.root_filesystems.usage(container.id())?;
    let mountpoint = container.record.spec.root.upper.parent().unwrap_or(Path::new("/")).display().to_string();
    let mut stats = ContainerStats {
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
        ..ContainerStats::default()
    };
    if container.is_running()
        && let Ok(usage) = shared.cgroups.usage(&container.record.spec.cgroup)
    {
        stats.cpu = Some(CpuUsage {
            timestamp,
            usage_core_nano_seconds: number(usage.cpu_nanoseconds),
            usage_nano_cores: None,
        });
        stats.memory = Some(MemoryUsage {
            timestamp,
            working_set_bytes: number(usage.memory_working_set_bytes),
            usage_bytes: number(usage.memory_usage_bytes),
            rss_bytes: number(usage.memory_rss_bytes),
            page_faults: number(usage.page_faults),
            major_page_faults: number(usage.major_page_faults),
            available_bytes: None,
        });
    }
    Ok(stats)
}
