//! The assembly: the store, and around it parts that can be ended and started again at any moment.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use apiserver::{ApiServer, NodeDialer, NodeStream, UserInfo};
use async_trait::async_trait;
use client::Client;
use platform::clock::SharedClock;
use platform::random::SharedRandom;
use platform::tasks::{TaskKind, spawn};
use store::memory::MemoryStore;
use tokio_util::sync::CancellationToken;

use crate::chance::{PausedClock, Seeded};
use crate::kubelet::{self, Habits};
use crate::network::Network;

const NOBODY: [&str; 0] = [];

/// A cluster of one seed.
pub struct Cluster {
    /// The way to the API server.
    pub network: Arc<Network>,
    /// What outlives every restart.
    pub store: Arc<MemoryStore>,
    /// Simulated time.
    pub clock: PausedClock,
    random: SharedRandom,
    key: Vec<u8>,
    seed: u64,
    habits: Habits,
    controllers: Option<CancellationToken>,
    scheduler: Option<CancellationToken>,
    kubelets: BTreeMap<String, CancellationToken>,
    /// How many kubelets were started, so that each has a chance of its own.
    started: u64,
}

struct NoNodes;

#[async_trait]
impl NodeDialer for NoNodes {
    async fn dial(&self, _: &str) -> io::Result<Box<dyn NodeStream>> {
        Err(io::Error::from(io::ErrorKind::NotConnected))
    }
}

impl Cluster {
    /// A cluster whose store is empty and in which nothing runs.
    pub fn new(seed: u64, habits: Habits) -> Self {
        Self {
            network: Network::new(seed ^ 0x6e65_7477),
            store: Arc::new(MemoryStore::default()),
            clock: PausedClock::start(),
            random: Arc::new(Seeded::new(seed ^ 0x7261_6e64)),
            // What it signs is never looked at.
            key: rcgen::KeyPair::generate().expect("a key").serialize_pem().into_bytes(),
            seed,
            habits,
            controllers: None,
            scheduler: None,
            kubelets: BTreeMap::new(),
            started: 0,
        }
    }

    /// Makes what a server makes at its first start.
    pub async fn bootstrap(&self) {
        let admin = self.admin();
        let endpoint = bootstrap::ApiEndpoint {
            address: [192, 0, 2, 1].into(),
            port: 6443,
            service_ranges: vec!["10.96.0.0/16".parse().expect("a range")],
        };
        let now = self.shared_clock().now();
        bootstrap::objects::ensure(&admin, &endpoint, now).await.expect("the built-in objects");
        bootstrap::policy::reconcile(&admin).await.expect("the default roles");
    }

    /// Somebody whom no fault befalls and who may do everything.
    pub fn admin(&self) -> Client {
        self.network.spared_client(UserInfo::new("admin", ["system:masters"]))
    }

    fn shared_clock(&self) -> SharedClock {
        Arc::new(self.clock)
    }

    /// The API server reads the store and answers.
    pub async fn start_api_server(&self) {
        let server = ApiServer::start(apiserver::Config {
            store: self.store.clone(),
            clock: self.shared_clock(),
            random: self.random.clone(),
            service_account_key_pem: self.key.clone(),
            service_account_issuer: "https://kubernetes.default.svc.cluster.local".into(),
            node_dialer: Arc::new(NoNodes),
            companions: Arc::new(()),
            runtime_config: apiserver::RuntimeConfig::default(),
            admission_plugins: apiserver::AdmissionPlugins::default(),
            tokens: apiserver::TokenConfig::default(),
            authentication: apiserver::AuthenticationConfig::default(),
            encryption: None,
            limits: apiserver::Limits { priority_and_fairness: false, ..apiserver::Limits::default() },
            audit: None,
            service_ranges: vec!["10.96.0.0/16".parse().expect("a range")],
        });
        self.network.lead_to(Some(server.await.expect("the store can be read")));
    }

    /// Every connection breaks and nobody answers.
    pub fn stop_api_server(&self) {
        self.network.lead_to(None);
    }

    /// Starts the controllers, ending those before.
    pub fn start_controllers(&mut self) {
        self.stop_controllers();
        let alive = CancellationToken::new();
        let (network, life) = (Arc::clone(&self.network), alive.clone());
        let shared = network.client(UserInfo::new("system:kube-controller-manager", NOBODY), alive.clone());
        let clients = controllers::Clients::new(shared, move |controller| {
            network.client(UserInfo::service_account("kube-system", controller), life.clone())
        });
        let config = controllers::Config {
            clock: self.shared_clock(),
            random: self.random.clone(),
            authority: None,
            secret_tokens: Arc::new(|_| Ok("token".to_owned())),
            bootstrap_tokens: false,
            root_ca: "PEM".into(),
            local_path: None,
            node_monitor_grace_period: controllers::NODE_MONITOR_GRACE_PERIOD,
            eviction_rates: controllers::EvictionRates::default(),
            autoscaling: controllers::Autoscaling::default(),
        };
        spawn(TaskKind::Component, "controllers", controllers::run(clients, config, alive.clone()));
        self.controllers = Some(alive);
    }

    /// Ends the controllers in the middle of what they do.
    pub fn stop_controllers(&mut self) {
        if let Some(alive) = self.controllers.take() {
            alive.cancel();
        }
    }

    /// Starts the scheduler, ending the one before.
    pub fn start_scheduler(&mut self) {
        self.stop_scheduler();
        let alive = CancellationToken::new();
        let config = scheduler::Config {
            clock: self.shared_clock(),
            random: self.random.clone(),
            instance: "host".into(),
            configuration: scheduler::Configuration::default(),
            verdicts: scheduler::Verdicts::default(),
            metrics: scheduler::Metrics::default(),
        };
        let client = self.network.client(UserInfo::new("system:kube-scheduler", NOBODY), alive.clone());
        spawn(TaskKind::Component, "scheduler", scheduler::run(client, config, alive.clone()));
        self.scheduler = Some(alive);
    }

    /// Ends the scheduler in the middle of what it does.
    pub fn stop_scheduler(&mut self) {
        if let Some(alive) = self.scheduler.take() {
            alive.cancel();
        }
    }

    /// Starts the kubelet of a node, ending the one before.
    pub fn start_kubelet(&mut self, node: &str) {
        self.stop_kubelet(node);
        self.started += 1;
        let alive = CancellationToken::new();
        let user = UserInfo::new(format!("system:node:{node}"), ["system:nodes"]);
        let config = kubelet::Config {
            client: self.network.client(user, alive.clone()),
            node: node.to_owned(),
            clock: self.shared_clock(),
            seed: self.seed ^ (self.started << 32),
            habits: self.habits,
        };
        spawn(TaskKind::Component, "kubelet", kubelet::run(config, alive.clone()));
        self.kubelets.insert(node.to_owned(), alive);
    }

    /// The node falls silent.
    pub fn stop_kubelet(&mut self, node: &str) {
        if let Some(alive) = self.kubelets.remove(node) {
            alive.cancel();
        }
    }

    /// Whether the node has not fallen silent.
    pub fn has_kubelet(&self, node: &str) -> bool {
        self.kubelets.contains_key(node)
    }

    /// What does not run just now is started.
    pub async fn heal(&mut self, nodes: &[String]) {
        if !self.network.is_up() {
            self.start_api_server().await;
        }
        if self.controllers.is_none() {
            self.start_controllers();
        }
        if self.scheduler.is_none() {
            self.start_scheduler();
        }
        for node in nodes {
            if !self.kubelets.contains_key(node) {
                self.start_kubelet(node);
            }
        }
    }
}
