//! What the scheduler knows of a node, and what is used of it.

use std::collections::HashMap;
use std::sync::Arc;

use api::labels::Labels;
use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{Node, Taint};

use crate::pod_info::{HostPort, NodeName, PodInfo};
use crate::resources::Resources;

/// What decides which Pods a node takes. Heartbeats do not change it, so they wake nobody.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NodeFacts {
    /// Its name.
    pub name: NodeName,
    /// Its labels.
    pub labels: Labels,
    /// Its taints.
    pub taints: Vec<Taint>,
    /// `kubectl cordon`.
    pub unschedulable: bool,
    /// What Pods may use in all.
    pub allocatable: Resources,
    /// How many Pods it takes.
    pub allowed_pods: i64,
    /// The images it has, by each of their names, with their sizes in bytes.
    pub images: HashMap<String, i64>,
}

impl NodeFacts {
    /// What matters of a node.
    pub fn of(node: Node) -> Self {
        let spec = node.spec.unwrap_or_default();
        let status = node.status.unwrap_or_default();
        let allocatable = status.allocatable.unwrap_or_default();
        let images = status.images.into_iter().flatten();
        let names = images.flat_map(|image| {
            let size = image.size_bytes.unwrap_or_default();
            image.names.unwrap_or_default().into_iter().map(move |name| (name, size))
        });
        Self {
            images: names.collect(),
            name: Arc::from(node.metadata.name.unwrap_or_default()),
            labels: node.metadata.labels.unwrap_or_default(),
            taints: spec.taints.unwrap_or_default(),
            unschedulable: spec.unschedulable.unwrap_or_default(),
            allowed_pods: allocatable.get("pods").map_or(0, |pods| Quantity::of(pods).value()),
            allocatable: Resources::of(&allocatable),
        }
    }
}

/// What Pods use of a node.
#[derive(Debug, Clone, Default)]
pub struct Usage {
    /// Summed requests.
    pub requested: Resources,
    /// The same with a minimum for containers that state none.
    pub assumed: Resources,
    /// The Pods, assumed ones included, in no order.
    pub pods: Vec<Arc<PodInfo>>,
    /// Those of them with affinity to Pods.
    pub with_affinity: Vec<Arc<PodInfo>>,
    /// Waiting Pods have room made for them here, as the snapshot knows.
    pub awaited: bool,
}

impl Usage {
    /// Counts a Pod.
    pub fn add(&mut self, pod: Arc<PodInfo>) {
        self.requested.add(&pod.facts.requests.exact);
        self.assumed.add(&pod.facts.requests.assumed);
        if !pod.facts.pod_affinity.is_empty() {
            self.with_affinity.push(Arc::clone(&pod));
        }
        self.pods.push(pod);
    }

    /// Counts a Pod no more.
    pub fn remove(&mut self, uid: &str) {
        if let Some(position) = self.pods.iter().position(|pod| *pod.uid == *uid) {
            let pod = self.pods.swap_remove(position);
            self.requested.subtract(&pod.facts.requests.exact);
            self.assumed.subtract(&pod.facts.requests.assumed);
            if !pod.facts.pod_affinity.is_empty() {
                self.with_affinity.retain(|other| other.uid != pod.uid);
            }
        }
    }

    /// Whether a Pod holds a port that conflicts with this one.
    pub fn holds_port(&self, port: &HostPort) -> bool {
        self.pods.iter().flat_map(|pod| &pod.facts.host_ports).any(|held| held.conflicts_with(port))
    }
}

/// A node as the plugins see it.
#[derive(Debug, Clone)]
pub struct NodeInfo {
    /// The node.
    pub facts: Arc<NodeFacts>,
    /// What is used of it.
    pub usage: Usage,
}
