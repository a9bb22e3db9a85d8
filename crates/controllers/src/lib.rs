//! The control loops of the control plane, each owning one relation between objects.
//!
//! Siblings look alike: `foo.rs` says what the loop reads, what wakes it and how one pass goes, `foo/plan.rs` decides
//! (pure). [`assembly`] puts them together, [`runtime`] turns wake-ups into passes. All read the same watched copies
//! ([`watches`]); nothing is polled.

mod assembly;
mod backends;
mod bootstrap_tokens;
mod certificates;
mod cluster_role_aggregation;
mod controller_accounts;
mod cron_job;
mod daemon_set;
mod deployment;
mod disruption;
mod endpoint_slice;
mod endpoint_slice_mirroring;
mod endpoints;
mod ephemeral_volume;
mod garbage_collector;
mod horizontal_pod_autoscaler;
mod in_flight;
mod job;
mod local_path;
mod namespace;
mod node_lifecycle;
mod objects;
mod ownership;
mod persistent_volume;
mod pod_control;
mod pod_facts;
mod pod_gc;
mod ranking;
mod replication;
mod resource_quota;
mod revisions;
mod root_ca;
mod runtime;
mod service_account;
mod service_account_tokens;
mod service_cidr;
mod stateful_set;
mod taint_eviction;
mod template_hash;
#[cfg(test)]
mod tests;
mod trigger_times;
mod ttl_after_finished;
mod update;
mod volume_protection;
mod wake;
mod watches;

use std::sync::Arc;
use std::time::Duration;

use client::Client;
use platform::clock::SharedClock;
use platform::random::SharedRandom;
use tokio_util::sync::CancellationToken;

pub use certificates::{AuthorityError, ClusterAuthority};
pub use horizontal_pod_autoscaler::Autoscaling;
pub use local_path::LocalPath;
pub use node_lifecycle::EvictionRates;
pub use service_account_tokens::{SecretToken, SecretTokenSigner, SignError};

use assembly::Controllers;
use watches::Watches;

/// Clients with the identities that controllers have.
#[derive(Clone)]
pub struct Clients {
    shared: Client,
    of: Arc<dyn Fn(&str) -> Client + Send + Sync>,
}

impl Clients {
    /// `shared` reads for all; `of` gives each controller, by the name of its ServiceAccount, the one it writes with.
    pub fn new(shared: Client, of: impl Fn(&str) -> Client + Send + Sync + 'static) -> Self {
        Self { shared, of: Arc::new(of) }
    }

    fn shared(&self) -> Client {
        self.shared.clone()
    }

    fn of(&self, controller: &str) -> Client {
        (self.of)(controller)
    }
}

/// What the controllers need beside clients.
#[derive(Clone)]
pub struct Config {
    /// For times in conditions and Events, and for deadlines.
    pub clock: SharedClock,
    /// PEM certificates by which Pods recognise the API server; published in every namespace.
    pub root_ca: String,
    /// Randomness, for serial numbers.
    pub random: SharedRandom,
    /// What signs certificates; without it, approved requests wait for somebody else.
    pub authority: Option<Arc<ClusterAuthority>>,
    /// What signs the tokens of Secrets.
    pub secret_tokens: SecretTokenSigner,
    /// Whether bootstrap tokens are in use.
    pub bootstrap_tokens: bool,
    /// Directories of this machine, for claims of the class that has them.
    pub local_path: Option<LocalPath>,
    /// A kubelet that gave no sign of life for this long is not there.
    pub node_monitor_grace_period: Duration,
    /// How fast lost nodes lose their Pods.
    pub eviction_rates: EvictionRates,
    /// What HorizontalPodAutoscalers do that do not say it themselves.
    pub autoscaling: Autoscaling,
}

/// Upstream's [`Config::node_monitor_grace_period`].
pub const NODE_MONITOR_GRACE_PERIOD: Duration = Duration::from_secs(50);

/// Runs what belongs to this machine until cancelled, where everything else is done by another server.
pub async fn run_local(clients: Clients, clock: SharedClock, local: LocalPath, cancel: CancellationToken) {
    let watches = Watches::new(&clients.shared(), "");
    let mut controllers = Controllers::new(clients, clock, watches, cancel);
    local_path::start(&mut controllers, local);
    controllers.run_on_volumes().await;
}

/// Runs all controllers until cancelled. Pending Events are written before it returns.
pub async fn run(clients: Clients, config: Config, cancel: CancellationToken) {
    let watches = Watches::new(&clients.shared(), &config.root_ca);
    let mut controllers = Controllers::new(clients, config.clock, watches, cancel);
    service_account::start(&mut controllers);
    service_account_tokens::start(&mut controllers, config.secret_tokens, &config.root_ca);
    if config.bootstrap_tokens {
        bootstrap_tokens::start(&mut controllers);
    }
    controller_accounts::start(&mut controllers);
    root_ca::start(&mut controllers, &config.root_ca);
    node_lifecycle::start(&mut controllers, config.node_monitor_grace_period, config.eviction_rates);
    taint_eviction::start(&mut controllers);
    pod_gc::start(&mut controllers);
    namespace::start(&mut controllers);
    persistent_volume::start(&mut controllers);
    volume_protection::start(&mut controllers);
    ephemeral_volume::start(&mut controllers);
    if let Some(local) = config.local_path {
        local_path::start(&mut controllers, local);
    }
    cluster_role_aggregation::start(&mut controllers);
    replication::start(&mut controllers);
    deployment::start(&mut controllers);
    daemon_set::start(&mut controllers);
    stateful_set::start(&mut controllers);
    job::start(&mut controllers);
    cron_job::start(&mut controllers);
    endpoint_slice::start(&mut controllers);
    endpoints::start(&mut controllers);
    endpoint_slice_mirroring::start(&mut controllers);
    horizontal_pod_autoscaler::start(&mut controllers, config.autoscaling);
    disruption::start(&mut controllers);
    ttl_after_finished::start(&mut controllers);
    resource_quota::start(&mut controllers);
    certificates::start(&mut controllers, config.authority, &config.random);
    service_cidr::start(&mut controllers);
    garbage_collector::start(&mut controllers);
    controllers.run().await;
}
