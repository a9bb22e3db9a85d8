//! The claims of a Pod: which nodes can have their volumes, and what must be written before the Pod can go there.
//!
//! Claims of classes that wait for their first consumer get their volume here: a free one that the node reaches is
//! reserved, or the claim is marked with the node for whoever makes volumes. The Pod is bound once all its claims are.

mod capacity;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use api::core::v1::persistent_volume::matching::{Search, find, reaches};
use api::core::v1::persistent_volume_claim::class_of;
use api::storage::v1::storage_class::{NO_PROVISIONER, WAIT_FOR_FIRST_CONSUMER};
use client::{Lister, ObjectKey};
use k8s_openapi::api::core::v1::{Node, PersistentVolume, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{CSIDriver, CSIStorageCapacity, StorageClass};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::framework::{PluginName, Rejection};
use crate::node_info::NodeFacts;
use crate::pod_info::{ClaimName, PodInfo};

use capacity::Room;

/// The annotation with the node a claim's volume is made for.
pub const SELECTED_NODE: &str = "volume.kubernetes.io/selected-node";

/// What is known of volumes.
#[derive(Clone)]
pub struct VolumeObjects {
    pub claims: Lister<PersistentVolumeClaim>,
    pub volumes: Lister<PersistentVolume>,
    pub classes: Lister<StorageClass>,
    /// Who makes volumes.
    pub drivers: Lister<CSIDriver>,
    /// And where they have room for how much.
    pub capacities: Lister<CSIStorageCapacity>,
}

/// None at all.
impl Default for VolumeObjects {
    fn default() -> Self {
        Self {
            claims: Lister::of_objects([]),
            volumes: Lister::of_objects([]),
            classes: Lister::of_objects([]),
            drivers: Lister::of_objects([]),
            capacities: Lister::of_objects([]),
        }
    }
}

/// What a Pod's claims ask of a node.
#[derive(Debug, Clone, Default)]
pub struct VolumeNeeds {
    /// Volumes that are bound: the node must reach them.
    bound: Vec<Arc<PersistentVolume>>,
    /// Claims that are bound to volumes nobody knows.
    dangling: bool,
    /// Claims that get their volume with the Pod's node.
    unbound: Vec<Unbound>,
    /// Volumes they may get.
    candidates: Vec<Arc<PersistentVolume>>,
}

/// A claim that gets its volume with the Pod's node.
#[derive(Debug, Clone)]
struct Unbound {
    claim: Arc<PersistentVolumeClaim>,
    class: Arc<StorageClass>,
    /// For a new volume.
    room: Room,
}

/// What must be written for a claim before the Pod is bound.
#[derive(Debug, Clone)]
pub enum VolumeWrite {
    /// This volume is reserved for the claim.
    Reserve(Arc<PersistentVolume>, Arc<PersistentVolumeClaim>),
    /// A volume is to be made for the claim on the Pod's node.
    Provision(Arc<PersistentVolumeClaim>),
}

/// Whether a claim has its volume.
pub fn is_bound(claim: &PersistentVolumeClaim) -> bool {
    let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.as_deref()).unwrap_or_default();
    let phase = claim.status.as_ref().and_then(|status| status.phase.as_deref());
    !volume.is_empty() && phase == Some("Bound")
}

impl VolumeNeeds {
    /// What the Pod's claims ask for.
    ///
    /// # Errors
    /// Why no node will do as long as the claims are as they are, in upstream's words.
    pub fn of(pod: &PodInfo, objects: &VolumeObjects) -> Result<Self, String> {
        let mut needs = Self::default();
        for name in &pod.facts.claims {
            needs.add(pod, name, objects)?;
        }
        if !needs.unbound.is_empty() {
            needs.candidates = objects.volumes.all();
        }
        Ok(needs)
    }

