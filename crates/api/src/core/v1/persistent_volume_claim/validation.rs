//! What a claim must be, and how it may change.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};

use super::{PHASE_BOUND, shown};
use crate::core::v1::difference::difference;
use crate::core::v1::persistent_volume::{check_access_modes, check_class_name, check_volume_mode};
use crate::core::v1::resource_list::{ResourceList, get, validate_quantity};
use crate::field::{ErrorList, Path, extend_invalid, forbidden, invalid, required};
use crate::labels::{SelectorRules, validate_label_selector};
use crate::meta::{IMMUTABLE, METADATA, Scope, text, validate_meta, validate_meta_update};
use crate::names::{dns1123_subdomain, subdomain_name};
use crate::quantity::Quantity;

const SPEC: Path<'static> = Path::new("spec");
const STATUS: Path<'static> = Path::new("status");

pub(super) fn validate_claim(claim: &PersistentVolumeClaim) -> ErrorList {
    let mut errors = validate_meta(&claim.metadata, Scope::Namespaced, subdomain_name);
    if let Some(spec) = &claim.spec {
        validate_claim_spec(spec, &SPEC, &mut errors);
    }
    errors
}

/// Every problem of a claim's spec, or of a template of one.
pub(crate) fn validate_claim_spec(spec: &PersistentVolumeClaimSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    let modes_path = path.child("accessModes");
    if modes.is_empty() {
        errors.push(required(&modes_path, "at least 1 access mode is required"));
    }
    errors.extend(validate_label_selector(spec.selector.as_ref(), SelectorRules::Strict, &path.child("selector")));
    check_access_modes(modes, &modes_path, errors);
    validate_storage(spec, path, errors);
    check_class_name(spec.storage_class_name.as_deref(), &path.child("storageClassName"), errors);
    check_volume_mode(spec.volume_mode.as_deref(), &path.child("volumeMode"), errors);
    let class = spec.volume_attributes_class_name.as_deref();
    check_class_name(class, &path.child("volumeAttributesClassName"), errors);
    validate_data_sources(spec, path, errors);
}

fn validate_data_sources(spec: &PersistentVolumeClaimSpec, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(source) = &spec.data_source {
        validate_source(&source.name, &source.kind, text(&source.api_group), &path.child("dataSource"), errors);
    }
    if let Some(source) = &spec.data_source_ref {
        validate_source(&source.name, &source.kind, text(&source.api_group), &path.child("dataSourceRef"), errors);
    }
    if let (Some(source), Some(reference)) = (&spec.data_source, &spec.data_source_ref) {
        let same =
            (&source.api_group, &source.kind, &source.name) == (&reference.api_group, &reference.kind, &reference.name);
        if text(&reference.namespace).is_empty() && !same {
            errors.push(invalid(path, path.child("dataSource").to_string(), "must match dataSourceRef"));
        }
    }
}

fn validate_source(name: &str, kind: &str, group: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(required(&path.child("name"), ""));
    }
    if kind.is_empty() {
        errors.push(required(&path.child("kind"), ""));
    }
    if group.is_empty() {
        if kind != "PersistentVolumeClaim" {
            let message = "must be 'PersistentVolumeClaim' when referencing the default apiGroup";
            errors.push(invalid(path, kind, message));
        }
    } else {
        extend_invalid(errors, &path.child("apiGroup"), group, dns1123_subdomain(group));
    }
}

fn validate_storage(spec: &PersistentVolumeClaimSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let resources_path = path.child("resources");
    let path = resources_path.key("storage");
    match requested(spec) {
        None => errors.push(required(&path, "")),
        Some(storage) if storage <= Quantity::ZERO => {
            errors.push(invalid(&path, storage.to_string(), "must be greater than zero"));
        }
        Some(storage) => errors.extend(validate_quantity("storage", storage, &path)),
    }
}

fn requested(spec: &PersistentVolumeClaimSpec) -> Option<Quantity> {
    get(spec.resources.as_ref()?.requests.as_ref(), "storage")
}

pub(super) fn validate_changes(new: &PersistentVolumeClaim, old: &PersistentVolumeClaim) -> ErrorList {
    let mut errors = validate_meta_update(&new.metadata, &old.metadata);
    let (Some(new_spec), Some(old_spec)) = (&new.spec, &old.spec) else { return errors };
    let bound = new.status.as_ref().and_then(|status| status.phase.as_deref()) == Some(PHASE_BOUND);
    let comparable = but_for_what_may_change(new_spec, old_spec, bound);
    if comparable != *old_spec {
        let what = "spec is immutable after creation except resources.requests and volumeAttributesClassName for \
                    bound claims";
        errors.push(forbidden(
            &SPEC,
            format!("{what}\n{}", difference(&shown::spec(old_spec), &shown::spec(&comparable))),
        ));
    }
    let capacity = old.status.as_ref().and_then(|status| get(status.capacity.as_ref(), "storage"));
    let shrinks = requested(new_spec) < requested(old_spec);
    if shrinks && requested(new_spec) <= Some(capacity.unwrap_or(Quantity::ZERO)) {
        let resources = SPEC.child("resources");
        let requests = resources.child("requests");
        errors.push(forbidden(&requests.child("storage"), "field can not be less than status.capacity"));
    }
    if new_spec.volume_mode != old_spec.volume_mode {
        errors.push(invalid(&Path::new("volumeMode"), text(&new_spec.volume_mode), IMMUTABLE));
    }
    errors
}

/// The new spec with everything put back that an update may change.
fn but_for_what_may_change(
    new: &PersistentVolumeClaimSpec,
    old: &PersistentVolumeClaimSpec,
    bound: bool,
) -> PersistentVolumeClaimSpec {
    let mut spec = new.clone();
    // The volume is chosen once, and a class that nobody chose may be chosen later.
    if text(&old.volume_name).is_empty() {
        spec.volume_name.clone_from(&old.volume_name);
    }
    if old.storage_class_name.is_none() {
        spec.storage_class_name = None;
    }
    if bound {
        spec.volume_attributes_class_name.clone_from(&old.volume_attributes_class_name);
        let before = old.resources.as_ref().and_then(|resources| resources.requests.as_ref()?.get("storage"));
        let requests = spec.resources.as_mut().and_then(|resources| resources.requests.as_mut());
        if let (Some(before), Some(requests)) = (before, requests) {
            requests.insert("storage".to_owned(), before.clone());
        }
    }
    spec
}

pub(super) fn validate_status_changes(new: &PersistentVolumeClaim, old: &PersistentVolumeClaim) -> ErrorList {
    let mut errors = validate_meta_update(&new.metadata, &old.metadata);
    if text(&new.metadata.resource_version).is_empty() {
        errors.push(required(&METADATA.child("resourceVersion"), ""));
    }
    if new.spec.as_ref().is_none_or(|spec| spec.access_modes.as_ref().is_none_or(Vec::is_empty)) {
        errors.push(required(&Path::new("Spec").child("accessModes"), ""));
    }
    let Some(status) = &new.status else { return errors };
    validate_list(status.capacity.as_ref(), &STATUS.child("capacity"), &mut errors);
    validate_list(status.allocated_resources.as_ref(), &STATUS.child("allocatedResources"), &mut errors);
    errors
}

fn validate_list(list: Option<&ResourceList>, path: &Path<'_>, errors: &mut ErrorList) {
    for (name, quantity) in list.into_iter().flatten() {
        errors.extend(validate_quantity(name, Quantity::of(quantity), &path.key(name)));
    }
}
