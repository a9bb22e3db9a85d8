//! The kubelet: makes the Pods bound to this node run, and says how they are.
//!
//! It meets the rest of Kubernetes in the API only ([`kube::Client`]) and the node in three seams: [`cri::Runtime`] for
//! sandboxes, containers and images, [`host::Host`] for mounts and cgroups, [`machine::Machine`] for facts. A Pod walks
//! through the files in this order: [`pod_source`], [`sync_loop`], [`pod_worker`], [`pod_lifecycle`], [`plan_pod`],
//! [`sync_pod`]; its changes come back through [`pleg`], [`pod_status`] and [`status_manager`].
//!
//! What must never happen here: naming a runtime or a network, deciding outside of a plan, waiting in the sync loop,
//! and keeping anything in memory that could not be found again after a restart without changing the end state.

mod admission;
mod allocation;
pub mod config;
mod container_config;
mod container_gc;
mod context;
pub mod cpu_manager;
mod crash_backoff;
mod devices;
mod directory_watch;
mod events;
pub mod eviction;
pub mod go_duration;
pub mod history;
mod hooks;
pub mod host;
mod http_check;
mod image_gc;
mod images;
mod labels;
mod log_rotation;
pub mod machine;
mod node_lease;
mod node_shutdown;
mod node_source;
mod node_status;
mod objects;
mod observed;
mod orphans;
mod plan_pod;
mod pleg;
mod pod;
mod pod_lifecycle;
mod pod_source;
mod pod_status;
mod pod_worker;
mod probes;
mod qos;
pub mod resources;
pub mod server;
mod stats;
mod status_manager;
mod sync_loop;
mod sync_pod;
#[cfg(test)]
mod testing;
mod under_way;
mod user_namespaces;
mod volumes;

use std::future::Future;
use std::sync::Arc;

