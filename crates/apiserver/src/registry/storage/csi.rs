//! What tells of storage drivers.

use api::Gvk;
use api::k8s_openapi::api::storage::v1::{
    CSIDriver, CSINode, CSIStorageCapacity, VolumeAttachment, VolumeAttachmentStatus,
};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const fn gvk(kind: &'static str) -> Gvk {
    Gvk { group: "storage.k8s.io", version: "v1", kind }
}

/// CSIDrivers.
pub static DRIVERS: Resource = Resource {
    info: ResourceInfo::plain(gvk("CSIDriver"), "csidrivers", "csidriver"),
    backing: Backing::Stored(Stored { path: "csidrivers", strategy: &DriverRules, selectable: &[] }),
    actions: &[],
};

/// CSINodes.
pub static NODES: Resource = Resource {
    info: ResourceInfo::plain(gvk("CSINode"), "csinodes", "csinode"),
    backing: Backing::Stored(Stored { path: "csinodes", strategy: &NodeRules, selectable: &[] }),
    actions: &[],
};

/// CSIStorageCapacities.
pub static CAPACITIES: Resource = Resource {
    info: ResourceInfo {
        namespaced: true,
        ..ResourceInfo::plain(gvk("CSIStorageCapacity"), "csistoragecapacities", "csistoragecapacity")
    },
    backing: Backing::Stored(Stored { path: "csistoragecapacities", strategy: &CapacityRules, selectable: &[] }),
    actions: &[],
};

/// VolumeAttachments.
pub static ATTACHMENTS: Resource = Resource {
    info: ResourceInfo {
        subresources: &[SubresourceInfo { name: "status", gvk: gvk("VolumeAttachment"), verbs: PART_VERBS }],
        ..ResourceInfo::plain(gvk("VolumeAttachment"), "volumeattachments", "volumeattachment")
    },
    backing: Backing::Stored(Stored { path: "volumeattachments", strategy: &AttachmentRules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of CSIDrivers.
#[derive(Debug)]
pub struct DriverRules;

impl Strategy for DriverRules {
    type Kind = CSIDriver;

    fn prepare_for_update(&self, _part: Part, new: &mut CSIDriver, old: &CSIDriver) {
        if new.spec != old.spec {
            new.metadata.generation = Some(old.metadata.generation.unwrap_or_default() + 1);
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// The rules of CSINodes.
#[derive(Debug)]
pub struct NodeRules;

impl Strategy for NodeRules {
    type Kind = CSINode;

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}

/// The rules of CSIStorageCapacities.
#[derive(Debug)]
pub struct CapacityRules;

impl Strategy for CapacityRules {
    type Kind = CSIStorageCapacity;

    fn allows_unconditional_update(&self) -> bool {
        false
    }
}

/// The rules of VolumeAttachments.
#[derive(Debug)]
pub struct AttachmentRules;

impl Strategy for AttachmentRules {
    type Kind = VolumeAttachment;

    fn prepare_for_create(&self, attachment: &mut VolumeAttachment, _preparation: &mut Preparation) {
        attachment.status = Some(VolumeAttachmentStatus::default());
    }

    fn prepare_for_update(&self, part: Part, new: &mut VolumeAttachment, old: &VolumeAttachment) {
        match part {
            Part::Whole => new.status.clone_from(&old.status),
            _ => new.spec.clone_from(&old.spec),
        }
    }

    fn allows_unconditional_update(&self) -> bool {
        false
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
