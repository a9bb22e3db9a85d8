//! The node's own flags, under the names that upstream's kubelet gives them.

mod resources;

use clap::Args;

pub use resources::Resources;

/// What the kubelet of this machine is told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Kubelet options")]
pub struct Kubelet {
    /// Pods that this node takes at most
    #[arg(long, default_value_t = 110, value_name = "COUNT")]
    pub max_pods: u32,
    #[command(flatten)]
    #[allow(missing_docs)]
    pub resources: Resources,
}
