//! What a volume must be, and how it may change.

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeSpec, VolumeNodeAffinity};

use super::{RECLAIM_RETAIN, shown, sources};
use crate::core::v1::difference::difference;
use crate::core::v1::pod::validate_node_selector;
use crate::core::v1::resource_list::validate_basic;
use crate::field::{ErrorList, Json, Path, extend_invalid, forbidden, invalid, not_supported, required};
use crate::internal::volume_node_affinity;
use crate::meta::{IMMUTABLE, METADATA, Scope, text, validate_meta, validate_meta_update};
use crate::names::{self, subdomain_name};
use crate::quantity::Quantity;

const SPEC: Path<'static> = Path::new("spec");
const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
/// The annotation that named mount options before there was a field.
const MOUNT_OPTIONS: &str = "volume.beta.kubernetes.io/mount-options";
const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];
const RECLAIM_POLICIES: &[&str] = &["Delete", "Recycle", "Retain"];
/// Access modes of a volume or claim.
pub(crate) fn check_access_modes(modes: &[String], path: &Path<'_>, errors: &mut ErrorList) {
    for mode in modes.iter().filter(|mode| !ACCESS_MODES.contains(&mode.as_str())) {
        errors.push(not_supported(path, mode, ACCESS_MODES));
    }
    let exclusive = |mode: &String| mode == "ReadWriteOncePod";
    if modes.iter().any(exclusive) && !modes.iter().all(exclusive) {
        errors.push(forbidden(path, "may not use ReadWriteOncePod with other access modes"));
    }
}

/// The name of a class, if there is one.
pub(crate) fn check_class_name(class: Option<&str>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(class) = class.filter(|class| !class.is_empty()) {
        extend_invalid(errors, path, class, names::dns1123_subdomain(class));
    }
}

/// The volume mode, if there is one.
pub(crate) fn check_volume_mode(mode: Option<&str>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(mode) = mode.filter(|mode| !VOLUME_MODES.contains(mode)) {
        errors.push(not_supported(path, mode, VOLUME_MODES));
    }
}

pub(super) fn validate_volume(volume: &PersistentVolume) -> ErrorList {
    let mut errors = validate_meta(&volume.metadata, Scope::Cluster, subdomain_name);
    if let Some(spec) = &volume.spec {
        validate_spec(spec, text(&volume.metadata.name), &mut errors);
        let annotation = volume.metadata.annotations.as_ref().is_some_and(|all| all.contains_key(MOUNT_OPTIONS));
        if annotation && !sources::takes_mount_options(spec) {
            let path = METADATA.child("annotations");
            errors.push(forbidden(&path.child(MOUNT_OPTIONS), "may not specify mount options for this volume type"));
        }
    }
    errors
}

fn validate_spec(spec: &PersistentVolumeSpec, name: &str, errors: &mut ErrorList) {
    validate_modes(spec, &SPEC, errors);
    validate_capacity(spec, errors);
    let policy = text(&spec.persistent_volume_reclaim_policy);
    let policy_path = SPEC.child("persistentVolumeReclaimPolicy");
    if !policy.is_empty() && !RECLAIM_POLICIES.contains(&policy) {
        errors.push(not_supported(&policy_path, policy, RECLAIM_POLICIES));
    }
    if let Some(affinity) = &spec.node_affinity {
        validate_node_affinity(affinity, errors);
    }
    sources::validate(spec, name, &SPEC, errors);
    let root = spec.host_path.as_ref().is_some_and(|host_path| is_root(&host_path.path));
    if root && policy == "Recycle" {
        errors.push(forbidden(&policy_path, "may not be 'recycle' for a hostPath mount of '/'"));
    }
    check_class_name(spec.storage_class_name.as_deref(), &SPEC.child("storageClassName"), errors);
    check_volume_mode(spec.volume_mode.as_deref(), &SPEC.child("volumeMode"), errors);
    validate_attributes_class(spec, &SPEC, errors);
}

fn validate_modes(spec: &PersistentVolumeSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    let modes_path = path.child("accessModes");
    if modes.is_empty() {
        errors.push(required(&modes_path, ""));
    }
    check_access_modes(modes, &modes_path, errors);
}

fn validate_attributes_class(spec: &PersistentVolumeSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(class) = &spec.volume_attributes_class_name else { return };
    let class_path = path.child("volumeAttributesClassName");
    if class.is_empty() {
        errors.push(required(&class_path, "an empty string is disallowed"));
    } else {
        check_class_name(Some(class), &class_path, errors);
    }
    if spec.csi.is_none() {
        errors.push(required(&path.child("csi"), "has to be specified when using volumeAttributesClassName"));
    }
}

