//! What Pods use: the runtime's counters, and what is on disk.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, Volume};

use super::Detail;
use super::disk::{DiskUsage, file_system, usage};
use super::summary::{
    ClaimReference, ComputeStats, ContainerStats, CpuStats, FsStats, Identity, InterfaceStats, MemoryStats,
    NetworkStats, PodReference, PodStats, ProcessStats, SwapStats, VolumeStats,
};
use crate::container_config::log_directory;
use crate::context::NodeContext;
use crate::labels;
use crate::observed::time;
use crate::pod;
use crate::volumes::persistent::{LocalClaim, local_claims};

/// Measures the Pods that run.
pub(super) async fn observe(
    context: &Arc<NodeContext>,
    pods: Vec<Arc<Pod>>,
    detail: Detail,
) -> cri::Result<Vec<PodStats>> {
    let sandboxes = context.runtime.list_pod_sandbox(cri::PodSandboxFilter::default()).await?;
    let containers = context.runtime.list_containers(cri::ContainerFilter::default()).await?;
    let created: HashMap<&str, &cri::PodSandbox> = sandboxes.iter().map(|one| (one.id.as_str(), one)).collect();
    let listed: HashMap<&str, &cri::Container> = containers.iter().map(|one| (one.id.as_str(), one)).collect();
    let known: HashMap<String, Arc<Pod>> = pods.into_iter().map(|pod| (pod::uid(&pod).to_string(), pod)).collect();
    let mut all = Vec::new();
    for stats in context.runtime.list_pod_sandbox_stats(cri::PodSandboxStatsFilter::default()).await? {
        let attributes = stats.attributes.unwrap_or_default();
        let start = created.get(attributes.id.as_str()).map_or(0, |sandbox| sandbox.created_at);
        let mut pod = pod_stats(&attributes.labels, time(start), stats.linux.unwrap_or_default(), &listed);
        let spec = known.get(&pod.pod_ref.uid);
        pod.cgroup = spec.map(|spec| context.cgroup(spec)).unwrap_or_default();
        if let Some(spec) = spec.filter(|_| detail == Detail::All) {
            let claims = local_claims(&context.objects, spec).await;
            let (context, spec) = (Arc::clone(context), Arc::clone(spec));
            let measured = tokio::task::spawn_blocking(move || {
                add_disks(&context, &spec, &mut pod);
                add_claims(claims, &spec, &context, &mut pod);
                pod
            });
            // A panic there loses the disks of one Pod, and the Pod with them.
            pod = measured.await.map_err(|error| cri::Error::Failed(error.to_string()))?;
        }
        all.push(pod);
    }
    all.sort_by(|left, right| {
        (&left.pod_ref.namespace, &left.pod_ref.name).cmp(&(&right.pod_ref.namespace, &right.pod_ref.name))
    });
    Ok(all)
}

fn pod_stats(
    labels: &std::collections::BTreeMap<String, String>,
    start_time: Timestamp,
    linux: cri::LinuxPodSandboxStats,
    listed: &HashMap<&str, &cri::Container>,
) -> PodStats {
    let label = |name: &str| labels.get(name).cloned().unwrap_or_default();
    let mut containers: Vec<ContainerStats> =
        linux.containers.iter().filter_map(|stats| container_stats(stats, listed)).collect();
    containers.sort_by(|left, right| left.name.cmp(&right.name));
    PodStats {
        pod_ref: PodReference {
            name: label(labels::POD_NAME),
            namespace: label(labels::POD_NAMESPACE),
            uid: label(labels::POD_UID),
        },
        start_time,
        containers,
        compute: ComputeStats {
            cpu: linux.cpu.as_ref().map(cpu),
            memory: linux.memory.as_ref().map(memory),
            swap: None,
        },
        network: linux.network.as_ref().map(network),
        process_stats: linux
            .process
            .and_then(|process| number(&process.process_count))
            .map(|process_count| ProcessStats { process_count }),
        ..PodStats::default()
    }
}

fn container_stats(stats: &cri::ContainerStats, listed: &HashMap<&str, &cri::Container>) -> Option<ContainerStats> {
    let attributes = stats.attributes.as_ref()?;
    let container = listed.get(attributes.id.as_str())?;
    let named = attributes.labels.get(labels::CONTAINER_NAME).cloned();
    let name = named.or_else(|| attributes.metadata.as_ref().map(|metadata| metadata.name.clone()))?;
    Some(ContainerStats {
        name,
        start_time: time(container.created_at),
        compute: ComputeStats {
            cpu: stats.cpu.as_ref().map(cpu),
            memory: stats.memory.as_ref().map(memory),
            swap: stats.swap.as_ref().map(|swap| SwapStats {
                time: time(swap.timestamp),
                swap_available_bytes: number(&swap.swap_available_bytes),
                swap_usage_bytes: number(&swap.swap_usage_bytes),
            }),
        },
        rootfs: stats.writable_layer.as_ref().and_then(writable_layer),
        logs: None,
        identity: Identity {
            id: attributes.id.clone(),
            image: container.image.as_ref().map(|image| image.image.clone()).unwrap_or_default(),
        },
    })
}