    fn add(&mut self, pod: &PodInfo, name: &ClaimName, objects: &VolumeObjects) -> Result<(), String> {
        let key = ObjectKey::new(pod.key.namespace.as_str(), name.claim.as_str());
        let Some(claim) = objects.claims.get(&key) else {
            return Err(if name.ephemeral {
                format!("waiting for ephemeral volume controller to create the persistentvolumeclaim {:?}", name.claim)
            } else {
                format!("persistentvolumeclaim {:?} not found", name.claim)
            });
        };
        if claim.metadata.deletion_timestamp.is_some() {
            return Err(format!("persistentvolumeclaim {:?} is being deleted", name.claim));
        }
        let owners = claim.metadata.owner_references.iter().flatten();
        if name.ephemeral && !owners.into_iter().any(|owner| *owner.uid == *pod.uid) {
            return Err(format!("PVC {key} was not created for pod {} (pod is not the owner)", pod.key));
        }
        if is_bound(&claim) {
            let volume = claim.spec.as_ref().and_then(|spec| spec.volume_name.clone()).unwrap_or_default();
            match objects.volumes.get(&ObjectKey::cluster(volume)) {
                Some(volume) => self.bound.push(volume),
                None => self.dangling = true,
            }
            return Ok(());
        }
        let class = class_of(&claim).and_then(|class| objects.classes.get(&ObjectKey::cluster(class)));
        let waits = |class: &Arc<StorageClass>| class.volume_binding_mode.as_deref() == Some(WAIT_FOR_FIRST_CONSUMER);
        let chosen =
            claim.spec.as_ref().is_some_and(|spec| !spec.volume_name.as_deref().unwrap_or_default().is_empty());
        match class.filter(waits).filter(|_| !chosen) {
            Some(class) => self.unbound.push(Unbound { room: Room::of(&class, objects), claim, class }),
            None => return Err("pod has unbound immediate PersistentVolumeClaims".to_owned()),
        }
        Ok(())
    }

    /// What must be written for the Pod to have its volumes on a node.
    ///
    /// # Errors
    /// Why the node cannot have them.
    pub fn plan(&self, node: &NodeFacts) -> Result<Vec<VolumeWrite>, Rejection> {
        if self.dangling {
            return Err(rejection("node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)"));
        }
        let node = as_object(node);
        if !self.bound.iter().all(|volume| reaches(volume, &node)) {
            return Err(rejection("node(s) didn't match PersistentVolume's node affinity"));
        }
        let mut writes: Vec<VolumeWrite> = Vec::with_capacity(self.unbound.len());
        for Unbound { claim, class, room } in &self.unbound {
            let taken = |volume: &&Arc<PersistentVolume>| {
                !writes
                    .iter()
                    .any(|write| matches!(write, VolumeWrite::Reserve(other, _) if Arc::ptr_eq(other, volume)))
            };
            let free: Vec<&Arc<PersistentVolume>> = self.candidates.iter().filter(taken).collect();
            let found = find(claim, free.iter().map(|volume| &***volume), Search::On(&node));
            let found = found.and_then(|found| free.iter().find(|volume| std::ptr::eq(&****volume, found)));
            if let Some(volume) = found {
                writes.push(VolumeWrite::Reserve(Arc::clone(volume), Arc::clone(claim)));
            } else if !can_provision(class, &node) {
                return Err(rejection("node(s) didn't find available persistent volumes to bind"));
            } else if !room.fits(claim, &node) {
                return Err(rejection("node(s) did not have enough free storage"));
            } else {
                writes.push(VolumeWrite::Provision(Arc::clone(claim)));
            }
        }
        Ok(writes)
    }
}

fn rejection(reason: &'static str) -> Rejection {
    Rejection::incurable(PluginName::VolumeBinding, reason)
}

/// Whether somebody makes volumes of the class for the node.
fn can_provision(class: &StorageClass, node: &Node) -> bool {
    if class.provisioner.is_empty() || class.provisioner == NO_PROVISIONER {
        return false;
    }
    let Some(terms) = class.allowed_topologies.as_deref().filter(|terms| !terms.is_empty()) else { return true };
    let labels = node.metadata.labels.as_ref();
    terms.iter().any(|term| {
        term.match_label_expressions.iter().flatten().all(|expression| {
            labels.and_then(|labels| labels.get(&expression.key)).is_some_and(|value| expression.values.contains(value))
        })
    })
}

/// The node as selectors look at it.
fn as_object(node: &NodeFacts) -> Node {
    let metadata =
        ObjectMeta { name: Some(node.name.to_string()), labels: Some(node.labels.clone()), ..ObjectMeta::default() };
    Node { metadata, ..Node::default() }
}
