//! PersistentVolumeClaims.

use api::Gvk;
use api::core::v1::persistent_volume_claim::{PHASE_PENDING, align_data_sources};
use api::k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimStatus};

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const GVK: Gvk = Gvk { group: "", version: "v1", kind: "PersistentVolumeClaim" };

/// The row.
pub static PERSISTENT_VOLUME_CLAIMS: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "persistentvolumeclaims",
        singular: "persistentvolumeclaim",
        short_names: &["pvc"],
        categories: &[],
        namespaced: true,
        verbs: ALL_VERBS,
        subresources: &[SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS }],
    },
    backing: Backing::Stored(Stored { path: "persistentvolumeclaims", strategy: &Rules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of PersistentVolumeClaims.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = PersistentVolumeClaim;

    fn prepare_for_create(&self, claim: &mut PersistentVolumeClaim, _preparation: &mut Preparation) {
        let phase = Some(PHASE_PENDING.to_owned());
        claim.status = Some(PersistentVolumeClaimStatus { phase, ..PersistentVolumeClaimStatus::default() });
        claim.spec.iter_mut().for_each(align_data_sources);
    }

    fn prepare_for_update(&self, part: Part, new: &mut PersistentVolumeClaim, old: &PersistentVolumeClaim) {
        match part {
            Part::Whole => {
                new.status.clone_from(&old.status);
                new.spec.iter_mut().for_each(align_data_sources);
            }
            _ => new.spec.clone_from(&old.spec),
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
