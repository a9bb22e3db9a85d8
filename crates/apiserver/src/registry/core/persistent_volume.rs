//! PersistentVolumes.

use api::Gvk;
use api::core::v1::persistent_volume::PHASE_PENDING;
use api::k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeStatus};
use api::k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::registry::strategy::{Part, Preparation, Strategy};
use crate::registry::{ALL_VERBS, Action, Backing, PART_VERBS, Resource, ResourceInfo, Stored, SubresourceInfo};

const GVK: Gvk = Gvk { group: "", version: "v1", kind: "PersistentVolume" };

/// The row.
pub static PERSISTENT_VOLUMES: Resource = Resource {
    info: ResourceInfo {
        gvk: GVK,
        plural: "persistentvolumes",
        singular: "persistentvolume",
        short_names: &["pv"],
        categories: &[],
        namespaced: false,
        verbs: ALL_VERBS,
        subresources: &[SubresourceInfo { name: "status", gvk: GVK, verbs: PART_VERBS }],
    },
    backing: Backing::Stored(Stored { path: "persistentvolumes", strategy: &Rules, selectable: &[] }),
    actions: &[("status", Action::Part(Part::Status))],
};

/// The rules of PersistentVolumes.
#[derive(Debug)]
pub struct Rules;

impl Strategy for Rules {
    type Kind = PersistentVolume;

    fn prepare_for_create(&self, volume: &mut PersistentVolume, preparation: &mut Preparation) {
        volume.status = Some(PersistentVolumeStatus {
            phase: Some(PHASE_PENDING.to_owned()),
            last_phase_transition_time: Some(Time(preparation.now)),
            ..PersistentVolumeStatus::default()
        });
        let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
        if policy == Some("Recycle") {
            let warning = "spec.persistentVolumeReclaimPolicy: The Recycle reclaim policy is deprecated. Instead, the \
                           recommended approach is to use dynamic provisioning.";
            preparation.warnings.push(warning.to_owned());
        }
    }

    fn prepare_for_update(&self, part: Part, new: &mut PersistentVolume, old: &PersistentVolume) {
        match part {
            Part::Whole => new.status.clone_from(&old.status),
            _ => new.spec.clone_from(&old.spec),
        }
    }

    fn returns_deleted(&self) -> bool {
        true
    }
}
