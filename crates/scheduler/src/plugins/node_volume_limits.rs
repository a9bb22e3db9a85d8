//! A node attaches so many volumes of a driver and no more, as its CSINode says.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use client::{Lister, ObjectKey};
use k8s_openapi::api::storage::v1::CSINode;

use crate::cluster_event::ClusterEvent;
use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, PreFilter, Rejection, Scope};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;
use crate::volume_binding::VolumeObjects;

/// See the module.
#[derive(Clone)]
pub struct NodeVolumeLimits {
    /// What is known of volumes.
    pub objects: VolumeObjects,
    /// The limits.
    pub csi_nodes: Lister<CSINode>,
}

/// A volume by its driver and what the driver calls it, or by its claim while it is to be made.
type Attached = (String, String);

/// The volumes that the Pod would attach.
#[derive(Debug, Clone, Default)]
pub struct NewVolumes(BTreeSet<Attached>);

impl NodeVolumeLimits {
    fn volumes_of(&self, pod: &PodInfo) -> BTreeSet<Attached> {
        let names = pod.facts.claims.iter().map(|name| &name.claim);
        names.filter_map(|name| self.volume_of(&ObjectKey::new(pod.key.namespace.as_str(), name.as_str()))).collect()
    }

    fn volume_of(&self, claim: &ObjectKey) -> Option<Attached> {
        let spec = self.objects.claims.get(claim)?.spec.clone()?;
        let volume = spec.volume_name.filter(|name| !name.is_empty()).map(ObjectKey::cluster);
        if let Some(volume) = volume.and_then(|key| self.objects.volumes.get(&key)) {
            let csi = volume.spec.as_ref()?.csi.as_ref()?;
            return Some((csi.driver.clone(), csi.volume_handle.clone()));
        }
        let class = self.objects.classes.get(&ObjectKey::cluster(spec.storage_class_name?))?;
        Some((class.provisioner.clone(), format!("{claim}")))
    }
}

impl Filter for NodeVolumeLimits {
    fn name(&self) -> PluginName {
        PluginName::NodeVolumeLimits
    }

    fn scope(&self) -> Scope {
        Scope::Cluster
    }

    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> Result<PreFilter, Rejection> {
        state.node_volume_limits = NewVolumes(self.volumes_of(pod));
        Ok(if state.node_volume_limits.0.is_empty() { PreFilter::Skip } else { PreFilter::Nodes })
    }

    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let Some(csi_node) = self.csi_nodes.get(&ObjectKey::cluster(&*node.facts.name)) else { return Ok(()) };
        let limit = |driver: &str| {
            let driver = csi_node.spec.drivers.iter().find(|one| one.name == driver)?;
            usize::try_from(driver.allocatable.as_ref()?.count?).ok()
        };
        let wanted = &state.node_volume_limits.0;
        let drivers: BTreeSet<&str> = wanted.iter().map(|(driver, _)| driver.as_str()).collect();
        let limits: Vec<(&str, usize)> =
            drivers.into_iter().filter_map(|driver| Some((driver, limit(driver)?))).collect();
        if limits.is_empty() {
            return Ok(());
        }
        let attached: BTreeSet<Attached> = node.usage.pods.iter().flat_map(|pod| self.volumes_of(pod)).collect();
        let exceeds = |(driver, limit): &(&str, usize)| {
            let new = wanted.iter().any(|volume| volume.0 == *driver && !attached.contains(volume));
            new && attached.union(wanted).filter(|volume| volume.0 == *driver).count() > *limit
        };
        if limits.iter().any(exceeds) {
            return Err(Rejection::curable(self.name(), "node(s) exceed max volume count"));
        }
        Ok(())
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        match event {
            ClusterEvent::StorageChanged | ClusterEvent::NodeChanged { old: None, .. } => !pod.facts.claims.is_empty(),
            ClusterEvent::PodDeleted { pod: gone, .. } => !gone.facts.claims.is_empty(),
            _ => false,
        }
    }
}
