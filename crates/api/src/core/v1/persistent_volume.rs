//! PersistentVolumes.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec, PersistentVolumeStatus};

use super::resource_list;
use crate::field::ErrorList;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

pub mod matching;
mod shown;
mod sources;
#[cfg(test)]
mod tests;
mod validation;
mod warnings;

pub(crate) use validation::{check_access_modes, check_class_name, check_volume_mode, validate_inline_volume};

/// What befalls a volume nobody says otherwise of when its claim goes.
pub const RECLAIM_RETAIN: &str = "Retain";
/// The volume goes with its claim.
pub const RECLAIM_DELETE: &str = "Delete";
/// The phase of a volume that nobody looked at yet.
pub const PHASE_PENDING: &str = "Pending";

impl Kind for PersistentVolume {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        default_spec(self.spec.get_or_insert_with(PersistentVolumeSpec::default));
        let status = self.status.get_or_insert_with(PersistentVolumeStatus::default);
        status.phase.get_or_insert_with(|| PHASE_PENDING.to_owned());
        omit_empty!(status => message, reason);
    }

    fn validate(&self) -> ErrorList {
        validation::validate_volume(self)
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validation::validate_volume(self);
        errors.extend(validation::validate_changes(self, old));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validation::validate_status_changes(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        warnings::warnings(self)
    }
}

fn default_spec(spec: &mut PersistentVolumeSpec) {
    omit_empty!(spec => access_modes, capacity, mount_options, storage_class_name);
    resource_list::canonicalize(spec.capacity.as_mut());
    spec.persistent_volume_reclaim_policy.get_or_insert_with(|| RECLAIM_RETAIN.to_owned());
    spec.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
    if let Some(host_path) = &mut spec.host_path {
        host_path.type_.get_or_insert_with(String::new);
    }
    if let Some(nfs) = &mut spec.nfs {
        omit_empty!(nfs => read_only);
    }
}

/// The class of a volume; empty for none.
pub fn class_of(volume: &PersistentVolume) -> &str {
    let annotations = volume.metadata.annotations.as_ref();
    let annotation =
        annotations.and_then(|annotations| annotations.get(super::persistent_volume_claim::BETA_CLASS_ANNOTATION));
    let field = volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    annotation.map(String::as_str).or(field).unwrap_or_default()
}
