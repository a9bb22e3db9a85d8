//! The node's own flags, under the names that upstream's kubelet gives them.

use clap::Args;

/// What the kubelet of this machine is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kubelet options")]
pub struct Kubelet {
    /// Pods that this node takes at most
    #[arg(long, default_value_t = 110, value_name = "COUNT")]
    pub max_pods: u32,
}