use client::{EventFormat, EventRecorder, EventSource, EventType, Reflector};
use k8s_openapi::api::core::v1::Service;
use kube::Api;
use platform::tasks::{TaskKind, spawn};
use tokio::sync::{Notify, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use admission::security::{AppArmor, is_namespaced};
pub use config::{Config, NodeConfig, NodeSecurity, Paths, PodConfig};
pub use container_gc::ContainerGcConfig;
pub use image_gc::ImageGcConfig;
pub use machine::app_armor;
pub use node_shutdown::{NodeShutdown, ShutdownConfig, ShutdownGroup};
pub use pod_source::{ManifestUrl, StaticPodConfig};
pub use server::{KubeletApi, SecureServer};

use context::NodeContext;
use cpu_manager::CpuManager;
use eviction::EvictionManager;
use image_gc::ImageGc;
use machine::Machine;
use node_status::NodeStatusWriter;
use stats::Stats;
use sync_loop::{KnownPods, SyncLoop};

/// Events that may wait for the sync loop, which takes them in microseconds.
const QUEUE_LIMIT: usize = 1024;

/// Why a kubelet cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The runtime does not answer.
    #[error("the container runtime does not answer")]
    Runtime(#[source] cri::Error),
    /// A directory of ours cannot be made.
    #[error("create {path}")]
    Directory {
        /// The directory.
        path: std::path::PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// CPUs cannot be given to containers as configured.
    #[error("cannot start the CPU manager")]
    CpuManager(#[from] cpu_manager::CpuManagerError),
    /// The cgroups of all Pods cannot be made.
    #[error("create cgroup {path}")]
    Cgroup {
        /// The cgroup.
        path: String,
        /// The cause.
        source: std::io::Error,
    },
}

/// A node's kubelet, ready to run.
pub struct Kubelet {
    config: Config,
    context: Arc<NodeContext>,
    machine: Machine,
    runtime_version: String,
    runtime_changes: watch::Sender<u64>,
    pods: watch::Sender<KnownPods>,
    ready: Arc<Notify>,
    shutdown: NodeShutdown,
    services: Reflector<Service>,
}

impl Kubelet {
    /// Prepares a kubelet: asks the runtime for its name, makes directories and the cgroups of all Pods. Nothing runs
    /// yet, and the API is not spoken to.
    ///
    /// # Errors
    /// [`StartError`] names what is missing.
    pub async fn new(config: Config) -> Result<Self, StartError> {
        for path in [&config.paths.root, &config.paths.pod_logs] {
            std::fs::create_dir_all(path).map_err(|source| StartError::Directory { path: path.clone(), source })?;
        }
        let version = config.runtime.runtime.version().await.map_err(StartError::Runtime)?;
        let machine = Machine::read(&config.paths.root);
        let source = EventSource {
            component: "kubelet".to_owned(),
            instance: config.node.name.clone(),
            format: EventFormat::Counted,
        };
        let recorder = EventRecorder::start(config.client.clone(), source, Arc::clone(&config.clock));
        let runtime_name = version.runtime_name.clone();
        let reserved_milli = config.resources.reserved("cpu").milli_value();
        let cpus = CpuManager::open(&config.resources.cpu_manager, reserved_milli, &config.paths.root)?;
        let services = Reflector::new(Api::<Service>::all(config.client.clone()));
        let context = NodeContext::new(&config, &machine, runtime_name, Arc::new(recorder));
        let context = Arc::new(context.with_cpus(cpus).with_services(services.lister()));
        let kubepods = context.kubepods();
        for (path, limits) in resources::cgroups::plan(&context.resources) {
            let path = format!("{kubepods}{path}");
            config.host.create_cgroup(&path, &limits).map_err(|source| StartError::Cgroup { path, source })?;
        }
        Ok(Self {
            runtime_version: format!("{}://{}", version.runtime_name, version.runtime_version),
            runtime_changes: watch::channel(0).0,
            pods: watch::channel(KnownPods::new()).0,
            shutdown: NodeShutdown::new(context.shutting_down.clone()),
            ready: Arc::new(Notify::new()),
            config,
            context,
            machine,
            services,
        })
    }

    /// The kubelet API, to be served with upgrades enabled. Works while [`run`](Self::run) does.
    pub fn service(&self) -> KubeletApi {
        let stats = Arc::new(Stats::new(Arc::clone(&self.context), self.config.node.name.clone()));
        let configuration = Arc::new(server::configuration(&self.config));
        KubeletApi::new(
            Arc::clone(&self.context),
            self.pods.subscribe(),
            self.runtime_changes.subscribe(),
            stats,
            configuration,
        )
    }

    /// The way to tell it that the node shuts down. Works while [`run`](Self::run) does.
    pub fn shutdown(&self) -> NodeShutdown {
        self.shutdown.clone()
    }

    /// Notified once, when the Node is first reported Ready.
    pub fn node_ready(&self) -> Arc<Notify> {
        Arc::clone(&self.ready)
    }

    /// Runs until cancelled. Containers live on after that, and the Node stays Ready for the next kubelet to take over.
    pub async fn run(self, cancel: CancellationToken) {
        let (events, queue) = mpsc::channel(QUEUE_LIMIT);
        let sync_loop =
            SyncLoop::new(Arc::clone(&self.context), events.clone(), self.runtime_changes.clone(), self.pods.clone());
        let node_name = self.config.node.name.clone();
        let client = self.config.client.clone();
        let clock = Arc::clone(&self.config.clock);
        info!(node = node_name, "kubelet started");
        self.context.events.node(&node_name, EventType::Normal, "Starting", "Starting kubelet.");
        let node_status = NodeStatusWriter::new(
            &self.config,
            self.machine.clone(),
            self.runtime_version.clone(),
            self.context.pressure.subscribe(),
            self.ready.clone(),
            self.context.events.clone(),
        )
        .with_extended(self.context.devices.amounts(), self.context.node.subscribe())
        .until_shutdown(self.context.shutting_down.subscribe());
        background("node status", &cancel, node_status.run());
        let lease_name = node_name.clone();
        let lease_client = client.clone();
        background("node lease", &cancel, async move { node_lease::run(lease_client, &lease_name, clock).await });
        let (node_client, own_name, node) = (client.clone(), node_name.clone(), self.context.node.clone());
        background("node source", &cancel, async move { node_source::run(node_client, &own_name, node).await });
        background("services", &cancel, self.services.run(cancel.clone()));
        let burstable = self.context.burstable_cpu_milli.subscribe();
        background("qos cgroups", &cancel, resources::cgroups::follow(Arc::clone(&self.context), burstable));
        let image_gc = ImageGc::new(Arc::clone(&self.context), node_name.clone(), self.pods.subscribe());
        let eviction = EvictionManager {
            image_gc: image_gc.clone(),
            context: Arc::clone(&self.context),
            config: self.config.resources.eviction.clone(),
            machine: self.machine.clone(),
            node_name: node_name.clone(),
            stats: Arc::new(Stats::new(Arc::clone(&self.context), node_name.clone())),
            pods: self.pods.subscribe(),
            events: events.clone(),
        };
        background("eviction", &cancel, eviction.run());
        background("pleg", &cancel, pleg::run(Arc::clone(&self.context.runtime), events.clone()));
        let (pods, shutdown_events) = (self.pods.subscribe(), events.clone());
        let shutdown = self.shutdown.clone().run(Arc::clone(&self.context), pods, shutdown_events);
        background("device plugins", &cancel, devices::registration::run(Arc::clone(&self.context.devices)));
        if self.context.cpus.policy() == cpu_manager::Policy::Static {
            background("cpu manager", &cancel, cpu_manager::reconcile::run(Arc::clone(&self.context)));
        }
        background("node shutdown", &cancel, shutdown);
        background("image gc", &cancel, image_gc.clone().run());
        let (pods, changes) = (self.pods.subscribe(), self.runtime_changes.subscribe());
        background("container gc", &cancel, container_gc::run(Arc::clone(&self.context), pods, changes));
        background("log rotation", &cancel, log_rotation::run(Arc::clone(&self.context)));
        let static_pods = pod_source::run_static(Arc::clone(&self.context), node_name.clone(), events.clone());
        background("static pod sources", &cancel, static_pods);
        background("pod source", &cancel, async move { pod_source::run(client, &node_name, events).await });
        let history = self.context.history.clone();
        sync_loop.run(queue, cancel).await;
        history.flush().await;
        info!("kubelet stopped, containers run on");
    }
}

/// Starts a part that ends with the kubelet. One that ends by itself is a fault worth a word.
fn background(name: &'static str, cancel: &CancellationToken, part: impl Future<Output = ()> + Send + 'static) {
    let cancel = cancel.clone();
    spawn(TaskKind::Component, name, async move {
        tokio::select! {
            () = cancel.cancelled() => {}
            () = part => if !cancel.is_cancelled() {
                warn!(part = name, "a part of the kubelet ended");
            },
        }
    });
}
