//! Some volumes serve one Pod at a time, or one node's Pods only in part.

#[cfg(test)]
mod tests;

use client::{Lister, ObjectKey};
use k8s_openapi::api::core::v1::PersistentVolumeClaim;

use crate::cluster_event::ClusterEvent;
use crate::cycle_state::CycleState;
use crate::framework::{Filter, PluginName, PreFilter, Rejection, Scope};
use crate::node_info::NodeInfo;
use crate::pod_info::PodInfo;
use crate::snapshot::Snapshot;

/// See the module.
#[derive(Clone)]
pub struct VolumeRestrictions {
    /// The claims with their access modes.
    pub claims: Lister<PersistentVolumeClaim>,
}

/// The Pod's claims that one Pod at a time may use, and how often others use them.
#[derive(Debug, Clone, Default)]
pub struct ExclusiveClaims {
    names: Vec<String>,
    uses: usize,
}

impl ExclusiveClaims {
    fn uses_by(&self, pod: &PodInfo, other: &PodInfo) -> usize {
        if self.names.is_empty() || other.uid == pod.uid || other.key.namespace != pod.key.namespace {
            return 0;
        }
        other.facts.claims.iter().filter(|name| self.names.contains(&name.claim)).count()
    }
}

impl VolumeRestrictions {
    fn is_exclusive(&self, namespace: &str, claim: &str) -> bool {
        let claim = self.claims.get(&ObjectKey::new(namespace, claim));
        let modes = claim.as_ref().and_then(|claim| claim.spec.as_ref()?.access_modes.as_deref());
        modes.unwrap_or_default().iter().any(|mode| mode == "ReadWriteOncePod")
    }
}

impl Filter for VolumeRestrictions {
    fn name(&self) -> PluginName {
        PluginName::VolumeRestrictions
    }

    fn scope(&self) -> Scope {
        Scope::Cluster
    }

    fn pre_filter(&self, state: &mut CycleState, pod: &PodInfo, snapshot: &Snapshot) -> Result<PreFilter, Rejection> {
        let names = pod.facts.claims.iter().map(|name| &name.claim);
        let names: Vec<String> = names.filter(|name| self.is_exclusive(&pod.key.namespace, name)).cloned().collect();
        let mut claims = ExclusiveClaims { names, uses: 0 };
        if !claims.names.is_empty() {
            let placed = snapshot.nodes().iter().flat_map(|node| &node.usage.pods);
            claims.uses = placed.map(|other| claims.uses_by(pod, other)).sum();
        }
        let judges = !claims.names.is_empty() || !pod.facts.inline_volumes.is_empty();
        state.volume_restrictions = claims;
        Ok(if judges { PreFilter::Nodes } else { PreFilter::Skip })
    }

    fn filter(&self, state: &CycleState, pod: &PodInfo, node: &NodeInfo) -> Result<(), Rejection> {
        let mut held = node.usage.pods.iter().flat_map(|other| &other.facts.inline_volumes);
        if held.any(|held| pod.facts.inline_volumes.iter().any(|wanted| wanted.conflicts_with(held))) {
            return Err(Rejection::curable(self.name(), "node(s) had no available disk"));
        }
        if state.volume_restrictions.uses > 0 {
            let reason = "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode";
            return Err(Rejection::curable(self.name(), reason));
        }
        Ok(())
    }

    fn add_pod(&self, state: &mut CycleState, pod: &PodInfo, added: &PodInfo, _: &NodeInfo) {
        state.volume_restrictions.uses += state.volume_restrictions.uses_by(pod, added);
    }

    fn remove_pod(&self, state: &mut CycleState, pod: &PodInfo, removed: &PodInfo, _: &NodeInfo) {
        let gone = state.volume_restrictions.uses_by(pod, removed);
        state.volume_restrictions.uses = state.volume_restrictions.uses.saturating_sub(gone);
    }

    fn hint(&self, pod: &PodInfo, event: &ClusterEvent<'_>, _: &Snapshot) -> bool {
        match event {
            ClusterEvent::StorageChanged => !pod.facts.claims.is_empty(),
            ClusterEvent::NodeChanged { old: None, .. } => !pod.facts.inline_volumes.is_empty(),
            ClusterEvent::PodDeleted { pod: gone, .. } => {
                let shares_claim = gone.key.namespace == pod.key.namespace
                    && gone.facts.claims.iter().any(|claim| pod.facts.claims.contains(claim));
                let mut held = gone.facts.inline_volumes.iter();
                shares_claim || held.any(|held| pod.facts.inline_volumes.iter().any(|one| one.conflicts_with(held)))
            }
            _ => false,
        }
    }
}
