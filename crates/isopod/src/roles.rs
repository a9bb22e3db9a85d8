//! The assembly: the one place that sees both sides of every boundary and passes one to the other.
//!
//! Two roles, in dependency order. [`ControlPlane`]: credentials, store, API server, scheduler, controllers. [`Node`]:
//! Pod network, runtime, kubelet. A component gets a client with an identity of its own and nothing else of the API
//! server.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use apiserver::{ApiServer, UserInfo};
use bootstrap::{Credential, Kubeconfig, Pki, PkiConfig};
use client::{Client, EventFormat, EventRecorder, EventSource, LeaderElection};
use cri_socket::CriServer;
use kubelet::{Kubelet, NodeShutdown, SecureServer};
use network::BridgeNetwork;
use platform::clock::{SharedClock, SystemClock};
use platform::random::{SharedRandom, SystemRandom};
use platform::tasks::{self, TaskKind};
use runtime::EmbeddedRuntime;
use runtime::image::{self, ImageStore, Registries};
use runtime::shim_client::ShimCommand;
use store::Store;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::companions::Beside;
use crate::identity::Identity;
use crate::local_node::LocalNode;
use crate::remote_runtime;
use crate::settings::Settings;
use crate::snapshot;

/// What the node says it runs.
pub const KUBELET_VERSION: &str = concat!("v1.36.2+isopod-", env!("CARGO_PKG_VERSION"));
/// Where upstream's kubelet listens.
const KUBELET_PORT: u16 = 10250;

/// The parent of all of a server's cgroups.
pub fn cgroup_root(id: &str) -> String {
    format!("isopod-{id}")
}

/// API server, store, scheduler and controllers.
pub struct ControlPlane {
    api_server: Arc<ApiServer>,
    store: Arc<dyn Store>,
    local_node: Arc<LocalNode>,
    verdicts: scheduler::Verdicts,
    scheduler_metrics: scheduler::Metrics,
    clock: SharedClock,
    random: SharedRandom,
    pki: Pki,
    tasks: Vec<JoinHandle<()>>,
}

impl ControlPlane {
    /// Starts everything and returns when the API answers and the built-in objects are there.
    pub async fn start(settings: &Settings, listener: TcpListener, cancel: &CancellationToken) -> Result<Self> {
        let (clock, random): (SharedClock, SharedRandom) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let identity = Identity::load(&settings.identity)?;
        let opening = settings.datastore.open(&settings.data_dir, clock.clone(), random.clone());
        let pki = ensure_credentials(settings, &clock)?;
        let store = opening.await?;
        let local_node = Arc::new(LocalNode::default());
        let (verdicts, scheduler_metrics) = (scheduler::Verdicts::default(), scheduler::Metrics::default());
        let api_server = ApiServer::start(apiserver::Config {
            store: store.clone(),
            clock: clock.clone(),
            random: random.clone(),
            service_account_key_pem: identity
                .signing_key
                .unwrap_or_else(|| pki.service_account_key.clone().into_bytes()),
            service_account_issuer: identity.issuer,
            tokens: identity.tokens,
            authentication: identity.authentication,
            encryption: identity.encryption,
            node_dialer: local_node.clone(),
            companions: Arc::new(Beside { verdicts: verdicts.clone(), scheduler_metrics: scheduler_metrics.clone() }),
            runtime_config: settings.runtime_config.clone(),
            admission_plugins: settings.admission_plugins.clone(),
            service_ranges: settings.api_service_ranges(),
            limits: settings.limits.clone(),
            audit: settings.audit.open()?,
        })
        .await
        .context("cannot start the API server")?;
        let tls = apiserver::tls_config(
            pki.server.certificate.as_bytes(),
            pki.server.key.as_bytes(),
            pki.authority.as_bytes(),
        )
        .context("cannot serve HTTPS")?;
        let mut plane =
            Self { api_server, store, local_node, verdicts, scheduler_metrics, clock, random, pki, tasks: Vec::new() };
        let (api_server, stop) = (plane.api_server.clone(), cancel.clone());
        plane.spawn("api server", async move { api_server.serve(listener, tls, stop).await });
        let admin = plane.client(UserInfo::new("system:apiserver", ["system:masters"]));
        bootstrap::objects::ensure(&admin, &settings.api_endpoint(), plane.clock.now())
            .await
            .context("cannot make the built-in objects")?;
        bootstrap::objects::publish_client_authority(&admin, &plane.pki.authority)
            .await
            .context("cannot tell how clients are known")?;
        bootstrap::policy::reconcile(&admin).await.context("cannot make the default roles")?;
        bootstrap::flow_control::reconcile(&admin, plane.clock.now())
            .await
            .context("cannot make the default priority levels")?;
        let keeper = bootstrap::flow_control::run(admin, plane.clock.clone(), cancel.clone());
        plane.spawn("flow control objects", keeper);
        plane.api_server.started();
        plane.start_components(settings, cancel)?;
        let socket = settings.data_dir.snapshot_socket();
        let snapshots = snapshot::serve(&socket, &settings.datastore, plane.store.clone(), cancel.clone());
        plane.spawn("snapshots", snapshots.context("cannot listen on the snapshot socket")?);
        Ok(plane)
    }

