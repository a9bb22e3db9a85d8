//! The node's own flags, under the names that upstream's kubelet gives them.

mod resources;
mod static_pods;

use clap::Args;
use kubelet::{ContainerGcConfig, ShutdownConfig, ShutdownGroup};

pub use resources::{Resources, duration};
pub use static_pods::StaticPods;

/// What the kubelet of this machine is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kubelet options")]
pub struct Kubelet {
    /// Pods that this node takes at most
    #[arg(long, default_value_t = 110, value_name = "COUNT")]
    pub max_pods: u32,
    /// Longest wait before a container that keeps exiting is started again, 1 to 300
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u16).range(1..=300), value_name = "SECONDS")]
    pub max_container_restart_period: u16,
    /// Socket of another container runtime to use instead of the built-in one, for instance
    /// unix:///run/containerd/containerd.sock; it brings its own images and, with CNI, its own Pod network
    #[arg(long, value_name = "ADDRESS")]
    pub container_runtime_endpoint: Option<String>,
    /// Kernel parameters that Pods may set beyond the safe ones, such as kernel.msg*,net.core.somaxconn
    #[arg(long, value_name = "SYSCTL,...", value_delimiter = ',', value_parser = sysctl)]
    pub allowed_unsafe_sysctls: Vec<String>,
    /// Port the kubelet API listens on, at --bind-address; 0 for any free one [default: 10250, or any free one where that
    /// is taken]
    #[arg(long, value_name = "PORT")]
    pub kubelet_port: Option<u16>,
    /// Taint this node is registered with, for instance dedicated=gpu:NoSchedule; may be repeated
    #[arg(long = "register-with-taints", value_delimiter = ',', value_name = "KEY=VALUE:EFFECT")]
    pub register_with_taints: Vec<String>,
    /// Disk usage, in percent of the images' file system, from which on unused images are removed
    #[arg(long, default_value_t = 85, value_parser = clap::value_parser!(u8).range(0..=100), value_name = "PERCENT")]
    pub image_gc_high_threshold: u8,
    /// Disk usage down to which unused images are removed
    #[arg(long, default_value_t = 80, value_parser = clap::value_parser!(u8).range(0..=100), value_name = "PERCENT")]
    pub image_gc_low_threshold: u8,
    /// Age before which an unused image is not removed
    #[arg(long, default_value = "2m0s", value_name = "DURATION", value_parser = duration)]
    pub minimum_image_ttl_duration: std::time::Duration,
    /// Time after which an unused image is removed whatever the disk is like [default: never]
    #[arg(long, value_name = "DURATION", value_parser = duration)]
    pub image_maximum_gc_age: Option<std::time::Duration>,
    /// Age before which a dead container is not removed
    #[arg(long, default_value = "0s", value_name = "DURATION", value_parser = duration)]
    pub minimum_container_ttl_duration: std::time::Duration,
    /// Dead instances that are kept of one container, -1 for all of them; the last one of a living Pod always is
    #[arg(long, default_value_t = 1, value_name = "COUNT", allow_negative_numbers = true)]
    pub maximum_dead_containers_per_container: i64,
    /// Dead containers that are kept on this node, -1 for all of them
    #[arg(long, default_value_t = -1, value_name = "COUNT", allow_negative_numbers = true)]
    pub maximum_dead_containers: i64,
    /// Time in which Pods end when the node shuts down, which SIGPWR to the server tells
    #[arg(long, default_value = "30s", value_name = "DURATION", value_parser = duration)]
    pub shutdown_grace_period: std::time::Duration,
    /// The part of it that is kept for critical Pods, which end last
    #[arg(long, default_value = "10s", value_name = "DURATION", value_parser = duration)]
    pub shutdown_grace_period_critical_pods: std::time::Duration,
    /// Instead, the time of Pods by their priority, the lowest first: each has that of the highest it reaches
    #[arg(long, value_name = "PRIORITY=DURATION,...", value_delimiter = ',', value_parser = shutdown_group,
          conflicts_with_all = ["shutdown_grace_period", "shutdown_grace_period_critical_pods"])]
    pub shutdown_grace_period_by_pod_priority: Vec<ShutdownGroup>,
    /// Size from which on a container's log is rotated
    #[arg(long, default_value = "10Mi", value_name = "QUANTITY", value_parser = bytes)]
    pub container_log_max_size: u64,
    /// Log files kept per container, the present one included
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u16).range(2..), value_name = "COUNT")]
    pub container_log_max_files: u16,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub resources: Resources,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub static_pods: StaticPods,
}

/// Only parameters that a namespace keeps from other Pods can be allowed.
fn sysctl(text: &str) -> Result<String, String> {
    if kubelet::is_namespaced(text) {
        Ok(text.to_owned())
    } else {
        Err("this parameter is the whole node's".to_owned())
    }
}

fn shutdown_group(text: &str) -> Result<ShutdownGroup, String> {
    let (priority, period) = text.split_once('=').ok_or_else(|| format!("{text:?} is not PRIORITY=DURATION"))?;
    let priority = priority.trim().parse().map_err(|_| format!("{priority:?} is not a priority"))?;
    Ok(ShutdownGroup { priority, period: duration(period.trim())? })
}

impl Kubelet {
    /// How long Pods have when the node shuts down.
    pub fn shutdown(&self) -> ShutdownConfig {
        match self.shutdown_grace_period_by_pod_priority.as_slice() {
            [] => ShutdownConfig::with_critical(self.shutdown_grace_period, self.shutdown_grace_period_critical_pods),
            groups => ShutdownConfig::by_priority(groups.to_vec()),
        }
    }

    /// When dead containers go.
    pub fn container_gc(&self) -> ContainerGcConfig {
        // A limit below zero is none.
        let limit = |count: i64| usize::try_from(count).ok();
        ContainerGcConfig {
            min_age: self.minimum_container_ttl_duration,
            max_per_container: limit(self.maximum_dead_containers_per_container),
            max_total: limit(self.maximum_dead_containers),
        }
    }
}

fn bytes(text: &str) -> Result<u64, String> {
    let quantity = api::quantity::Quantity::parse(text).map_err(|error| error.to_string())?;
    u64::try_from(quantity.value()).map_err(|_| format!("{text:?} is negative"))
}
