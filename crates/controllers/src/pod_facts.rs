//! A Pod, as far as controllers of this crate care.

use std::collections::BTreeMap;

use client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{
    ContainerPort, ContainerStatus, PersistentVolumeClaimTemplate, Pod, PodCondition, PodSpec, PodStatus, Toleration,
    Volume,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use crate::ownership;

/// How dear a Pod is to its ReplicaSet: the cheapest goes first.
const DELETION_COST: &str = "controller.kubernetes.io/pod-deletion-cost";

/// The facts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodFacts {
    /// Namespace and name.
    pub key: Option<ObjectKey>,
    /// Its uid.
    pub uid: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, without those that only kubectl reads.
    pub annotations: BTreeMap<String, String>,
    /// What holds it when it is deleted.
    pub finalizers: Vec<String>,
    /// Who looks after it.
    pub controller: Option<OwnerReference>,
    /// Its node, or the empty string.
    pub node: String,
    /// How often its spec changed.
    pub generation: i64,
    /// The only node its affinity names, or the empty string: DaemonSets pin their Pods this way.
    pub pinned: String,
    /// Its phase, or the empty string.
    pub phase: String,
    /// Since when it is to be deleted.
    pub deleted_at: Option<Timestamp>,
    /// When it was created.
    pub created_at: Option<Timestamp>,
    /// Whether its condition `Ready` says so.
    pub ready: bool,
    /// Since when that condition says what it says.
    pub ready_since: Option<Timestamp>,
    /// Types, states and reasons of its conditions.
    pub conditions: Vec<Condition>,
    /// What became of its containers, init containers included.
    pub containers: Vec<ContainerFacts>,
    /// Taints it stands.
    pub tolerations: Vec<Toleration>,
    /// The claims its volumes name, those of its ephemeral volumes included.
    pub claims: Vec<String>,
    /// The claims that are made for it.
    pub ephemeral: Vec<EphemeralClaim>,
    /// Where others reach it.
    pub network: Network,
}

/// A condition, as far as anybody asks.
#[derive(Debug, Clone, PartialEq)]
pub struct Condition {
    /// Its type.
    pub kind: String,
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Since when.
    pub since: Option<Timestamp>,
}

/// A container's story so far.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ContainerFacts {
    /// Its name.
    pub name: String,
    /// Whether it belongs to the start of the Pod.
    pub is_init: bool,
    /// Whether it is an init container that stays.
    pub is_sidecar: bool,
    /// How often it was started again.
    pub restarts: i32,
    /// Its exit code, once it ended.
    pub exit_code: Option<i32>,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// A Pod's addresses and what listens there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Network {
    /// Its addresses, the primary one first.
    pub addresses: Vec<String>,
    /// Its host name, where the spec names one.
    pub hostname: String,
    /// The Service that gives it a name, where the spec names one.
    pub subdomain: String,
    /// The ports of its containers that stay, sidecars last.
    pub ports: Vec<ContainerPort>,
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
    /// What is kept of a Pod.
    pub fn of(pod: Pod) -> Self {
        let key = ObjectKey::of(&pod);
        let (spec, status) = (pod.spec.unwrap_or_default(), pod.status.unwrap_or_default());
        let ephemeral = ephemeral_claims(&key.name, &spec);
        let named = spec.volumes.iter().flatten().filter_map(|volume| volume.persistent_volume_claim.as_ref());
        let named = named.map(|source| source.claim_name.clone());
        let claims = named.chain(ephemeral.iter().map(|ephemeral| ephemeral.claim.clone())).collect();
        let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready");
        let metadata: ObjectMeta = pod.metadata;
        let mut annotations = metadata.annotations.unwrap_or_default();
        annotations.retain(|name, _| !name.starts_with("kubectl.kubernetes.io/last-applied"));
        Self {
            key: Some(key),
            controller: ownership::controller_of(metadata.owner_references.as_deref()).cloned(),
            uid: metadata.uid.unwrap_or_default(),
            generation: metadata.generation.unwrap_or_default(),
            labels: metadata.labels.unwrap_or_default(),
            annotations,
            finalizers: metadata.finalizers.unwrap_or_default(),
            ready: ready.is_some_and(|condition| condition.status == "True"),
            ready_since: ready.and_then(|condition| condition.last_transition_time.as_ref()).map(|time| time.0),
            conditions: status.conditions.iter().flatten().map(Condition::of).collect(),
            containers: containers(&spec, &status),
            network: network(&spec, &status),
            pinned: pinned(&spec).unwrap_or_default(),
            node: spec.node_name.unwrap_or_default(),
            phase: status.phase.unwrap_or_default(),
            deleted_at: metadata.deletion_timestamp.map(|time| time.0),
            created_at: metadata.creation_timestamp.map(|time| time.0),
            tolerations: spec.tolerations.unwrap_or_default(),
            claims,
            ephemeral,
        }
    }

    /// Namespace and name.
    pub fn object_key(&self) -> ObjectKey {
        self.key.clone().unwrap_or_else(|| ObjectKey::cluster(""))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.key.as_ref().map_or("", |key| &key.name)
    }

    /// Its namespace.
    pub fn namespace(&self) -> &str {
        self.key.as_ref().map_or("", |key| &key.namespace)
    }

    /// The node it runs on or is meant for.
    pub fn target(&self) -> &str {
        if self.node.is_empty() { &self.pinned } else { &self.node }
    }

    /// Whether it succeeded or failed.
    pub fn is_terminated(&self) -> bool {
        matches!(self.phase.as_str(), "Succeeded" | "Failed")
    }

    /// Whether it runs or may still run.
    pub fn is_active(&self) -> bool {
        !self.is_terminated() && self.deleted_at.is_none()
    }

    /// Whether it is on its way out but has not ended.
    pub fn is_terminating(&self) -> bool {
        !self.is_terminated() && self.deleted_at.is_some()
    }

    /// Whether it has been ready for so long.
    pub fn is_available(&self, min_ready_seconds: i32, now: Timestamp) -> bool {
        self.ready && (min_ready_seconds == 0 || self.available_at(min_ready_seconds).is_some_and(|at| at <= now))
    }

    /// When it will have been ready for so long, if it stays ready.
    pub fn available_at(&self, min_ready_seconds: i32) -> Option<Timestamp> {
        let since = self.ready_since.filter(|_| self.ready)?;
        since.checked_add(jiff::SignedDuration::from_secs(i64::from(min_ready_seconds))).ok()
    }

    /// How dear it is to whoever has one too many.
    pub fn deletion_cost(&self) -> i32 {
        self.annotations.get(DELETION_COST).and_then(|cost| cost.parse().ok()).unwrap_or(0)
    }

    /// Restarts of the container that restarted most; of sidecars only when containers agree.
    pub fn most_restarts(&self) -> (i32, i32) {
        let most = |sidecar: bool| {
            let of_kind = self.containers.iter().filter(|container| container.is_sidecar == sidecar);
            of_kind.filter(|container| sidecar || !container.is_init).map(|container| container.restarts).max()
        };
        (most(false).unwrap_or(0), most(true).unwrap_or(0))
    }
}

