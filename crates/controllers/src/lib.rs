//! The control loops of the control plane, each owning one relation between objects.
//!
//! Siblings look alike: `foo.rs` says what wakes the loop and how one pass goes, `foo/plan.rs` decides (pure), and
//! [`runtime`] turns wake-ups into passes. All read the same watched copies ([`watches`]); nothing is polled.

mod ephemeral_volume;
mod garbage_collector;
mod local_path;
mod namespace;
mod node_lifecycle;
mod objects;
mod persistent_volume;
mod pod_gc;
mod root_ca;
mod runtime;
mod service_account;
mod taint_eviction;
#[cfg(test)]
mod tests;
mod volume_protection;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use client::{Client, EventFormat, EventRecorder, EventSource};
use platform::clock::SharedClock;
use tokio_util::sync::CancellationToken;

pub use local_path::LocalPath;

use objects::Objects;
use runtime::Workers;
use watches::Watches;

/// What the controllers need beside a client.
#[derive(Clone)]
pub struct Config {
    /// For times in conditions and Events, and for deadlines.
    pub clock: SharedClock,
    /// PEM certificates by which Pods recognise the API server; published in every namespace.
    pub root_ca: String,
    /// Directories of this machine, for claims of the class that has them.
    pub local_path: Option<LocalPath>,
    /// A kubelet that gave no sign of life for this long is not there.
    pub node_monitor_grace_period: Duration,
}

/// Upstream's [`Config::node_monitor_grace_period`].
pub const NODE_MONITOR_GRACE_PERIOD: Duration = Duration::from_secs(50);

/// Runs all controllers until cancelled. Pending Events are written before it returns.
pub async fn run(client: Client, config: Config, cancel: CancellationToken) {
    let recorder = |component: &str| {
        let source = EventSource { component: component.into(), instance: String::new(), format: EventFormat::Counted };
        EventRecorder::start(client.clone(), source, Arc::clone(&config.clock))
    };
    let node_events = recorder("node-controller");
    let eviction_events = recorder("taint-eviction-controller");
    let volume_events = recorder("persistentvolume-controller");
    let mut watches = Watches::new(&client, &config.root_ca);
    let mut objects = Objects::new(client.clone());
    let mut workers = Workers::new(cancel.clone());

    service_account::start(&client, &mut watches, &mut workers);
    root_ca::start(&client, &config.root_ca, &mut watches, &mut workers);
    let grace_period = config.node_monitor_grace_period;
    node_lifecycle::start(&client, &config.clock, grace_period, &node_events, &mut watches, &mut workers);
    taint_eviction::start(&client, &config.clock, &eviction_events, &mut watches, &mut workers);
    pod_gc::start(&client, &config.clock, &mut watches, &mut workers);
    namespace::start(&client, &config.clock, &mut watches, &mut objects, &mut workers);
    persistent_volume::start(&client, &config.clock, &volume_events, &mut watches, &mut workers);
    volume_protection::start(&client, &mut watches, &mut workers);
    ephemeral_volume::start(&client, &volume_events, &mut watches, &mut workers);
    if let Some(local) = config.local_path {
        local_path::start(&client, local, &volume_events, &mut watches, &mut workers);
    }
    garbage_collector::start(&client, &mut objects, &mut workers);

    tokio::join!(watches.run(&cancel), objects.run(&cancel), workers.run());
    tokio::join!(node_events.flush(), eviction_events.flush(), volume_events.flush());
}