    fn start_components(&mut self, settings: &Settings, cancel: &CancellationToken) -> Result<()> {
        let client = self.client(UserInfo::new("system:kube-scheduler", [] as [&str; 0]));
        let config = scheduler::Config {
            clock: self.clock.clone(),
            random: self.random.clone(),
            instance: settings.node_name.clone(),
            configuration: settings.scheduler.clone(),
            verdicts: self.verdicts.clone(),
            metrics: self.scheduler_metrics.clone(),
        };
        let of_leader = client.clone();
        self.spawn_leading("kube-scheduler", client, settings, cancel, move |lead| {
            scheduler::run(of_leader.clone(), config.clone(), lead)
        });
        let local_path = controllers::LocalPath {
            provisioner: bootstrap::objects::LOCAL_PATH_PROVISIONER.to_owned(),
            node_name: settings.node_name.clone(),
            directory: settings.data_dir.storage(),
        };
        let authority = controllers::ClusterAuthority::new(
            &self.pki.authority,
            &self.pki.authority_key,
            settings.identity.cluster_signing_duration,
        );
        let config = controllers::Config {
            clock: self.clock.clone(),
            random: self.random.clone(),
            authority: Some(Arc::new(authority.context("cannot sign certificates")?)),
            secret_tokens: self.secret_tokens(),
            bootstrap_tokens: settings.identity.enable_bootstrap_token_auth,
            root_ca: self.pki.authority.clone(),
            // Where others may lead, directories of this machine are given by a part of its own.
            local_path: Some(local_path.clone()).filter(|_| settings.leader_election.is_none()),
            node_monitor_grace_period: settings.node_monitor_grace_period,
            eviction_rates: controllers::EvictionRates {
                normal: settings.node_evictions.node_eviction_rate,
                disrupted: settings.node_evictions.secondary_node_eviction_rate,
                large_zone: settings.node_evictions.large_cluster_size_threshold,
                disrupted_from: settings.node_evictions.unhealthy_zone_threshold,
            },
            autoscaling: controllers::Autoscaling {
                sync_period: settings.autoscaling.horizontal_pod_autoscaler_sync_period,
                downscale_stabilization: settings.autoscaling.horizontal_pod_autoscaler_downscale_stabilization,
                tolerance: settings.autoscaling.horizontal_pod_autoscaler_tolerance,
                cpu_initialization_period: settings.autoscaling.horizontal_pod_autoscaler_cpu_initialization_period,
                initial_readiness_delay: settings.autoscaling.horizontal_pod_autoscaler_initial_readiness_delay,
            },
        };
        let clients = self.controller_clients();
        if settings.leader_election.is_some() {
            let local = controllers::run_local(clients.clone(), self.clock.clone(), local_path, cancel.clone());
            self.spawn("local controllers", local);
        }
        let client = self.client(UserInfo::new("system:kube-controller-manager", [] as [&str; 0]));
        self.spawn_leading("kube-controller-manager", client, settings, cancel, move |lead| {
            controllers::run(clients.clone(), config.clone(), lead)
        });
        Ok(())
    }

    /// Spawns what only one of several servers does at a time, under the name of the Lease they agree by. A server that
    /// is alone does it at once.
    fn spawn_leading<W: Future<Output = ()> + Send + 'static>(
        &mut self,
        name: &'static str,
        client: Client,
        settings: &Settings,
        cancel: &CancellationToken,
        work: impl Fn(CancellationToken) -> W + Send + Sync + 'static,
    ) {
        let cancel = cancel.clone();
        let Some(timing) = settings.leader_election else { return self.spawn(name, work(cancel)) };
        let source = EventSource { component: name.into(), instance: String::new(), format: EventFormat::Counted };
        let election = LeaderElection {
            events: EventRecorder::start(client.clone(), source, self.clock.clone()),
            client,
            clock: self.clock.clone(),
            name: name.to_owned(),
            // Two processes with one node's name are not the same candidate.
            identity: format!("{}_{}", settings.node_name, self.random.uuid()),
            timing,
        };
        self.spawn(name, election.run(cancel, work));
    }

    /// The API server has the key that signs tokens; a controller says which Secrets get one.
    fn secret_tokens(&self) -> controllers::SecretTokenSigner {
        let api_server = self.api_server.clone();
        Arc::new(move |token| {
            let controllers::SecretToken { namespace, secret, account, account_uid } = *token;
            let claims = apiserver::SecretClaims::new(namespace, account, account_uid, secret);
            api_server.sign_secret_token(&claims).map_err(Into::into)
        })
    }

    /// Each controller writes as its own ServiceAccount, with its own role.
    fn controller_clients(&self) -> controllers::Clients {
        let shared = self.client(UserInfo::new("system:kube-controller-manager", [] as [&str; 0]));
        let api_server = self.api_server.clone();
        controllers::Clients::new(shared, move |controller| {
            let user = UserInfo::service_account("kube-system", controller);
            Client::new(api_server.in_process(user), "default")
        })
    }

    fn spawn(&mut self, name: &'static str, component: impl Future<Output = ()> + Send + 'static) {
        self.tasks.push(tasks::spawn(TaskKind::Component, name, component));
    }

    /// A client of this process's API server with an identity.
    pub fn client(&self, user: UserInfo) -> Client {
        Client::new(self.api_server.in_process(user), "default")
    }

    /// Waits for everything to end after cancellation, and brings the store to rest.
    pub async fn stopped(self) -> Result<()> {
        self.api_server.shut_down();
        for task in self.tasks {
            task.await?;
        }
        self.store.close().await.context("cannot close the store")
    }
}

