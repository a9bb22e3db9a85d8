//! Pods for which the same Pods count.

use api::labels::Labels;
use k8s_openapi::api::core::v1::Toleration;

use crate::pod_info::{NodeAffinity, PodInfo, SpreadConstraint};

/// All that a sum depends on, the cluster aside.
#[derive(Debug)]
pub struct Alike {
    namespace: String,
    labels: Labels,
    constraints: Vec<SpreadConstraint>,
    node_affinity: NodeAffinity,
    tolerations: Vec<Toleration>,
    all_labels: bool,
}

impl Alike {
    pub(super) fn of(pod: &PodInfo, constraints: &[SpreadConstraint], all_labels: bool) -> Self {
        Self {
            namespace: pod.key.namespace.clone(),
            labels: pod.facts.labels.clone(),
            constraints: constraints.to_vec(),
            node_affinity: pod.facts.node_affinity.clone(),
            tolerations: pod.facts.tolerations.clone(),
            all_labels,
        }
    }

    pub(super) fn is(&self, pod: &PodInfo, constraints: &[SpreadConstraint], all_labels: bool) -> bool {
        self.namespace == pod.key.namespace
            && self.labels == pod.facts.labels
            && self.constraints == constraints
            && self.node_affinity == pod.facts.node_affinity
            && self.tolerations == pod.facts.tolerations
            && self.all_labels == all_labels
    }
}
