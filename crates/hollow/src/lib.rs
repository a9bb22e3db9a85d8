//! Nodes without containers, to see what a cluster does at a size that no machine has.
//!
//! Everything that API server, scheduler and controllers can see of a node is real: a Node object, a Lease that is
//! renewed, Pods that become Running and Ready with an address, end, and go when they are deleted. Behind it is nothing.
//! All nodes share one watch on Pods, one schedule of heartbeats and a handful of workers, so that a thousand nodes cost
//! about what one does.

mod kubelet;
mod node;
mod plan;
mod pod;
mod status;

use std::collections::BTreeMap;
use std::time::Duration;

use client::Client;
use platform::clock::SharedClock;
use tokio_util::sync::CancellationToken;
use tracing::info;

pub use node::RegisterError;
pub use pod::COMPLETE_AFTER;

/// What nodes there are.
#[derive(Clone)]
pub struct Config {
    /// For times in statuses and Leases.
    pub clock: SharedClock,
    /// How many.
    pub nodes: usize,
    /// Nodes are called `<prefix>-0` and so on.
    pub prefix: String,
    /// What each has, by resource.
    pub capacity: BTreeMap<String, String>,
    /// Over how many zones they are spread; none: they have no zone.
    pub zones: usize,
    /// How often each renews its Lease.
    pub heartbeat: Duration,
    /// How long Pods of Jobs run.
    pub job_duration: Duration,
    /// The kubelet's version as nodes tell it.
    pub version: String,
}

/// Registers the nodes and keeps them until cancelled. They stay in the API: whoever runs this again takes them up.
///
/// # Errors
/// When a node cannot be registered. What comes later is tried again instead.
pub async fn run(client: Client, config: Config, cancel: CancellationToken) -> Result<(), RegisterError> {
    let Some(owners) = cancel.run_until_cancelled(node::register(&client, &config)).await.transpose()? else {
        return Ok(());
    };
    info!(nodes = owners.len(), "hollow nodes are registered");
    tokio::join!(node::beat(&client, &config, &owners, &cancel), kubelet::run(&client, &config, &cancel),);
    Ok(())
}
