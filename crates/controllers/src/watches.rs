//! The copies that the controllers share: one watch per resource, reduced to what is read.

use client::reflector::Reflected;
use client::{Client, Index, ObjectKey, Reflector};
use futures::FutureExt as _;
use futures::future::{BoxFuture, join_all};
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscaler;
use k8s_openapi::api::batch::v1::{CronJob, Job};
use k8s_openapi::api::certificates::v1::CertificateSigningRequest;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Endpoints, Namespace, Node, PersistentVolume, PersistentVolumeClaim, Pod, ReplicationController,
    ResourceQuota, Secret, Service, ServiceAccount,
};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::{IPAddress, ServiceCIDR};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::runtime::watcher;
use tokio_util::sync::CancellationToken;

use crate::bootstrap_tokens::{self, BootstrapToken};
use crate::endpoint_slice;
use crate::endpoint_slice_mirroring;
use crate::ownership::controller_uid;
pub use crate::pod_facts::{EphemeralClaim, PodFacts};
use crate::root_ca::CONFIG_MAP_NAME;
use crate::service_account_tokens::{self, TokenSecret};
use crate::service_cidr::{ClusterAddress, MANAGED_BY_ALLOCATOR};

/// The namespace of the nodes' heartbeats.
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// A published CA bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedCa {
    /// Where.
    pub namespace: String,
    /// The ConfigMap, when it does not say what it should.
    pub altered: Option<Box<ConfigMap>>,
}

/// A ServiceAccount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Namespace and name.
    pub key: ObjectKey,
    /// Its uid.
    pub uid: String,
}

impl Account {
    fn of(account: ServiceAccount) -> Self {
        Self { key: ObjectKey::of(&account), uid: account.metadata.uid.unwrap_or_default() }
    }
}

/// All shared reflectors. Controllers subscribe and take listers before [`Watches::run`].
pub struct Watches {
    pub namespaces: Reflector<Namespace>,
    pub nodes: Reflector<Node>,
    pub pods: Reflector<Pod, PodFacts>,
    pub pod_index: PodIndex,
    /// Leases of nodes: when each was renewed.
    pub node_leases: Reflector<Lease, NodeLease>,
    pub accounts: Reflector<ServiceAccount, Account>,
    /// Secrets that hold ServiceAccounts' tokens.
    pub token_secrets: Reflector<Secret, TokenSecret>,
    pub bootstrap_tokens: Reflector<Secret, BootstrapToken>,
    pub published_cas: Reflector<ConfigMap, PublishedCa>,
    pub claims: Reflector<PersistentVolumeClaim>,
    pub volumes: Reflector<PersistentVolume>,
    pub classes: Reflector<StorageClass>,
    pub cluster_roles: Reflector<ClusterRole>,
    pub signing_requests: Reflector<CertificateSigningRequest>,
    pub replica_sets: Reflector<ReplicaSet>,
    pub replica_set_index: OwnedIndex<ReplicaSet>,
    pub replication_controllers: Reflector<ReplicationController>,
    pub replication_controller_index: OwnedIndex<ReplicationController>,
    pub budgets: Reflector<PodDisruptionBudget>,
    pub budget_index: OwnedIndex<PodDisruptionBudget>,
    pub jobs: Reflector<Job>,
    pub job_index: OwnedIndex<Job>,
    pub cron_jobs: Reflector<CronJob>,
    pub autoscalers: Reflector<HorizontalPodAutoscaler>,
    pub deployments: Reflector<Deployment>,
    pub deployment_index: OwnedIndex<Deployment>,
    pub quotas: Reflector<ResourceQuota>,
    pub services: Reflector<Service>,
    pub service_index: OwnedIndex<Service>,
    pub endpoints: Reflector<Endpoints>,
    pub endpoint_slices: Reflector<EndpointSlice>,
    /// Those the controller looks after, by their Service's key.
    pub slices_by_service: Index<EndpointSlice>,
    /// Those that are copies of Endpoints, by their Service's key.
    pub mirrors_by_service: Index<EndpointSlice>,
    pub daemon_sets: Reflector<DaemonSet>,
    pub daemon_set_index: OwnedIndex<DaemonSet>,
    pub stateful_sets: Reflector<StatefulSet>,
    pub stateful_set_index: OwnedIndex<StatefulSet>,
    pub revisions: Reflector<ControllerRevision>,
    pub revision_index: OwnedIndex<ControllerRevision>,
    pub service_cidrs: Reflector<ServiceCIDR>,
    /// The addresses of Services.
    pub cluster_addresses: Reflector<IPAddress, ClusterAddress>,
}

