//! What a kubelet is told when it starts.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Taint;
use platform::clock::SharedClock;
use platform::random::SharedRandom;

pub use crate::admission::NodeSecurity;
use crate::container_gc::ContainerGcConfig;
use crate::crash_backoff;
use crate::host::Host;
use crate::image_gc::ImageGcConfig;
use crate::node_shutdown::ShutdownConfig;
use crate::pod_source::StaticPodConfig;
use crate::resources::ResourceConfig;

/// Everything a kubelet needs from outside.
#[derive(Clone)]
pub struct Config {
    /// How it talks to the API, with the node's identity.
    pub client: kube::Client,
    /// The container runtime.
    pub runtime: cri::Runtime,
    /// Mounts and cgroups.
    pub host: Arc<dyn Host>,
    /// The time.
    pub clock: SharedClock,
    /// Identifiers and jitter.
    pub random: SharedRandom,
    /// The node.
    pub node: NodeConfig,
    /// Where things are on disk.
    pub paths: Paths,
    /// How Pods are run.
    pub pods: PodConfig,
    /// How the node's resources are shared out.
    pub resources: ResourceConfig,
}

/// The node as it registers itself.
#[derive(Debug, Clone)]
pub struct NodeConfig {
    /// Name of the Node object.
    pub name: String,
    /// Labels besides the standard ones (`--node-label`).
    pub labels: BTreeMap<String, String>,
    /// Addresses, the primary one first.
    pub addresses: Vec<IpAddr>,
    /// Taints a new Node is registered with (`--register-with-taints`).
    pub taints: Vec<Taint>,
    /// Port of the kubelet API as published in `daemonEndpoints`.
    pub kubelet_port: u16,
    /// Pod address ranges of this node; published in `spec.podCIDRs` when not empty.
    pub pod_cidrs: Vec<String>,
    /// `nodeInfo.kubeletVersion`, such as `v1.36.2+isopod`.
    pub version: String,
    /// The most Pods this node runs.
    pub max_pods: u32,
}

/// Directories.
#[derive(Debug, Clone)]
pub struct Paths {
    /// The kubelet's own: `pods/<uid>/...` live here.
    pub root: PathBuf,
    /// Container logs: `<namespace>_<name>_<uid>/<container>/<n>.log`.
    pub pod_logs: PathBuf,
    /// The resolver configuration Pods with `dnsPolicy: Default` inherit.
    pub resolv_conf: PathBuf,
    /// The hosts file Pods on the host network see, with a heading of ours.
    pub hosts: PathBuf,
}

impl Paths {
    /// The usual layout below a data directory.
    pub fn below(data_dir: &std::path::Path) -> Self {
        Self {
            root: data_dir.join("kubelet"),
            pod_logs: data_dir.join("log/pods"),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            hosts: PathBuf::from("/etc/hosts"),
        }
    }
}

/// How Pods are run.
#[derive(Debug, Clone)]
pub struct PodConfig {
    /// Pods the node runs of its own accord.
    pub static_pods: StaticPodConfig,
    /// The cgroup below which `kubepods` is made, relative to each controller's root; empty for the root itself.
    pub cgroup_root: String,
    /// Addresses of the cluster DNS; Pods with `dnsPolicy: ClusterFirst` use the host's resolvers while there are none.
    pub cluster_dns: Vec<IpAddr>,
    /// The cluster's DNS domain.
    pub cluster_domain: String,
    /// The longest wait before a container that keeps exiting is started again.
    pub max_container_restart_period: Duration,
    /// A log file is rotated when it is larger.
    pub container_log_max_bytes: u64,
    /// Log files kept per container, the present one included.
    pub container_log_max_files: usize,
    /// What Pods may ask of the kernel.
    pub security: NodeSecurity,
    /// When unused images go.
    pub image_gc: ImageGcConfig,
    /// When dead containers go.
    pub container_gc: ContainerGcConfig,
    /// How long Pods have when the node shuts down.
    pub shutdown: ShutdownConfig,
}

impl Default for PodConfig {
    fn default() -> Self {
        Self {
            static_pods: StaticPodConfig::default(),
            cgroup_root: String::new(),
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            max_container_restart_period: crash_backoff::MAX,
            container_log_max_bytes: 10 << 20,
            container_log_max_files: 5,
            security: NodeSecurity::default(),
            image_gc: ImageGcConfig::default(),
            container_gc: ContainerGcConfig::default(),
            shutdown: ShutdownConfig::default(),
        }
    }
}
