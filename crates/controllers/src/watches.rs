//! The copies that the controllers share: one watch per resource, reduced to what is read.

use client::{Client, ObjectKey, Reflector};
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{
    ConfigMap, Namespace, Node, PersistentVolume, PersistentVolumeClaim, PersistentVolumeClaimTemplate, Pod,
    PodCondition, PodSpec, ServiceAccount, Toleration, Volume,
};
use k8s_openapi::api::rbac::v1::ClusterRole;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Api;
use kube::runtime::watcher;
use tokio_util::sync::CancellationToken;

use crate::root_ca::CONFIG_MAP_NAME;
use crate::service_account::ACCOUNT_NAME;

/// The namespace of the nodes' heartbeats.
const LEASE_NAMESPACE: &str = "kube-node-lease";

/// A Pod, as far as controllers of this crate care.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodFacts {
    /// Namespace and name.
    pub key: Option<ObjectKey>,
    /// Its uid.
    pub uid: String,
    /// Its node, or the empty string.
    pub node: String,
    /// Its phase, or the empty string.
    pub phase: String,
    /// Since when it is to be deleted.
    pub deleted_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// Whether its condition `Ready` says so.
    pub ready: bool,
    /// Taints it stands.
    pub tolerations: Vec<Toleration>,
    /// The claims its volumes name, those of its ephemeral volumes included.
    pub claims: Vec<String>,
    /// The claims that are made for it.
    pub ephemeral: Vec<EphemeralClaim>,
}

/// The claim of a Pod's ephemeral volume.
#[derive(Debug, Clone, PartialEq)]
pub struct EphemeralClaim {
    /// Its name.
    pub claim: String,
    /// What it is made from.
    pub template: Box<PersistentVolumeClaimTemplate>,
}

impl PodFacts {
    fn of(pod: Pod) -> Self {
        let key = ObjectKey::of(&pod);
        let spec = pod.spec.unwrap_or_default();
        let ephemeral = ephemeral_claims(&key.name, &spec);
        let named = spec.volumes.iter().flatten().filter_map(|volume| volume.persistent_volume_claim.as_ref());
        let named = named.map(|source| source.claim_name.clone());
        let claims = named.chain(ephemeral.iter().map(|ephemeral| ephemeral.claim.clone())).collect();
        let status = pod.status.unwrap_or_default();
        let is_ready = |condition: &PodCondition| condition.type_ == "Ready" && condition.status == "True";
        Self {
            key: Some(key),
            uid: pod.metadata.uid.unwrap_or_default(),
            node: spec.node_name.unwrap_or_default(),
            ready: status.conditions.iter().flatten().any(is_ready),
            phase: status.phase.unwrap_or_default(),
            deleted_at: pod.metadata.deletion_timestamp.map(|time| time.0),
            created_at: pod.metadata.creation_timestamp.map(|time| time.0),
            tolerations: spec.tolerations.unwrap_or_default(),
            claims,
            ephemeral,
        }
    }

    /// Namespace and name.
    pub fn object_key(&self) -> ObjectKey {
        self.key.clone().unwrap_or_else(|| ObjectKey::cluster(""))
    }

    /// Whether it succeeded or failed.
    pub fn is_terminated(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }
}

fn ephemeral_claims(pod: &str, spec: &PodSpec) -> Vec<EphemeralClaim> {
    let claim = |volume: &Volume| {
        let template = volume.ephemeral.as_ref()?.volume_claim_template.clone()?;
        Some(EphemeralClaim { claim: format!("{pod}-{}", volume.name), template: Box::new(template) })
    };
    spec.volumes.iter().flatten().filter_map(claim).collect()
}

/// A published CA bundle.
#[derive(Debug, Clone, PartialEq)]
pub struct PublishedCa {
    /// Where.
    pub namespace: String,
    /// Whether it says what it should.
    pub intact: bool,
}

/// All shared reflectors. Controllers subscribe and take listers before [`Watches::run`].
pub struct Watches {
    pub namespaces: Reflector<Namespace>,
    pub nodes: Reflector<Node>,
    pub pods: Reflector<Pod, PodFacts>,
    /// Leases of nodes: when each was renewed.
    pub node_leases: Reflector<Lease, NodeLease>,
    /// The ServiceAccounts named `default`: their keys.
    pub default_accounts: Reflector<ServiceAccount, ObjectKey>,
    pub published_cas: Reflector<ConfigMap, PublishedCa>,
    pub claims: Reflector<PersistentVolumeClaim>,
    pub volumes: Reflector<PersistentVolume>,
    pub classes: Reflector<StorageClass>,
    pub cluster_roles: Reflector<ClusterRole>,
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
            intact: crate::root_ca::is_intact(&config_map, &root_ca),
        };
        Self {
            namespaces: Reflector::new(Api::all(client.clone())),
            nodes: Reflector::projecting(Api::all(client.clone()), without_images),
            pods: Reflector::projecting(Api::all(client.clone()), PodFacts::of),
            node_leases: Reflector::projecting(Api::namespaced(client.clone(), LEASE_NAMESPACE), |lease: Lease| {
                NodeLease {
                    node: lease.metadata.name.unwrap_or_default(),
                    renewed_at: lease.spec.and_then(|spec| spec.renew_time).map(|time| time.0),
                }
            }),
            default_accounts: Reflector::projecting(Api::all(client.clone()), |account: ServiceAccount| {
                ObjectKey::of(&account)
            })
            .with_config(named(ACCOUNT_NAME)),
            published_cas: Reflector::projecting(Api::all(client.clone()), published_ca)
                .with_config(named(CONFIG_MAP_NAME)),
            claims: Reflector::new(Api::all(client.clone())),
            volumes: Reflector::new(Api::all(client.clone())),
            classes: Reflector::new(Api::all(client.clone())),
            cluster_roles: Reflector::new(Api::all(client.clone())),
        }
    }

    /// Watches until cancelled.
    pub async fn run(self, cancel: &CancellationToken) {
        tokio::join!(
            self.namespaces.run(cancel.clone()),
            self.nodes.run(cancel.clone()),
            self.pods.run(cancel.clone()),
            self.node_leases.run(cancel.clone()),
            self.default_accounts.run(cancel.clone()),
            self.published_cas.run(cancel.clone()),
            self.claims.run(cancel.clone()),
            self.volumes.run(cancel.clone()),
            self.classes.run(cancel.clone()),
            self.cluster_roles.run(cancel.clone()),
        );
    }
}

/// Image lists are most of a Node's size, and nobody here reads them.
fn without_images(mut node: Node) -> Node {
    if let Some(status) = &mut node.status {
        status.images = None;
    }
    node
}