/// Pods by what else leads to them.
#[derive(Clone)]
pub struct PodIndex {
    /// By the uid of whoever looks after them.
    pub by_controller: Index<PodFacts>,
    /// Those nobody looks after, by namespace.
    pub free: Index<PodFacts>,
    /// By namespace.
    pub by_namespace: Index<PodFacts>,
}

impl PodIndex {
    fn new(pods: &mut Reflector<Pod, PodFacts>) -> Self {
        Self {
            by_controller: pods.index(|pod| Some((pod.controller.as_ref()?.uid.clone(), pod.object_key()))),
            by_namespace: pods.index(|pod| Some((pod.namespace().to_owned(), pod.object_key()))),
            free: pods.index(|pod| pod.controller.is_none().then(|| (pod.namespace().to_owned(), pod.object_key()))),
        }
    }
}

/// Objects that others look after.
#[derive(Clone)]
pub struct OwnedIndex<K> {
    /// By the uid of whoever looks after them.
    pub by_controller: Index<K>,
    /// By namespace.
    pub by_namespace: Index<K>,
}

impl<K: Reflected> OwnedIndex<K> {
    fn new(copy: &mut Reflector<K>) -> Self {
        Self {
            by_controller: copy
                .index(|object| Some((controller_uid(object.meta())?.to_owned(), ObjectKey::of(object)))),
            by_namespace: copy.index(|object| {
                let key = ObjectKey::of(object);
                Some((key.namespace.clone(), key))
            }),
        }
    }
}

/// A node's heartbeat.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeLease {
    /// The node, which is also the Lease's name.
    pub node: String,
    /// When the kubelet says it was there.
    pub renewed_at: Option<Timestamp>,
}

impl Watches {
    /// Reflectors of what the controllers read; `root_ca` is compared with what namespaces publish.
    pub fn new(client: &Client, root_ca: &str) -> Self {
        let named = |name: &str| watcher::Config::default().fields(&format!("metadata.name={name}"));
        let root_ca = root_ca.to_owned();
        let published_ca = move |config_map: ConfigMap| PublishedCa {
            namespace: config_map.metadata.namespace.clone().unwrap_or_default(),
            altered: (!crate::root_ca::is_intact(&config_map, &root_ca)).then(|| Box::new(config_map)),
        };
        let mut pods = Reflector::projecting(Api::all(client.clone()), PodFacts::of);
        let mut replica_sets = Reflector::new(Api::all(client.clone()));
        let mut replication_controllers = Reflector::new(Api::all(client.clone()));
        let mut budgets = Reflector::new(Api::all(client.clone()));
        let mut jobs = Reflector::new(Api::all(client.clone()));
        let mut deployments = Reflector::new(Api::all(client.clone()));
        let mut services = Reflector::new(Api::all(client.clone()));
        let mut endpoint_slices = Reflector::new(Api::all(client.clone()));
        let mut daemon_sets = Reflector::new(Api::all(client.clone()));
        let mut stateful_sets = Reflector::new(Api::all(client.clone()));
        let mut revisions = Reflector::new(Api::all(client.clone()));
        Self {
            budget_index: OwnedIndex::new(&mut budgets),
            budgets,
            job_index: OwnedIndex::new(&mut jobs),
            jobs,
            cron_jobs: Reflector::new(Api::all(client.clone())),
            autoscalers: Reflector::new(Api::all(client.clone())),
            deployment_index: OwnedIndex::new(&mut deployments),
            deployments,
            service_index: OwnedIndex::new(&mut services),
            services,
            endpoints: Reflector::new(Api::all(client.clone())),
            slices_by_service: endpoint_slices
                .index(|slice| Some((endpoint_slice::service_of(slice)?.to_string(), ObjectKey::of(slice)))),
            mirrors_by_service: endpoint_slices
                .index(|slice| Some((endpoint_slice_mirroring::service_of(slice)?.to_string(), ObjectKey::of(slice)))),
            endpoint_slices,
            daemon_set_index: OwnedIndex::new(&mut daemon_sets),
            daemon_sets,
            stateful_set_index: OwnedIndex::new(&mut stateful_sets),
            stateful_sets,
            revision_index: OwnedIndex::new(&mut revisions),
            revisions,
            replication_controller_index: OwnedIndex::new(&mut replication_controllers),
            replication_controllers,
            pod_index: PodIndex::new(&mut pods),
            pods,
            replica_set_index: OwnedIndex::new(&mut replica_sets),
            replica_sets,
            namespaces: Reflector::new(Api::all(client.clone())),
            nodes: Reflector::projecting(Api::all(client.clone()), without_images),
            node_leases: Reflector::projecting(Api::namespaced(client.clone(), LEASE_NAMESPACE), |lease: Lease| {
                NodeLease {
                    node: lease.metadata.name.unwrap_or_default(),
                    renewed_at: lease.spec.and_then(|spec| spec.renew_time).map(|time| time.0),
                }
            }),
            accounts: Reflector::projecting(Api::all(client.clone()), Account::of),
            token_secrets: Reflector::projecting(Api::all(client.clone()), TokenSecret::of)
                .with_config(watcher::Config::default().fields(&service_account_tokens::selector())),
            bootstrap_tokens: Reflector::projecting(
                Api::namespaced(client.clone(), bootstrap_tokens::NAMESPACE),
                BootstrapToken::of,
            )
            .with_config(watcher::Config::default().fields(bootstrap_tokens::SELECTOR)),
            published_cas: Reflector::projecting(Api::all(client.clone()), published_ca)
                .with_config(named(CONFIG_MAP_NAME)),
            claims: Reflector::new(Api::all(client.clone())),
            volumes: Reflector::new(Api::all(client.clone())),
            classes: Reflector::new(Api::all(client.clone())),
            cluster_roles: Reflector::new(Api::all(client.clone())),
            quotas: Reflector::new(Api::all(client.clone())),
            signing_requests: Reflector::new(Api::all(client.clone())),
            service_cidrs: Reflector::new(Api::all(client.clone())),
            cluster_addresses: Reflector::projecting(Api::all(client.clone()), ClusterAddress::of)
                .with_config(watcher::Config::default().labels(MANAGED_BY_ALLOCATOR)),
        }
    }