/// Credentials and kubeconfigs on disk.
fn ensure_credentials(settings: &Settings, clock: &SharedClock) -> Result<Pki> {
    let pki = Pki::ensure(&PkiConfig {
        data_dir: settings.data_dir.path().to_owned(),
        server_names: settings.server_names(),
        node_name: settings.node_name.clone(),
        kubelet_names: settings.kubelet_names(),
        now: clock.now(),
    })?;
    let kubeconfig = Kubeconfig {
        server: &settings.server_url(),
        authority: &pki.authority,
        certificate: &pki.admin.certificate,
        key: &pki.admin.key,
    };
    kubeconfig.write(&settings.data_dir.kubeconfig())?;
    if let Some(extra) = &settings.extra_kubeconfig {
        let extra = std::path::absolute(extra)?;
        bootstrap::files::write_private(&settings.data_dir.extra_kubeconfig(), &extra.to_string_lossy())?;
        kubeconfig.write(&extra)?;
    }
    Ok(pki)
}

/// Pod network, runtime and kubelet.
pub struct Node {
    client: Client,
    name: String,
    shutdown: NodeShutdown,
    task: JoinHandle<()>,
}

impl Node {
    /// Takes up what earlier runs left running and starts the kubelet.
    pub async fn start(settings: &Settings, plane: &ControlPlane, cancel: &CancellationToken) -> Result<Self> {
        let id = settings.data_dir.id();
        let runtime = match &settings.kubelet.container_runtime_endpoint {
            Some(endpoint) => remote_runtime::connect(&settings.data_dir, endpoint)?,
            None => embedded_runtime(settings, plane, &id, cancel).await?,
        };
        let user = UserInfo::new(format!("system:node:{}", settings.node_name), ["system:nodes"]);
        let client = plane.client(user);
        let listener = listen_for_kubelet(settings).await?;
        let kubelet = Kubelet::new(kubelet::Config {
            client: client.clone(),
            runtime,
            host: Arc::new(kubelet::host::LinuxHost::detect().context("cannot use this machine's cgroups")?),
            clock: plane.clock.clone(),
            random: plane.random.clone(),
            node: kubelet::NodeConfig {
                name: settings.node_name.clone(),
                labels: settings.node_labels.clone(),
                addresses: settings.node_addresses.clone(),
                taints: settings.node_taints.clone(),
                kubelet_port: listener.local_addr().context("cannot find out the kubelet's port")?.port(),
                pod_cidrs: settings.pod_ranges.iter().map(ToString::to_string).collect(),
                version: KUBELET_VERSION.to_owned(),
                max_pods: settings.kubelet.max_pods,
            },
            paths: kubelet::Paths::below(settings.data_dir.path()),
            pods: kubelet::PodConfig {
                cgroup_root: cgroup_root(&id),
                max_container_restart_period: Duration::from_secs(settings.kubelet.max_container_restart_period.into()),
                static_pods: settings.static_pods.clone(),
                security: kubelet::NodeSecurity {
                    allowed_unsafe_sysctls: settings.kubelet.allowed_unsafe_sysctls.clone(),
                    app_armor: kubelet::app_armor(),
                },
                container_log_max_bytes: settings.kubelet.container_log_max_size,
                container_log_max_files: settings.kubelet.container_log_max_files.into(),
                shutdown: settings.kubelet.shutdown(),
                container_gc: settings.kubelet.container_gc(),
                image_gc: kubelet::ImageGcConfig {
                    high_percent: settings.kubelet.image_gc_high_threshold.into(),
                    low_percent: settings.kubelet.image_gc_low_threshold.into(),
                    min_age: settings.kubelet.minimum_image_ttl_duration,
                    max_age: settings.kubelet.image_maximum_gc_age,
                },
                ..kubelet::PodConfig::default()
            },
            resources: settings.resources.clone(),
        })
        .await
        .context("cannot start the kubelet")?;
        let (api, shutdown) = (kubelet.service(), kubelet.shutdown());
        plane.local_node.set(settings.node_name.clone(), api.clone());
        let tls = kubelet_tls(&plane.pki)?;
        let (node_name, stop) = (settings.node_name.clone(), cancel.clone());
        let server = SecureServer { listener, tls, api, client: client.clone(), node_name };
        tasks::spawn(TaskKind::Component, "kubelet api", async move {
            stop.run_until_cancelled(server.run()).await;
        });
        let task = tasks::spawn(TaskKind::Component, "kubelet", kubelet.run(cancel.clone()));
        Ok(Self { client, name: settings.node_name.clone(), shutdown, task })
    }