/// Checks the spec of a volume that has no object of its own, as an attachment can have it.
pub(crate) fn validate_inline_volume(spec: &PersistentVolumeSpec, path: &Path<'_>, errors: &mut ErrorList) {
    const NOT_HERE: &str = "may not be specified in the context of inline volumes";
    if spec.claim_ref.is_some() {
        errors.push(forbidden(&path.child("claimRef"), NOT_HERE));
    }
    if spec.capacity.as_ref().is_some_and(|capacity| !capacity.is_empty()) {
        errors.push(forbidden(&path.child("capacity"), NOT_HERE));
    }
    if spec.csi.is_none() {
        errors.push(required(&path.child("csi"), "has to be specified in the context of inline volumes"));
    }
    validate_modes(spec, path, errors);
    if !matches!(text(&spec.persistent_volume_reclaim_policy), "" | RECLAIM_RETAIN) {
        let message = format!("may only be {RECLAIM_RETAIN} in the context of inline volumes");
        errors.push(forbidden(&path.child("persistentVolumeReclaimPolicy"), message));
    }
    if spec.node_affinity.is_some() {
        errors.push(forbidden(&path.child("nodeAffinity"), NOT_HERE));
    }
    sources::validate(spec, "", path, errors);
    if !text(&spec.storage_class_name).is_empty() {
        errors.push(forbidden(&path.child("storageClassName"), NOT_HERE));
    }
    if spec.volume_mode.as_deref().is_some_and(|mode| mode != "Filesystem") {
        let message = "may not specify volumeMode other than Filesystem in the context of inline volumes";
        errors.push(forbidden(&path.child("volumeMode"), message));
    }
    validate_attributes_class(spec, path, errors);
}

fn is_root(path: &str) -> bool {
    path.starts_with('/') && path.split('/').all(|segment| matches!(segment, "" | "."))
}

fn validate_capacity(spec: &PersistentVolumeSpec, errors: &mut ErrorList) {
    let path = SPEC.child("capacity");
    let capacity = spec.capacity.iter().flatten();
    if spec.capacity.as_ref().is_none_or(|capacity| capacity.is_empty()) {
        errors.push(required(&path, ""));
    }
    if spec.capacity.as_ref().is_none_or(|capacity| capacity.len() != 1 || !capacity.contains_key("storage")) {
        errors.push(not_supported(&path, Json(&spec.capacity), &["storage"]));
    }
    for (name, quantity) in capacity {
        let quantity = Quantity::of(quantity);
        errors.extend(validate_basic(quantity, &path.key(name)));
        if quantity <= Quantity::ZERO {
            errors.push(invalid(&path.key(name), quantity.to_string(), "must be greater than zero"));
        }
    }
}

fn validate_node_affinity(affinity: &VolumeNodeAffinity, errors: &mut ErrorList) {
    let path = SPEC.child("nodeAffinity");
    let path = path.child("required");
    match &affinity.required {
        None => errors.push(required(&path, "must specify required node constraints")),
        Some(selector) => validate_node_selector(selector, &path, errors),
    }
}

pub(super) fn validate_changes(new: &PersistentVolume, old: &PersistentVolume) -> ErrorList {
    let mut errors = validate_meta_update(&new.metadata, &old.metadata);
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return errors };
    // The secret for expansion may be added later.
    let csi_secret =
        |spec: &PersistentVolumeSpec| spec.csi.as_ref().map(|csi| csi.controller_expand_secret_ref.is_some());
    let adds_secret = (csi_secret(old), csi_secret(new)) == (Some(false), Some(true));
    let mut compared = new.clone();
    if let Some(csi) = compared.csi.as_mut().filter(|_| adds_secret) {
        csi.controller_expand_secret_ref = None;
    }
    let (new_sources, old_sources) = (sources::of(&compared), sources::of(old));
    if new_sources != old_sources {
        let what = "spec.persistentvolumesource is immutable after creation";
        let text = format!("{what}\n{}", difference(&shown::sources(old), &shown::sources(&compared)));
        errors.push(forbidden(&SPEC.child("persistentvolumesource"), text));
    }
    if new.volume_mode != old.volume_mode {
        errors.push(invalid(&Path::new("volumeMode"), text(&new.volume_mode), IMMUTABLE));
    }
    if old.node_affinity.is_some() && new.node_affinity != old.node_affinity {
        let shown = new.node_affinity.as_ref().map(volume_node_affinity);
        errors.push(invalid(&Path::new("nodeAffinity"), Json(&shown), IMMUTABLE));
    }
    if old.volume_attributes_class_name.is_some() && new.volume_attributes_class_name.is_none() {
        let path = SPEC.child("volumeAttributesClassName");
        errors.push(forbidden(&path, "update from non-nil value to nil is forbidden"));
    }
    errors
}

pub(super) fn validate_status_changes(new: &PersistentVolume, old: &PersistentVolume) -> ErrorList {
    let mut errors = validate_meta_update(&new.metadata, &old.metadata);
    if text(&new.metadata.resource_version).is_empty() {
        errors.push(required(&Path::new("resourceVersion"), ""));
    }
    errors
}
