//! Whether whoever makes volumes has room for one where a node is.

use std::sync::Arc;

use api::labels::Selector;
use api::quantity::Quantity;
use client::ObjectKey;
use k8s_openapi::api::core::v1::{Node, PersistentVolumeClaim};
use k8s_openapi::api::storage::v1::{CSIStorageCapacity, StorageClass};

use super::VolumeObjects;

/// What a driver says of its room for volumes of one class.
#[derive(Debug, Clone)]
pub enum Room {
    /// It does not say, so a volume is made when it is asked for.
    Unknown,
    /// So much in these places, and none elsewhere.
    Known(Vec<Arc<CSIStorageCapacity>>),
}

impl Room {
    /// What the class's driver says.
    pub fn of(class: &StorageClass, objects: &VolumeObjects) -> Self {
        let driver = objects.drivers.get(&ObjectKey::cluster(class.provisioner.as_str()));
        if driver.and_then(|driver| driver.spec.storage_capacity) != Some(true) {
            return Self::Unknown;
        }
        let name = class.metadata.name.as_deref().unwrap_or_default();
        Self::Known(objects.capacities.matching(|capacity| capacity.storage_class_name == name))
    }

    /// Whether there is room for a claim where the node is.
    pub fn fits(&self, claim: &PersistentVolumeClaim, node: &Node) -> bool {
        let Self::Known(capacities) = self else { return true };
        let requests = claim.spec.as_ref().and_then(|spec| spec.resources.as_ref()?.requests.as_ref());
        let Some(size) = requests.and_then(|requests| requests.get("storage")).map(Quantity::of) else { return true };
        capacities.iter().any(|capacity| suffices(capacity, size) && is_reached(capacity, node))
    }
}

/// The size of the largest volume counts, if the driver says it, for room can be in pieces.
fn suffices(capacity: &CSIStorageCapacity, size: Quantity) -> bool {
    let limit = capacity.maximum_volume_size.as_ref().or(capacity.capacity.as_ref());
    limit.is_some_and(|limit| Quantity::of(limit) >= size)
}

/// Room without a topology is reached from nowhere.
fn is_reached(capacity: &CSIStorageCapacity, node: &Node) -> bool {
    let Some(topology) = &capacity.node_topology else { return false };
    let selector = Selector::from_label_selector(Some(topology));
    selector.is_ok_and(|selector| selector.matches(node.metadata.labels.as_ref()))
}
