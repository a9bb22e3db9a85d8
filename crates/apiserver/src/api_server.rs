//! The API server as a whole: what it is made of, and the two ways in.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use api::Kind;
use api::k8s_openapi::api::core::v1::{LimitRange, ResourceQuota, Secret, ServiceAccount};
use api::k8s_openapi::api::scheduling::v1::PriorityClass;
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use api::net::Cidr;
use async_trait::async_trait;
use jiff::Timestamp;
use platform::clock::SharedClock;
use platform::random::SharedRandom;
use platform::tasks::{self, TaskKind};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use store::Store;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::admission::{Plugins, Turns};
use crate::audit::Audit;
use crate::authentication::AuthenticationConfig;
use crate::authorization::{Authorizer, Masters, NodeAuthorizer, Rbac, Union};
use crate::companions::Companions;
use crate::encryption::{EncryptedStore, Encryption};
use crate::error::Error;
use crate::expiry::Expiry;
use crate::filters::limits::Limiter;
use crate::flow_control::FlowControl;
use crate::flow_control::max_in_flight::MaxInFlight;
use crate::identity::UserInfo;
use crate::in_process::InProcess;
use crate::metrics::requests::Requests;
use crate::metrics::slis::Slis;
use crate::metrics::store::TimedStore;
use crate::node_usage::NodeUsages;
use crate::registry::core::service::{NodePorts, repair};
use crate::registry::{self, Kept, Resource, RuntimeConfig};
use crate::server;
use crate::tokens::{BoundKind, Found, ObjectLookup, SecretClaims, TokenAuthenticator, TokenConfig, TokenError};
use crate::watch_cache::{Caches, Decoded, FeedError, ListRequest};

/// A connection to a kubelet.
pub trait NodeStream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> NodeStream for T {}

/// Opens connections to kubelets.
#[async_trait]
pub trait NodeDialer: Send + Sync {
    /// Opens a byte stream that speaks HTTP/1.1 to the kubelet API of a node.
    ///
    /// # Errors
    /// When the node cannot be reached.
    async fn dial(&self, node_name: &str) -> io::Result<Box<dyn NodeStream>>;
}

/// What an API server needs.
pub struct Config {
    /// Where objects are kept. Only this server may write there.
    pub store: Arc<dyn Store>,
    /// Time.
    pub clock: SharedClock,
    /// Randomness.
    pub random: SharedRandom,
    /// The key that signs ServiceAccount tokens: PKCS#8 in PEM, RSA or ECDSA P-256.
    pub service_account_key_pem: Vec<u8>,
    /// The issuer of tokens, and their audience, for instance `https://kubernetes.default.svc.cluster.local`.
    pub service_account_issuer: String,
    /// Whose tokens are good besides those.
    pub tokens: TokenConfig,
    /// Other ways to log in.
    pub authentication: AuthenticationConfig,
    /// What is encrypted in the store.
    pub encryption: Option<Arc<Encryption>>,
    /// The way to kubelets.
    pub node_dialer: Arc<dyn NodeDialer>,
    /// What is beside this server in the process.
    pub companions: Arc<dyn Companions>,
    /// Resources to serve that are not by default.
    pub runtime_config: RuntimeConfig,
    /// What may change and refuse writes.
    pub admission_plugins: Plugins,
    /// The ranges Services get addresses from, the preferred family first.
    pub service_ranges: Vec<Cidr>,
    /// How much is done at a time, and how long it may take.
    pub limits: Limits,
    /// Who is told of requests, and how much.
    pub audit: Option<Audit>,
}

