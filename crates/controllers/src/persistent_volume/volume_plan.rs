//! What becomes of a volume. Pure.

use api::core::v1::persistent_volume::{RECLAIM_DELETE, RECLAIM_RETAIN};
use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim};

use super::claim_plan::{BOUND_BY_CONTROLLER, Note};
use super::volume_name;

/// Who made a volume on demand.
pub const PROVISIONED_BY: &str = "pv.kubernetes.io/provisioned-by";

/// What to do with a volume.
#[derive(Debug, PartialEq, Eq)]
pub enum VolumePlan {
    /// Nobody's: it can be had.
    Available,
    /// Its claim has yet to take it.
    WakeClaim,
    /// Its claim has it.
    Bound,
    /// Its claim took another one: it is to be had again.
    Unbind {
        /// It was reserved by name before: that reservation stays.
        reserved: bool,
    },
    /// Its claim is gone, and whoever made it takes it away, or nobody does.
    Released,
    /// Its claim is gone, and what its policy asks for cannot be done here.
    Failed(Note),
}

pub fn plan_volume(volume: &PersistentVolume, claim: Option<&PersistentVolumeClaim>) -> VolumePlan {
    let Some(reference) = volume.spec.as_ref().and_then(|spec| spec.claim_ref.as_ref()) else {
        return VolumePlan::Available;
    };
    let Some(uid) = reference.uid.as_deref().filter(|uid| !uid.is_empty()) else { return VolumePlan::Available };
    // A claim that was made anew under the same name is another one.
    let Some(claim) = claim.filter(|claim| claim.metadata.uid.as_deref() == Some(uid)) else { return released(volume) };
    match volume_name(claim) {
        "" => VolumePlan::WakeClaim,
        name if volume.metadata.name.as_deref() == Some(name) => VolumePlan::Bound,
        _ if is_made_on_demand(volume) && policy(volume) == RECLAIM_DELETE => VolumePlan::Released,
        _ => VolumePlan::Unbind { reserved: !has_annotation(volume, BOUND_BY_CONTROLLER) },
    }
}

fn released(volume: &PersistentVolume) -> VolumePlan {
    match policy(volume) {
        RECLAIM_RETAIN => VolumePlan::Released,
        RECLAIM_DELETE if is_made_on_demand(volume) => VolumePlan::Released,
        RECLAIM_DELETE => {
            let name = volume.metadata.name.as_deref().unwrap_or_default();
            let message =
                format!("error getting deleter volume plugin for volume {name:?}: no deletable volume plugin matched");
            VolumePlan::Failed(Note::warning("VolumeFailedDelete", message))
        }
        _ => VolumePlan::Failed(Note::warning("VolumeFailedRecycle", "No recycler plugin found for the volume!")),
    }
}

fn policy(volume: &PersistentVolume) -> &str {
    let policy = volume.spec.as_ref().and_then(|spec| spec.persistent_volume_reclaim_policy.as_deref());
    policy.unwrap_or(RECLAIM_RETAIN)
}

fn is_made_on_demand(volume: &PersistentVolume) -> bool {
    has_annotation(volume, PROVISIONED_BY)
}

fn has_annotation(volume: &PersistentVolume, name: &str) -> bool {
    volume.metadata.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(name))
}
