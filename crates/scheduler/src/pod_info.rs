//! What the scheduler knows of a Pod: small, with everything parsed once.

mod affinity;
mod pod_affinity;
mod spread;
#[cfg(test)]
mod tests;
mod volumes;

use std::sync::Arc;

use api::labels::Labels;
use client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container, ObjectReference, Pod, PodSpec, PodStatus, Toleration};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;

use crate::requests::Requests;

pub use affinity::NodeAffinity;
pub use pod_affinity::PodAffinity;
pub use spread::{SpreadConstraint, WhenUnsatisfiable};
pub use volumes::{ClaimName, InlineVolume};

/// The scheduler of Pods that name none.
pub const SCHEDULER_NAME: &str = "default-scheduler";
/// Why a Pod that is to make room for another one goes, as its `DisruptionTarget` condition says.
pub const PREEMPTED: &str = "PreemptionByScheduler";

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
    /// Who is to give it a node.
    pub scheduler_name: String,
    /// Its `PodScheduled` condition as it stands in the API.
    pub scheduled_condition: Option<ScheduledCondition>,
    /// `status.nominatedNodeName`: the node where room is made for it.
    pub nominated_node: Option<NodeName>,
    /// Since when it runs.
    pub started: Option<Timestamp>,
    /// It is being deleted.
    pub terminating: Option<Terminating>,
    /// What decides where it can go.
    pub facts: PodFacts,
}

/// A Pod's way, as far as the scheduler is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Waits for a node.
    Waiting,
    /// Deleted before it got a node.
    Gone,
    /// Uses the resources of this node.
    Assigned(NodeName),
    /// Succeeded or failed: uses nothing any more.
    Ended,
}

/// Why a Pod is being deleted, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminating {
    /// To make room for a Pod of higher priority.
    Preempted,
    /// For whatever other reason.
    Otherwise,
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
    /// Its labels.
    pub labels: Labels,
    /// Its first owner.
    pub owner: Option<OwnerReference>,
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
    /// Pods it must and would like to be near to or far from.
    pub pod_affinity: PodAffinity,
    /// How it is to be spread among Pods like it.
    pub spread: Vec<SpreadConstraint>,
    /// The images of its containers, with tags.
    pub images: Vec<String>,
    /// `spec.nodeName`.
    pub node_name: Option<NodeName>,
    /// The claims its volumes name.
    pub claims: Vec<ClaimName>,
    /// Disks it names itself that cannot be used at will.
    pub inline_volumes: Vec<InlineVolume>,
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
        let scheduler_name = spec.as_ref().and_then(|spec| spec.scheduler_name.clone());
        let mut facts = spec
            .map(|spec| PodFacts::of(&key.namespace, &metadata.labels, &pod_name, spec, status.as_ref()))
            .unwrap_or_default();
        facts.owner = metadata.owner_references.unwrap_or_default().into_iter().next();
        let status = status.unwrap_or_default();
        let terminating = metadata.deletion_timestamp.is_some().then(|| terminating(&status));
        let condition = status.conditions.into_iter().flatten();
        let scheduled = condition.into_iter().find(|condition| condition.type_ == "PodScheduled");
        Self {
            uid: Arc::from(metadata.uid.unwrap_or_default()),
            key,
            resource_version: metadata.resource_version,
            generation: metadata.generation,
            stage,
            scheduler_name: scheduler_name.unwrap_or_else(|| SCHEDULER_NAME.to_owned()),
            nominated_node: status.nominated_node_name.filter(|name| !name.is_empty()).map(Arc::from),
            started: status.start_time.map(|time| time.0),
            terminating,
            scheduled_condition: scheduled.map(|condition| ScheduledCondition {
                status: condition.status,
                reason: condition.reason.unwrap_or_default(),
                message: condition.message.unwrap_or_default(),
            }),
            facts,
        }
    }

    /// Whether it counts on a node as the other one does, its former self.
    pub fn counts_like(&self, other: &Self) -> bool {
        self.facts == other.facts && self.terminating == other.terminating
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
    fn of(namespace: &str, labels: &Option<Labels>, pod: &str, spec: PodSpec, status: Option<&PodStatus>) -> Self {
        let labels = labels.clone().unwrap_or_default();
        Self {
            pod_affinity: PodAffinity::of(namespace, &labels, spec.affinity.as_ref()),
            spread: spread::constraints(&labels, spec.topology_spread_constraints.as_deref().unwrap_or_default()),
            images: images(&spec),
            inline_volumes: volumes::inline(&spec),
            priority: spec.priority.unwrap_or_default(),
            never_preempts: spec.preemption_policy.as_deref() == Some("Never"),
            gated: spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty()),
            requests: Requests::of(&spec, status),
            host_ports: host_ports(&spec),
            node_affinity: NodeAffinity::of(&spec),
            claims: volumes::claims(pod, &spec),
            tolerations: spec.tolerations.unwrap_or_default(),
            node_name: spec.node_name.filter(|name| !name.is_empty()).map(Arc::from),
            labels,
            owner: None,
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
    match node {
        _ if matches!(phase, Some("Succeeded" | "Failed")) => Stage::Ended,
        Some(node) => Stage::Assigned(Arc::from(node)),
        None if pod.metadata.deletion_timestamp.is_none() => Stage::Waiting,
        None => Stage::Gone,
    }
}

fn terminating(status: &PodStatus) -> Terminating {
    let preempted = status.conditions.iter().flatten().any(|condition| {
        condition.type_ == "DisruptionTarget"
            && condition.status == "True"
            && condition.reason.as_deref() == Some(PREEMPTED)
    });
    if preempted { Terminating::Preempted } else { Terminating::Otherwise }
}

fn images(spec: &PodSpec) -> Vec<String> {
    let containers = spec.init_containers.iter().flatten().chain(&spec.containers);
    let image = |container: &Container| {
        let image = container.image.as_ref()?;
        // A colon before the last slash is that of a port.
        let tagged = image.rfind(':') > image.rfind('/');
        Some(if tagged { image.clone() } else { format!("{image}:latest") })
    };
    containers.filter_map(image).collect()
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