/// How much is done at a time, and how long it may take. The defaults are upstream's.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Requests at a time that only read; with API Priority and Fairness, a part of all seats.
    pub max_requests_inflight: usize,
    /// The same for requests that write.
    pub max_mutating_requests_inflight: usize,
    /// Whether requests are sorted by FlowSchemas and limited by priority levels.
    pub priority_and_fairness: bool,
    /// The longest a request may take, unless it is a watch or a stream.
    pub request_timeout: Duration,
    /// How long a watch runs when the client does not say; up to twice as long, so that not all end at once.
    pub min_request_timeout: Duration,
    /// How long a server that is to end goes on serving, while it says that it is not ready.
    pub shutdown_delay: Duration,
    /// Whether requests that come after that are told to come again, instead of finding nobody.
    pub shutdown_send_retry_after: bool,
    /// How often, of one, an HTTP/2 connection is asked to end after a request, so that clients spread.
    pub goaway_chance: f64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_requests_inflight: 400,
            max_mutating_requests_inflight: 200,
            priority_and_fairness: true,
            request_timeout: Duration::from_secs(60),
            min_request_timeout: Duration::from_secs(1800),
            shutdown_delay: Duration::ZERO,
            shutdown_send_retry_after: false,
            goaway_chance: 0.0,
        }
    }
}

