//! The document `/stats/summary` answers: upstream's `stats.k8s.io/v1alpha1`, field for field.

use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// Everything measured at one time.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Summary {
    /// The node as a whole.
    pub node: NodeStats,
    /// Pods that run.
    pub pods: Vec<PodStats>,
}

/// A time as the API writes it: whole seconds are not enough for rates.
fn rfc3339<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&time.to_string())
}

/// The node.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct NodeStats {
    /// Its name.
    pub node_name: String,
    /// The kubelet with everything else in its process, and all Pods together.
    pub system_containers: Vec<ContainerStats>,
    /// When it booted.
    #[serde(serialize_with = "rfc3339")]
    pub start_time: Timestamp,
    /// CPU, memory and swap.
    #[serde(flatten)]
    pub compute: ComputeStats,
    /// Of the interface with the default route, and of all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkStats>,
    /// The file system Pods write to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fs: Option<FsStats>,
    /// Where the runtime keeps images and containers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<RuntimeStats>,
    /// Processes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rlimit: Option<RlimitStats>,
}

/// A Pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PodStats {
    /// Which.
    pub pod_ref: PodReference,
    /// When its sandbox was made.
    #[serde(serialize_with = "rfc3339")]
    pub start_time: Timestamp,
    /// Those that run.
    pub containers: Vec<ContainerStats>,
    /// CPU, memory and swap.
    #[serde(flatten)]
    pub compute: ComputeStats,
    #[allow(missing_docs)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<NetworkStats>,
    /// Volumes that are on this node's disks or in its memory.
    #[serde(rename = "volume", skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<VolumeStats>,
    /// Writable layers, logs and local volumes together.
    #[serde(rename = "ephemeral-storage", skip_serializing_if = "Option::is_none")]
    pub ephemeral_storage: Option<FsStats>,
    /// Its processes.
    #[serde(rename = "process_stats", skip_serializing_if = "Option::is_none")]
    pub process_stats: Option<ProcessStats>,
    /// Its cgroup, which metrics name; not part of the document.
    #[serde(skip)]
    pub cgroup: String,
}

/// Which Pod.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)]
pub struct PodReference {
    pub name: String,
    pub namespace: String,
    pub uid: String,
}

/// A container.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContainerStats {
    /// The name in the Pod's spec.
    pub name: String,
    /// Since when it is counted.
    #[serde(serialize_with = "rfc3339")]
    pub start_time: Timestamp,
    /// CPU, memory and swap.
    #[serde(flatten)]
    pub compute: ComputeStats,
    /// Its writable layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<FsStats>,
    /// Its logs, rotated ones included.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub logs: Option<FsStats>,
    /// What metrics call it besides; not part of the document.
    #[serde(skip)]
    pub identity: Identity,
}

/// A container as the runtime knows it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// CRI id.
    pub id: String,
    /// The image it was made from.
    pub image: String,
}

/// What a node, a Pod or a container takes of CPU, memory and swap, as far as anybody could tell.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct ComputeStats {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<CpuStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap: Option<SwapStats>,
}

/// CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CpuStats {
    /// When it was read.
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// CPU time per time, since the reading before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_nano_cores: Option<u64>,
    /// CPU time since the start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_core_nano_seconds: Option<u64>,
}

/// Memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct MemoryStats {
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    /// Left below the limit, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub available_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_bytes: Option<u64>,
    /// What cannot be reclaimed easily.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub working_set_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rss_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_faults: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub major_page_faults: Option<u64>,
}

/// Swap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct SwapStats {
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_available_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub swap_usage_bytes: Option<u64>,
}

/// A part of a file system: all of it, and what of it is used by whom it is about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct FsStats {
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    pub available_bytes: u64,
    pub capacity_bytes: u64,
    pub used_bytes: u64,
    pub inodes_free: u64,
    pub inodes: u64,
    pub inodes_used: u64,
}

/// A volume.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct VolumeStats {
    #[serde(flatten)]
    pub fs: FsStats,
    /// The name in the Pod's spec.
    pub name: String,
    /// The claim whose volume it is.
    #[serde(rename = "pvcRef", skip_serializing_if = "Option::is_none")]
    pub claim: Option<ClaimReference>,
}

/// A claim.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[allow(missing_docs)]
pub struct ClaimReference {
    pub name: String,
    pub namespace: String,
}

/// File systems of the runtime.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct RuntimeStats {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image_fs: Option<FsStats>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container_fs: Option<FsStats>,
}

/// Processes of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct RlimitStats {
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    pub maxpid: u64,
    pub curproc: u64,
}

/// Processes of a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct ProcessStats {
    pub process_count: u64,
}

/// Traffic: of the default interface, and of all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct NetworkStats {
    #[serde(serialize_with = "rfc3339")]
    pub time: Timestamp,
    #[serde(flatten)]
    pub default: Option<InterfaceStats>,
    pub interfaces: Vec<InterfaceStats>,
}

/// Traffic of one interface.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs)]
pub struct InterfaceStats {
    pub name: String,
    pub rx_bytes: u64,
    pub rx_errors: u64,
    pub tx_bytes: u64,
    pub tx_errors: u64,
}
