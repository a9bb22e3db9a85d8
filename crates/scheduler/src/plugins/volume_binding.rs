//! Nodes must reach the volumes of the Pod's claims, or be able to get them. What is chosen is written before the Pod is
//! bound; see [`crate::volume_binding`].

use crate::cluster_event::ClusterEvent;
use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, PreFilter, Rejection, Scope};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;
use crate::volume_binding::{VolumeNeeds, VolumeObjects};

/// See the module.
#[derive(Clone)]
pub struct VolumeBinding {
    /// What is known of volumes.
    pub objects: VolumeObjects,
}

impl Filter for VolumeBinding {
    fn name(&self) -> PluginName {
        PluginName::VolumeBinding
    }

    fn sees_pods(&self) -> bool {
        false
    }

    fn scope(&self) -> Scope {
        Scope::Cluster
    }

    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, _: &Snapshot) -> Result<PreFilter, Rejection> {
        if pod.facts.claims.is_empty() {
            return Ok(PreFilter::Skip);
        }
        let needs = VolumeNeeds::of(pod, &self.objects);
        state.volume_binding = needs.map_err(|reason| Rejection::incurable(self.name(), reason))?;
        Ok(PreFilter::Nodes)
    }

    fn filter(&self, state: &CycleState, _: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        state.volume_binding.plan(&node.facts).map(drop)
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        let of_interest = matches!(event, ClusterEvent::StorageChanged | ClusterEvent::NodeChanged { .. });
        of_interest && !pod.facts.claims.is_empty()
    }
}