/// Why the server does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The stored objects cannot be read.
    #[error("loading stored objects")]
    Load(#[from] FeedError),
    /// The signing key is of no use.
    #[error("preparing ServiceAccount tokens")]
    Tokens(#[from] TokenError),
    /// Services and the addresses and ports they have cannot be brought in line.
    #[error("repairing the addresses of Services")]
    Services(#[source] Error),
}

/// What all requests share.
pub struct Server {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) clock: SharedClock,
    pub(crate) random: SharedRandom,
    pub(crate) caches: Arc<Caches>,
    pub(crate) kept: Vec<Arc<Kept>>,
    pub(crate) tokens: TokenAuthenticator,
    pub(crate) authentication: AuthenticationConfig,
    encryption: Option<Arc<Encryption>>,
    pub(crate) authorizer: Arc<dyn Authorizer>,
    pub(crate) rbac: Arc<Rbac>,
    pub(crate) plugins: Plugins,
    pub(crate) priority_classes: Decoded<PriorityClass>,
    pub(crate) limit_ranges: Decoded<LimitRange>,
    pub(crate) resource_quotas: Decoded<ResourceQuota>,
    pub(crate) quota_turns: Turns,
    pub(crate) node_dialer: Arc<dyn NodeDialer>,
    pub(crate) companions: Arc<dyn Companions>,
    pub(crate) runtime_config: RuntimeConfig,
    pub(crate) service_ranges: Vec<Cidr>,
    pub(crate) node_ports: NodePorts,
    pub(crate) usage: NodeUsages,
    pub(crate) expiry: Expiry,
    pub(crate) limits: Limits,
    pub(crate) limiter: Limiter,
    pub(crate) requests: Requests,
    pub(crate) timed_store: Arc<TimedStore>,
    pub(crate) slis: Slis,
    pub(crate) audit: Option<Arc<Audit>>,
    /// Whether what a server makes at its start is there.
    pub(crate) started: AtomicBool,
    /// Whether the server takes no new connections any more.
    pub(crate) stopping: AtomicBool,
    /// Whether requests are told to come again elsewhere.
    pub(crate) refusing: AtomicBool,
    /// Ends watches, so that connections can drain.
    pub(crate) shutdown: CancellationToken,
}

impl Server {
    /// The present time.
    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether a stored value is to be written again, as it is, when its object is.
    pub(crate) fn is_stale(&self, key: &str) -> bool {
        self.encryption.as_ref().is_some_and(|encryption| encryption.is_stale(key))
    }

    /// A resource that has objects.
    pub(crate) fn kept(&self, resource: &'static Resource) -> Option<&Arc<Kept>> {
        self.kept.iter().find(|kept| std::ptr::eq(kept.resource, resource))
    }

    /// The kept form of a core resource.
    pub(crate) fn core(&self, plural: &str) -> Option<&Arc<Kept>> {
        registry::lookup("", "v1", plural).and_then(|resource| self.kept(resource))
    }

    /// An object of the core group, as it is after all commits before this call.
    ///
    /// # Errors
    /// [`Error::Internal`] when it cannot be decoded.
    pub(crate) async fn typed<K: Kind>(&self, plural: &str, namespace: &str, name: &str) -> Result<Option<K>, Error> {
        self.caches.settled().await;
        let Some(kept) = self.core(plural) else { return Ok(None) };
        let Some(entry) = kept.cache.get(&kept.cache_key(namespace, name)) else { return Ok(None) };
        let object = kept.decode(&entry.object())?;
        Ok(object.into_any().downcast::<K>().ok().map(|object| *object))
    }

    /// All objects of a cluster-scoped resource, as they are after all commits before this call.
    ///
    /// # Errors
    /// [`Error::Internal`] when one cannot be decoded.
    pub(crate) async fn all<K: Kind>(&self, group: &str, plural: &str) -> Result<Vec<K>, Error> {
        self.caches.settled().await;
        let kept = registry::lookup(group, "v1", plural).and_then(|resource| self.kept(resource));
        let Some(kept) = kept else { return Ok(Vec::new()) };
        let listing = kept.cache.list(&ListRequest::default());
        let entries = listing.map_err(|_| Error::Internal("the newest state is never gone".to_owned()))?.entries;
        let objects = entries.iter().map(|entry| kept.decode(&entry.object()));
        let typed = objects.map(|object| Ok(object?.into_any().downcast::<K>().ok().map(|object| *object)));
        typed.filter_map(Result::transpose).collect()
    }

    /// The phase of a namespace, if it exists.
    pub(crate) async fn namespace_phase(&self, name: &str) -> Option<String> {
        self.caches.settled().await;
        let kept = self.core("namespaces")?;
        let entry = kept.cache.get(name)?;
        Some(entry.facts.field("status.phase", kept.cache.selectable()).to_owned())
    }
}

/// Looks for the objects tokens are bound to.
struct CacheLookup(Arc<Caches>);

#[async_trait]
impl ObjectLookup for CacheLookup {
    async fn find(&self, kind: BoundKind, namespace: &str, name: &str) -> Option<Found> {
        let (path, key) = match kind {
            BoundKind::ServiceAccount => ("serviceaccounts", format!("{namespace}/{name}")),
            BoundKind::Pod => ("pods", format!("{namespace}/{name}")),
            BoundKind::Secret => ("secrets", format!("{namespace}/{name}")),
            BoundKind::Node => ("minions", name.to_owned()),
        };
        self.0.settled().await;
        let entry = self.0.of(path)?.get(&key)?;
        let deletion = serde_json::from_slice::<Deletion>(&entry.object()).ok()?;
        let deleted_at = deletion.metadata.deletion_timestamp.map(|time| time.0);
        Some(Found { uid: entry.facts.uid.to_string(), deleted_at })
    }

    async fn secret(&self, namespace: &str, name: &str) -> Option<Secret> {
        self.read("secrets", namespace, name).await
    }

    async fn service_account(&self, namespace: &str, name: &str) -> Option<ServiceAccount> {
        self.read("serviceaccounts", namespace, name).await
    }
}

impl CacheLookup {
    async fn read<T: DeserializeOwned>(&self, path: &str, namespace: &str, name: &str) -> Option<T> {
        self.0.settled().await;
        let entry = self.0.of(path)?.get(&format!("{namespace}/{name}"))?;
        serde_json::from_slice(&entry.object()).ok()
    }
}

/// Whether an object is being deleted; nothing else of it is read.
#[derive(Deserialize)]
struct Deletion {
    metadata: DeletionMetadata,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeletionMetadata {
    deletion_timestamp: Option<Time>,
}

fn limiter(caches: &Caches, limits: &Limits) -> Limiter {
    let (reads, writes) = (limits.max_requests_inflight, limits.max_mutating_requests_inflight);
    if !limits.priority_and_fairness {
        return Limiter::Simple(MaxInFlight::new(reads, writes));
    }
    let flow_control = FlowControl::new(caches, reads + writes);
    Limiter::Fair(flow_control.expect("the registry has the kinds of API Priority and Fairness"))
}

/// A running API server.
pub struct ApiServer {
    server: Arc<Server>,
}

impl ApiServer {
    /// Loads everything from the store and starts to follow it. Serves nobody yet.
    ///
    /// # Errors
    /// [`StartError`] when the store or the signing key is not usable.
    pub async fn start(config: Config) -> Result<Arc<Self>, StartError> {
        let timed_store = Arc::new(TimedStore::new(config.store));
        let store: Arc<dyn Store> = match &config.encryption {
            Some(encryption) => Arc::new(EncryptedStore::new(timed_store.clone(), Arc::clone(encryption))),
            None => timed_store.clone(),
        };
        let caches = Caches::load(Arc::clone(&store), registry::cache_specs()).await?;
        let tokens = TokenAuthenticator::new(
            &config.service_account_key_pem,
            config.service_account_issuer,
            config.tokens,
            Arc::clone(&config.clock),
            Arc::clone(&config.random),
            Arc::new(CacheLookup(Arc::clone(&caches))),
        )?;
        let shutdown = CancellationToken::new();
        let kept = registry::all_kept(&caches);
        let expiry = Expiry::start(Arc::clone(&store), &kept, shutdown.clone());
        let feed = Arc::clone(&caches);
        tasks::spawn(TaskKind::Component, "watch cache feed", async move { feed.follow().await });
        let rbac = Arc::new(Rbac::new(&caches).expect("the registry has the kinds of RBAC"));
        let priority_classes = decoded(&caches, "priorityclasses");
        let limit_ranges = decoded(&caches, "limitranges");
        let resource_quotas = decoded(&caches, "resourcequotas");
        let nodes = Arc::new(NodeAuthorizer::new(Arc::clone(&caches), Arc::clone(&rbac)));
        let authorizer = Arc::new(Union(vec![Arc::new(Masters), nodes, Arc::clone(&rbac) as Arc<dyn Authorizer>]));
        let limiter = limiter(&caches, &config.limits);
        let server = Server {
            store,
            clock: config.clock,
            random: config.random,
            caches,
            kept,
            tokens,
            authentication: config.authentication,
            encryption: config.encryption,
            authorizer,
            rbac,
            plugins: config.admission_plugins,
            priority_classes,
            limit_ranges,
            resource_quotas,
            quota_turns: Turns::default(),
            node_dialer: config.node_dialer,
            companions: config.companions,
            runtime_config: config.runtime_config,
            service_ranges: config.service_ranges,
            node_ports: NodePorts::default(),
            usage: NodeUsages::default(),
            expiry,
            limits: config.limits,
            limiter,
            requests: Requests::default(),
            timed_store,
            slis: Slis::default(),
            audit: config.audit.map(Arc::new),
            started: AtomicBool::new(false),
            stopping: AtomicBool::new(false),
            refusing: AtomicBool::new(false),
            shutdown,
        };
        repair(&server).await.map_err(StartError::Services)?;
        Ok(Arc::new(Self { server: Arc::new(server) }))
    }

    /// A way in for a component of this process. Its requests pass the same filters as any; only its identity is known
    /// beforehand.
    pub fn in_process(&self, user: UserInfo) -> InProcess {
        InProcess::new(Arc::clone(&self.server), user)
    }

    /// Tells that what a server makes at its start is there: it is ready.
    pub fn started(&self) {
        self.server.started.store(true, Ordering::Relaxed);
    }

    /// Signs the token of a Secret.
    ///
    /// # Errors
    /// [`TokenError::Sign`].
    pub fn sign_secret_token(&self, claims: &SecretClaims) -> Result<String, TokenError> {
        self.server.tokens.issue_for_secret(claims)
    }

    /// Serves HTTPS until `cancel` is cancelled, then lets requests finish for a while.
    pub async fn serve(&self, listener: TcpListener, tls: Arc<rustls::ServerConfig>, cancel: CancellationToken) {
        server::serve(Arc::clone(&self.server), listener, tls, cancel).await;
    }

    /// Ends all watches and background work. The store is the caller's to close.
    pub fn shut_down(&self) {
        self.server.shutdown.cancel();
    }
}

/// The objects of a resource as their type.
fn decoded<K: Kind>(caches: &Caches, path: &str) -> Decoded<K> {
    let cache = caches.of(path).expect("the registry has the kinds that admission reads");
    Decoded::new(Arc::clone(cache))
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.shut_down();
    }
}