fn number(value: &Option<cri::UInt64Value>) -> Option<u64> {
    value.as_ref().map(|value| value.value)
}

fn cpu(cpu: &cri::CpuUsage) -> CpuStats {
    CpuStats {
        time: time(cpu.timestamp),
        usage_nano_cores: number(&cpu.usage_nano_cores),
        usage_core_nano_seconds: number(&cpu.usage_core_nano_seconds),
    }
}

fn memory(memory: &cri::MemoryUsage) -> MemoryStats {
    MemoryStats {
        time: time(memory.timestamp),
        available_bytes: number(&memory.available_bytes),
        usage_bytes: number(&memory.usage_bytes),
        working_set_bytes: number(&memory.working_set_bytes),
        rss_bytes: number(&memory.rss_bytes),
        page_faults: number(&memory.page_faults),
        major_page_faults: number(&memory.major_page_faults),
    }
}

fn network(network: &cri::NetworkUsage) -> NetworkStats {
    let interface = |usage: &cri::NetworkInterfaceUsage| InterfaceStats {
        name: usage.name.clone(),
        rx_bytes: number(&usage.rx_bytes).unwrap_or(0),
        rx_errors: number(&usage.rx_errors).unwrap_or(0),
        tx_bytes: number(&usage.tx_bytes).unwrap_or(0),
        tx_errors: number(&usage.tx_errors).unwrap_or(0),
    };
    let default = network.default_interface.as_ref().map(interface);
    let interfaces = default.iter().cloned().chain(network.interfaces.iter().map(interface)).collect();
    NetworkStats { time: time(network.timestamp), default, interfaces }
}

fn writable_layer(layer: &cri::FilesystemUsage) -> Option<FsStats> {
    let used =
        DiskUsage { bytes: number(&layer.used_bytes).unwrap_or(0), inodes: number(&layer.inodes_used).unwrap_or(0) };
    let mountpoint = layer.fs_id.as_ref().map(|id| id.mountpoint.as_str())?;
    Some(file_system(Path::new(mountpoint), time(layer.timestamp))?.used_by(used))
}

/// Adds what a Pod has on disk: logs and volumes, and the sum of all that goes with the Pod.
fn add_disks(context: &NodeContext, spec: &Pod, stats: &mut PodStats) {
    let now = context.clock.now();
    let Some(disk) = file_system(&context.paths.root, now) else { return };
    let logs = context.paths.pod_logs.join(log_directory(spec));
    let mut total = DiskUsage::default();
    for container in &mut stats.containers {
        let used = usage(&logs.join(&container.name));
        container.logs = Some(disk.used_by(used));
        total += used;
        if let Some(layer) = &container.rootfs {
            total += DiskUsage { bytes: layer.used_bytes, inodes: layer.inodes_used };
        }
    }
    let volumes = context.pod_dir(&pod::uid(spec)).join("volumes");
    for volume in spec.spec.iter().flat_map(|spec| spec.volumes.iter().flatten()) {
        let Some((plugin, ephemeral)) = plugin_of(volume) else { continue };
        let path = volumes.join(plugin).join(&volume.name);
        let Some(fs) = file_system(&path, now) else { continue };
        let used = usage(&path);
        if ephemeral {
            total += used;
        }
        stats.volumes.push(VolumeStats { fs: fs.used_by(used), name: volume.name.clone(), claim: None });
    }
    stats.ephemeral_storage = Some(disk.used_by(total));
}

/// Adds volumes of claims: the whole file system they are on, as nobody knows whose else it is.
fn add_claims(claims: Vec<LocalClaim>, spec: &Pod, context: &NodeContext, stats: &mut PodStats) {
    let now = context.clock.now();
    stats.volumes.extend(claims.into_iter().filter_map(|claim| {
        let reference = ClaimReference { name: claim.claim, namespace: pod::namespace(spec).to_owned() };
        Some(VolumeStats { fs: file_system(&claim.path, now)?, name: claim.volume, claim: Some(reference) })
    }));
}

/// The directory of a volume's kind below the Pod's, and whether it counts as the Pod's local storage.
fn plugin_of(volume: &Volume) -> Option<(&'static str, bool)> {
    if let Some(empty_dir) = &volume.empty_dir {
        let in_memory = empty_dir.medium.as_deref().is_some_and(|medium| !medium.is_empty());
        return Some(("kubernetes.io~empty-dir", !in_memory));
    }
    let kinds = [
        (volume.config_map.is_some(), "kubernetes.io~configmap"),
        (volume.secret.is_some(), "kubernetes.io~secret"),
        (volume.projected.is_some(), "kubernetes.io~projected"),
        (volume.downward_api.is_some(), "kubernetes.io~downward-api"),
    ];
    kinds.into_iter().find(|(is_it, _)| *is_it).map(|(_, plugin)| (plugin, plugin == "kubernetes.io~configmap"))
}
