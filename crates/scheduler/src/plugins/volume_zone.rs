//! Volumes that carry the label of a zone or region are for nodes there. (Newer volumes say so by node affinity.)

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use api::labels::Labels;
use client::ObjectKey;
use k8s_openapi::api::core::v1::PersistentVolume;

use crate::cluster_event::ClusterEvent;
use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, PreFilter, Rejection, Scope};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;
use crate::volume_binding::VolumeObjects;

/// Each label with its older name.
const LABELS: [(&str, &str); 2] = [
    ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone"),
    ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region"),
];
/// Between the zones of a volume that is in several.
const SEPARATOR: &str = "__";

/// See the module.
#[derive(Clone)]
pub struct VolumeZone {
    /// What is known of volumes.
    pub objects: VolumeObjects,
}

/// The values of labels that nodes must have.
#[derive(Debug, Clone, Default)]
pub struct ZonedVolumes(Vec<((&'static str, &'static str), BTreeSet<String>)>);

impl ZonedVolumes {
    fn add(&mut self, volume: &PersistentVolume) {
        let Some(labels) = &volume.metadata.labels else { return };
        for names in LABELS {
            if let Some(value) = value_of(labels, names) {
                self.0.push((names, value.split(SEPARATOR).map(|zone| zone.trim().to_owned()).collect()));
            }
        }
    }
}

fn value_of<'a>(labels: &'a Labels, (name, older): (&str, &str)) -> Option<&'a String> {
    labels.get(name).or_else(|| labels.get(older))
}

impl VolumeZone {
    fn volume_of(&self, namespace: &str, claim: &str) -> Option<std::sync::Arc<PersistentVolume>> {
        let claim = self.objects.claims.get(&ObjectKey::new(namespace, claim))?;
        let name = claim.spec.as_ref()?.volume_name.clone().filter(|name| !name.is_empty())?;
        self.objects.volumes.get(&ObjectKey::cluster(name))
    }
}

impl Filter for VolumeZone {
    fn name(&self) -> PluginName {
        PluginName::VolumeZone
    }

    fn sees_pods(&self) -> bool {
        false
    }

    fn scope(&self) -> Scope {
        Scope::Cluster
    }

    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> Result<PreFilter, Rejection> {
        let mut zones = ZonedVolumes::default();
        let names = pod.facts.claims.iter().map(|name| &name.claim);
        for volume in names.filter_map(|name| self.volume_of(&pod.key.namespace, name)) {
            zones.add(&volume);
        }
        let judges = !zones.0.is_empty();
        state.volume_zone = zones;
        Ok(if judges { PreFilter::Nodes } else { PreFilter::Skip })
    }

    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let labels = &node.facts.labels;
        // A cluster without zones has one.
        if LABELS.iter().all(|names| value_of(labels, *names).is_none()) {
            return Ok(());
        }
        let reached = |(names, zones): &((&str, &str), BTreeSet<String>)| {
            value_of(labels, *names).is_some_and(|value| zones.contains(value))
        };
        if state.volume_zone.0.iter().all(reached) {
            return Ok(());
        }
        Err(Rejection::incurable(self.name(), "node(s) had no available volume zone"))
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        let of_interest = matches!(event, ClusterEvent::StorageChanged | ClusterEvent::NodeChanged { .. });
        of_interest && !pod.facts.claims.is_empty()
    }
}
