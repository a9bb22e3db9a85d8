//! Pods to which the same Pods matter.

use api::labels::Labels;

use super::InterPodAffinity;
use crate::pod_info::{PodAffinity, PodInfo};

/// All that a sum depends on, the cluster aside.
#[derive(Debug)]
pub struct Alike {
    namespace: String,
    labels: Labels,
    affinity: PodAffinity,
    /// What the profile says, where it matters.
    plugin: Option<InterPodAffinity>,
}

impl Alike {
    pub(super) fn of(pod: &PodInfo, plugin: Option<&InterPodAffinity>) -> Self {
        Self {
            namespace: pod.key.namespace.clone(),
            labels: pod.facts.labels.clone(),
            affinity: pod.facts.pod_affinity.clone(),
            plugin: plugin.cloned(),
        }
    }

    pub(super) fn is(&self, pod: &PodInfo, plugin: Option<&InterPodAffinity>) -> bool {
        self.namespace == pod.key.namespace
            && self.labels == pod.facts.labels
            && self.affinity == pod.facts.pod_affinity
            && self.plugin.as_ref() == plugin
    }
}
