//! What a claim must be, and how it may change.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec};

use super::{BETA_CLASS_ANNOTATION, PHASE_BOUND, shown};
use crate::core::v1::difference::difference;
use crate::core::v1::persistent_volume::{check_access_modes, check_class_name, check_volume_mode};
use crate::core::v1::resource_list::{get, is_native, validate_basic, validate_quantity};
use crate::field::{ErrorList, Path, extend_invalid, forbidden, invalid, not_supported, required};
use crate::labels::{SelectorRules, validate_label_selector};
use crate::meta::{IMMUTABLE, METADATA, Scope, text, validate_meta, validate_meta_update};
use crate::names::{dns1123_subdomain, qualified_name, subdomain_name};
use crate::quantity::Quantity;

const SPEC: Path<'static> = Path::new("spec");
const STATUS: Path<'static> = Path::new("status");
const RESIZE_STATUSES: &[&str] = &[
    "ControllerResizeInProgress",
    "ControllerResizeInfeasible",
    "NodeResizeInProgress",
    "NodeResizeInfeasible",
    "NodeResizePending",
];

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
    validate_data_sources(spec, path, errors);
    let class = spec.volume_attributes_class_name.as_deref();
    check_class_name(class, &path.child("volumeAttributesClassName"), errors);
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
    let mut errors = ErrorList::new();
    let (Some(new_spec), Some(old_spec)) = (&new.spec, &old.spec) else { return errors };
    check_beta_class(new, old, &mut errors);
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
    let gone = match (&old_spec.volume_attributes_class_name, new_spec.volume_attributes_class_name.as_deref()) {
        (Some(_), None) => Some("update from non-nil value to nil is forbidden"),
        (Some(old), Some("")) if !old.is_empty() => Some("update from non-nil value to an empty string is forbidden"),
        _ => None,
    };
    errors.extend(gone.map(|message| forbidden(&SPEC.child("volumeAttributesClassName"), message)));
    errors
}

/// The annotation that named the class before there was a field does not change, but may become the field.
fn check_beta_class(new: &PersistentVolumeClaim, old: &PersistentVolumeClaim, errors: &mut ErrorList) {
    fn annotated(claim: &PersistentVolumeClaim) -> Option<&str> {
        claim.metadata.annotations.as_ref()?.get(BETA_CLASS_ANNOTATION).map(String::as_str)
    }
    let field = |claim: &PersistentVolumeClaim| claim.spec.as_ref().and_then(|spec| spec.storage_class_name.clone());
    let (new_class, old_class) = (annotated(new), annotated(old));
    let becomes_field = old_class.is_some()
        && field(old).is_none()
        && field(new).as_deref() == old_class
        && new_class.is_none_or(|class| Some(class) == old_class);
    if !becomes_field && new_class.unwrap_or_default() != old_class.unwrap_or_default() {
        let path = METADATA.child("annotations");
        errors.push(invalid(&path.child(BETA_CLASS_ANNOTATION), new_class.unwrap_or_default(), IMMUTABLE));
    }
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
        errors.push(required(&Path::new("resourceVersion"), ""));
    }
    if new.spec.as_ref().is_none_or(|spec| spec.access_modes.as_ref().is_none_or(Vec::is_empty)) {
        errors.push(required(&Path::new("Spec").child("accessModes"), ""));
    }
    let Some(status) = &new.status else { return errors };
    let path = STATUS.child("capacity");
    for (name, quantity) in status.capacity.iter().flatten() {
        errors.extend(validate_basic(Quantity::of(quantity), &path.key(name)));
    }
    let path = STATUS.child("allocatedResourceStatus");
    for (name, status) in status.allocated_resource_statuses.iter().flatten() {
        check_resource_key(name, &path, &mut errors);
        if !RESIZE_STATUSES.contains(&status.as_str()) {
            errors.push(not_supported(&path, name, RESIZE_STATUSES));
        }
    }
    let path = STATUS.child("allocatedResources");
    for (name, quantity) in status.allocated_resources.iter().flatten() {
        let (quantity, before) = (Quantity::of(quantity), errors.len());
        check_resource_key(name, &path, &mut errors);
        if errors.len() == before {
            errors.extend(validate_basic(quantity, &path.key(name)));
        }
        if errors.len() == before {
            errors.extend(validate_quantity("storage", quantity, &path.key(name)));
        }
    }
    errors
}

/// Of the names without a domain, only `storage` is one of a claim's.
fn check_resource_key(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let problems = qualified_name(name);
    if problems.is_empty() && is_native(name) && name != "storage" {
        errors.push(not_supported(path, name, &["storage"]));
    }
    extend_invalid(errors, path, name, problems);
}
