//! PersistentVolumeClaims.

use k8s_openapi::api::core::v1::{
    PersistentVolumeClaim, PersistentVolumeClaimSpec, PersistentVolumeClaimStatus, TypedLocalObjectReference,
    TypedObjectReference, VolumeResourceRequirements,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::core::v1::resource_list;
use crate::field::{ErrorList, Path};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

mod shown;
#[cfg(test)]
mod tests;
mod validation;

pub(crate) use validation::validate_claim_spec;

/// The annotation that named a claim's class before there was a field.
pub const BETA_CLASS_ANNOTATION: &str = "volume.beta.kubernetes.io/storage-class";
/// The phase of a claim that has no volume yet.
pub const PHASE_PENDING: &str = "Pending";
/// The phase of a claim that has one.
pub const PHASE_BOUND: &str = "Bound";

impl Kind for PersistentVolumeClaim {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        default_claim_spec(self.spec.get_or_insert_with(PersistentVolumeClaimSpec::default));
        let status = self.status.get_or_insert_with(PersistentVolumeClaimStatus::default);
        status.phase.get_or_insert_with(|| PHASE_PENDING.to_owned());
        omit_empty!(status => access_modes, capacity, conditions);
        resource_list::canonicalize(status.capacity.as_mut());
        resource_list::canonicalize(status.allocated_resources.as_mut());
    }

    fn validate(&self) -> ErrorList {
        validation::validate_claim(self)
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = crate::meta::validate_meta_update(&self.metadata, &old.metadata);
        errors.extend(validation::validate_claim(self));
        errors.extend(validation::validate_changes(self, old));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validation::validate_status_changes(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        warn_of_beta_class(&self.metadata, &mut warnings);
        if let Some(spec) = &self.spec {
            warn_of_claim_spec(spec, &Path::new("spec"), &mut warnings);
        }
        warnings
    }
}

/// Warns of a class that is named by annotation, as claims and volumes may.
pub(super) fn warn_of_beta_class(meta: &ObjectMeta, warnings: &mut Vec<String>) {
    if meta.annotations.as_ref().is_some_and(|annotations| annotations.contains_key(BETA_CLASS_ANNOTATION)) {
        let text = "deprecated since v1.8; use \"storageClassName\" attribute instead";
        warnings.push(format!("metadata.annotations[{BETA_CLASS_ANNOTATION}]: {text}"));
    }
}

/// Warns of what a claim's spec at `path` asks for.
pub(crate) fn warn_of_claim_spec(spec: &PersistentVolumeClaimSpec, path: &Path<'_>, warnings: &mut Vec<String>) {
    let Some(resources) = &spec.resources else { return };
    let path = path.child("resources");
    resource_list::warn_of_fractions(resources.requests.as_ref(), &["storage"], &path.child("requests"), warnings);
    resource_list::warn_of_fractions(resources.limits.as_ref(), &["storage"], &path.child("limits"), warnings);
}

/// The defaults of a claim's spec, or of a template of one.
pub(crate) fn default_claim_spec(claim: &mut PersistentVolumeClaimSpec) {
    omit_empty!(claim => access_modes, volume_name);
    claim.volume_mode.get_or_insert_with(|| "Filesystem".to_owned());
    let resources = claim.resources.get_or_insert_with(VolumeResourceRequirements::default);
    omit_empty!(resources => limits, requests);
    resource_list::canonicalize(resources.limits.as_mut());
    resource_list::canonicalize(resources.requests.as_mut());
    claim.selector.iter_mut().for_each(super::pod::default_selector);
}

/// The class a claim asks for; `None` when it leaves the choice to the cluster.
pub fn class_of(claim: &PersistentVolumeClaim) -> Option<&str> {
    let annotation = claim.metadata.annotations.as_ref().and_then(|annotations| annotations.get(BETA_CLASS_ANNOTATION));
    let field = claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
    annotation.map(String::as_str).or(field)
}

/// What is said of the data to begin with in one of two fields is said in both. The older one knows only claims and
/// snapshots, and forgets anything else; the newer one knows only this namespace.
pub fn align_data_sources(spec: &mut PersistentVolumeClaimSpec) {
    let is_known = |source: &TypedLocalObjectReference| {
        matches!(
            (source.api_group.as_deref().unwrap_or_default(), source.kind.as_str()),
            ("", "PersistentVolumeClaim") | ("snapshot.storage.k8s.io", "VolumeSnapshot")
        )
    };
    spec.data_source.take_if(|source| !is_known(source));
    if let Some(reference) = &mut spec.data_source_ref {
        reference.namespace = None;
    }
    match (&spec.data_source, &spec.data_source_ref) {
        (Some(source), None) => {
            spec.data_source_ref = Some(TypedObjectReference {
                api_group: source.api_group.clone(),
                kind: source.kind.clone(),
                name: source.name.clone(),
                namespace: None,
            });
        }
        (None, Some(reference)) => {
            spec.data_source = Some(TypedLocalObjectReference {
                api_group: reference.api_group.clone(),
                kind: reference.kind.clone(),
                name: reference.name.clone(),
            });
        }
        _ => {}
    }
}