    /// Watches until cancelled.
    pub async fn run(self, cancel: &CancellationToken) {
        let all = [
            watch(self.namespaces, cancel),
            watch(self.nodes, cancel),
            watch(self.pods, cancel),
            watch(self.node_leases, cancel),
            watch(self.accounts, cancel),
            watch(self.token_secrets, cancel),
            watch(self.bootstrap_tokens, cancel),
            watch(self.published_cas, cancel),
            watch(self.claims, cancel),
            watch(self.volumes, cancel),
            watch(self.classes, cancel),
            watch(self.cluster_roles, cancel),
            watch(self.replica_sets, cancel),
            watch(self.replication_controllers, cancel),
            watch(self.budgets, cancel),
            watch(self.jobs, cancel),
            watch(self.deployments, cancel),
            watch(self.services, cancel),
            watch(self.endpoints, cancel),
            watch(self.endpoint_slices, cancel),
            watch(self.daemon_sets, cancel),
            watch(self.stateful_sets, cancel),
            watch(self.revisions, cancel),
            watch(self.cron_jobs, cancel),
            watch(self.autoscalers, cancel),
            watch(self.quotas, cancel),
            watch(self.signing_requests, cancel),
            watch(self.service_cidrs, cancel),
            watch(self.cluster_addresses, cancel),
        ];
        join_all(all).await;
    }
}

impl Watches {
    /// Watches claims, volumes and classes alone until cancelled.
    pub async fn run_volumes(self, cancel: &CancellationToken) {
        join_all([watch(self.claims, cancel), watch(self.volumes, cancel), watch(self.classes, cancel)]).await;
    }
}

/// Each watch in a box of its own: side by side in one future they would not fit on a stack.
fn watch<O: Reflected, V: Send + Sync + 'static>(
    copy: Reflector<O, V>,
    cancel: &CancellationToken,
) -> BoxFuture<'static, ()> {
    copy.run(cancel.clone()).boxed()
}

/// Image lists are most of a Node's size, and nobody here reads them.
fn without_images(mut node: Node) -> Node {
    if let Some(status) = &mut node.status {
        status.images = None;
    }
    node
}
