//! What the scheduler knows of a Pod: small, with everything parsed once.

mod affinity;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use client::ObjectKey;
use k8s_openapi::api::core::v1::{ObjectReference, Pod, PodSpec, PodStatus, Toleration, Volume};
use kube::Resource;

use crate::requests::Requests;

pub use affinity::NodeAffinity;

/// The profile this scheduler serves.
pub const SCHEDULER_NAME: &str = "default-scheduler";

/// A Pod's uid.
pub type Uid = Arc<str>;
/// A node's name.
pub type NodeName = Arc<str>;

/// A Pod.
#[derive(Debug, Clone, PartialEq)]
pub struct PodInfo {
    /// Its uid.
    pub uid: Uid,
    /// Its namespace and name.
    pub key: ObjectKey,
    /// The version this was read from.
    pub resource_version: Option<String>,
    /// `metadata.generation`.
    pub generation: Option<i64>,
    /// Where it stands between creation and end.
    pub stage: Stage,
    /// Its `PodScheduled` condition as it stands in the API.
    pub scheduled_condition: Option<ScheduledCondition>,
    /// What decides where it can go.
    pub facts: PodFacts,
}

/// A Pod's way, as far as the scheduler is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Waits for us.
    Waiting,
    /// Waits for another scheduler, or is deleted before it got a node.
    NotOurs,
    /// Uses the resources of this node.
    Assigned(NodeName),
    /// Succeeded or failed: uses nothing any more.
    Ended,
}

/// What a Pod's `PodScheduled` condition says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScheduledCondition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// The reason, or the empty string.
    pub reason: String,
    /// The message, or the empty string.
    pub message: String,
}

/// What decides where a Pod can go. A waiting Pod whose facts changed is tried again.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PodFacts {
    /// Pods of higher priority go first.
    pub priority: i32,
    /// `preemptionPolicy: Never`.
    pub never_preempts: bool,
    /// Somebody holds it back with `schedulingGates`.
    pub gated: bool,
    /// What it asks for.
    pub requests: Requests,
    /// Ports of the node it needs.
    pub host_ports: Vec<HostPort>,
    /// Taints it stands.
    pub tolerations: Vec<Toleration>,
    /// Nodes it may and would like to run on.
    pub node_affinity: NodeAffinity,
    /// `spec.nodeName`.
    pub node_name: Option<NodeName>,
    /// The claims its volumes name.
    pub claims: Vec<ClaimName>,
}

/// A claim of a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimName {
    /// Its name.
    pub claim: String,
    /// It is made for the Pod and goes with it.
    pub ephemeral: bool,
}

/// A port of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    /// `0.0.0.0` stands for every address.
    pub address: String,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: String,
    /// The number.
    pub port: i32,
}

impl PodInfo {
    /// What matters of a Pod.
    pub fn of(pod: Pod) -> Self {
        let stage = stage_of(&pod);
        let key = ObjectKey::of(&pod);
        let pod_name = key.name.clone();
        let Pod { metadata, spec, status } = pod;
        let facts = spec.map(|spec| PodFacts::of(&pod_name, spec, status.as_ref())).unwrap_or_default();
        let condition = status.and_then(|status| status.conditions).into_iter().flatten();
        let scheduled = condition.into_iter().find(|condition| condition.type_ == "PodScheduled");
        Self {
            uid: Arc::from(metadata.uid.unwrap_or_default()),
            key,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            stage,
            scheduled_condition: scheduled.map(|condition| ScheduledCondition {
                status: condition.status,
                reason: condition.reason.unwrap_or_default(),
                message: condition.message.unwrap_or_default(),
            }),
            facts,
        }
    }

    /// A reference for Events and bindings.
    pub fn reference(&self) -> ObjectReference {
        ObjectReference {
            api_version: Some(Pod::api_version(&()).into_owned()),
            kind: Some(Pod::kind(&()).into_owned()),
            namespace: Some(self.key.namespace.clone()),
            name: Some(self.key.name.clone()),
            uid: Some(self.uid.to_string()),
            resource_version: self.resource_version.clone(),
            ..ObjectReference::default()
        }
    }
}

impl PodFacts {
    fn of(pod: &str, spec: PodSpec, status: Option<&PodStatus>) -> Self {
        Self {
            priority: spec.priority.unwrap_or_default(),
            never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
            gated: spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
            requests: Requests::of(&spec, status),
            host_ports: host_ports(&spec),
            node_affinity: NodeAffinity::of(&spec),
            claims: claims(pod, &spec),
            tolerations: spec.tolerations.unwrap_or_default(),
            node_name: spec.node_name.filter(|name| !name.is_empty()).map(Arc::from),
        }
    }
}

impl HostPort {
    /// Whether both can't be had on one node.
    pub fn conflicts_with(&self, other: &Self) -> bool {
        const ANY: &str = "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.address == other.address || self.address == ANY || other.address == ANY)
    }
}

fn stage_of(pod: &Pod) -> Stage {
    let spec = pod.spec.as_ref();
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    let node = spec.and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty());
    let scheduler = spec.and_then(|spec| spec.scheduler_name.as_deref()).unwrap_or(SCHEDULER_NAME);
    match node {
        _ if matches!(phase, Some("Succeeded" | "Failed")) => Stage::Ended,
        Some(node) => Stage::Assigned(Arc::from(node)),
        None if scheduler == SCHEDULER_NAME && pod.metadata.deletion_timestamp.is_none() => Stage::Waiting,
        None => Stage::NotOurs,
    }
}

fn claims(pod: &str, spec: &PodSpec) -> Vec<ClaimName> {
    let claim = |volume: &Volume| {
        if volume.ephemeral.is_some() {
            return Some(ClaimName { claim: format!("{pod}-{}", volume.name), ephemeral: true });
        }
        let source = volume.persistent_volume_claim.as_ref()?;
        Some(ClaimName { claim: source.claim_name.clone(), ephemeral: false })
    };
    spec.volumes.iter().flatten().filter_map(claim).collect()
}

/// Init containers that end free their ports before others start, so they do not count.
fn host_ports(spec: &PodSpec) -> Vec<HostPort> {
    let sidecars = spec.init_containers.iter().flatten();
    let sidecars = sidecars.filter(|container| container.restart_policy.as_deref() == Some("Always"));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let ports = ports.filter_map(|port| {
        let number = port.host_port.filter(|number| *number > 0)?;
        Some(HostPort {
            address: port.host_ip.clone().filter(|address| !address.is_empty()).unwrap_or_else(|| "0.0.0.0".into()),
            protocol: port.protocol.clone().unwrap_or_else(|| "TCP".into()),
            port: number,
        })
    });
    ports.collect()
}