    /// Returns when the Node object says Ready.
    pub async fn wait_until_ready(&self) -> Result<()> {
        use api::k8s_openapi::api::core::v1::Node;
        let nodes: kube::Api<Node> = kube::Api::all(self.client.clone());
        let is_ready = |node: Option<&Node>| {
            let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
            conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
        };
        kube::runtime::wait::await_condition(nodes, &self.name, is_ready).await.context("cannot watch the Node")?;
        Ok(())
    }

    /// Ends every Pod, because the machine is about to stop.
    pub async fn shut_down(&self) {
        self.shutdown.shut_down().await;
    }

    /// Waits for the kubelet to end after cancellation. Containers go on.
    pub async fn stopped(self) {
        // A panic of the kubelet has ended the process already.
        self.task.await.expect("a component either returns or ends the process");
    }
}

/// The socket of the kubelet API. Servers side by side on one host cannot all have the port everybody knows.
async fn listen_for_kubelet(settings: &Settings) -> Result<TcpListener> {
    let address = |port| SocketAddr::new(settings.listen.ip(), port);
    let port = settings.kubelet.kubelet_port.unwrap_or(KUBELET_PORT);
    match TcpListener::bind(address(port)).await {
        Err(error) if error.kind() == io::ErrorKind::AddrInUse && settings.kubelet.kubelet_port.is_none() => {
            let listener = TcpListener::bind(address(0)).await.context("cannot listen for the kubelet API")?;
            info!(address = %listener.local_addr()?, "port {port} is taken, the kubelet API listens elsewhere");
            Ok(listener)
        }
        other => other.with_context(|| format!("cannot listen on {} (--bind-address, --kubelet-port)", address(port))),
    }
}

/// The kubelet's side of TLS: HTTP/1.1 only, which is what can be upgraded to streams.
fn kubelet_tls(pki: &Pki) -> Result<Arc<rustls::ServerConfig>> {
    let Credential { certificate, key } = &pki.kubelet;
    let tls = apiserver::tls_config(certificate.as_bytes(), key.as_bytes(), pki.authority.as_bytes());
    let mut tls = tls.context("cannot serve the kubelet API")?.as_ref().clone();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(tls))
}

/// Pod network, images and containers of our own, served to others as well.
async fn embedded_runtime(
    settings: &Settings,
    plane: &ControlPlane,
    id: &str,
    cancel: &CancellationToken,
) -> Result<cri::Runtime> {
    let network = network::Config {
        directory: settings.data_dir.network(),
        id: id.to_owned(),
        ranges: settings.pod_ranges.clone(),
    };
    let network = tokio::task::spawn_blocking(|| BridgeNetwork::open(network)).await?;
    let registries = match &settings.registries {
        Some(path) => Registries::load(path).context("--private-registry")?,
        None => Registries::default(),
    };
    let images = ImageStore::open(image::Config {
        root: settings.data_dir.images(),
        registries,
        clock: plane.clock.clone(),
        random: plane.random.clone(),
    })
    .context("cannot open the image store")?;
    let runtime = EmbeddedRuntime::open(runtime::Config {
        root: settings.data_dir.runtime(),
        cgroup_root: cgroup_root(id),
        network: Arc::new(network.context("cannot set up the Pod network")?),
        root_filesystems: images.clone(),
        shim: ShimCommand::default(),
        clock: plane.clock.clone(),
        random: plane.random.clone(),
    })
    .await
    .context("cannot start the container runtime")?;
    let runtime = cri::Runtime { runtime, images };
    let server = CriServer::listen(&settings.data_dir.cri_socket(), &runtime, plane.random.clone()).await;
    let server = server.context("cannot listen on the CRI socket")?;
    tasks::spawn(TaskKind::Component, "cri socket", server.run(cancel.clone()));
    Ok(runtime)
}
