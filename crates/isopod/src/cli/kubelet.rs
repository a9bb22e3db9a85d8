//! The node's own flags, under the names that upstream's kubelet gives them.

mod resources;
mod static_pods;

use clap::Args;

pub use resources::Resources;
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