impl Condition {
    fn of(condition: &PodCondition) -> Self {
        let since = condition.last_transition_time.as_ref().map(|time| time.0);
        Self { kind: condition.type_.clone(), status: condition.status.clone(), since }
    }
}

fn pinned(spec: &PodSpec) -> Option<String> {
    let affinity = spec.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required.node_selector_terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let named = fields.filter(|field| field.key == "metadata.name" && field.operator == "In");
    named.flat_map(|field| field.values.iter().flatten()).next().cloned()
}

fn ephemeral_claims(pod: &str, spec: &PodSpec) -> Vec<EphemeralClaim> {
    let claim = |volume: &Volume| {
        let template = volume.ephemeral.as_ref()?.volume_claim_template.clone()?;
        Some(EphemeralClaim { claim: format!("{pod}-{}", volume.name), template: Box::new(template) })
    };
    spec.volumes.iter().flatten().filter_map(claim).collect()
}

fn containers(spec: &PodSpec, status: &PodStatus) -> Vec<ContainerFacts> {
    let stays = |name: &str| {
        let init = spec.init_containers.iter().flatten().find(|container| container.name == name);
        init.is_some_and(|container| container.restart_policy.as_deref() == Some("Always"))
    };
    let facts = |status: &ContainerStatus, is_init: bool| {
        let ended = status.state.as_ref().and_then(|state| state.terminated.as_ref());
        ContainerFacts {
            name: status.name.clone(),
            is_init,
            is_sidecar: is_init && stays(&status.name),
            restarts: status.restart_count,
            exit_code: ended.map(|ended| ended.exit_code),
            finished_at: ended.and_then(|ended| ended.finished_at.as_ref()).map(|time| time.0),
        }
    };
    let init = status.init_container_statuses.iter().flatten().map(|status| facts(status, true));
    init.chain(status.container_statuses.iter().flatten().map(|status| facts(status, false))).collect()
}

fn network(spec: &PodSpec, status: &PodStatus) -> Network {
    let addresses: Vec<String> = status.pod_ips.iter().flatten().map(|ip| ip.ip.clone()).collect();
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    Network {
        addresses: if addresses.is_empty() { status.pod_ip.iter().cloned().collect() } else { addresses },
        hostname: spec.hostname.clone().unwrap_or_default(),
        subdomain: spec.subdomain.clone().unwrap_or_default(),
        ports: ports.cloned().collect(),
    }
}
