//! What a volume must be, and how it may change.

use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, HostPathVolumeSource, LocalVolumeSource, NFSVolumeSource, PersistentVolume,
    PersistentVolumeSpec, VolumeNodeAffinity,
};
use serde_json::Value;

use crate::core::v1::difference::difference;
use crate::core::v1::pod::{check_no_backsteps, validate_node_selector};
use crate::field::{ErrorList, Json, Path, extend_invalid, forbidden, invalid, not_supported, required};
use crate::meta::{IMMUTABLE, METADATA, Scope, text, validate_meta, validate_meta_update};
use crate::names::{self, subdomain_name};
use crate::quantity::Quantity;

const SPEC: Path<'static> = Path::new("spec");
const ACCESS_MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];
const VOLUME_MODES: &[&str] = &["Block", "Filesystem"];
const RECLAIM_POLICIES: &[&str] = &["Delete", "Recycle", "Retain"];
/// The fields of a volume's spec that say what it is.
const SOURCES: &[&str] = &[
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "fc",
    "flexVolume",
    "flocker",
    "gcePersistentDisk",
    "glusterfs",
    "hostPath",
    "iscsi",
    "local",
    "nfs",
    "photonPersistentDisk",
    "portworxVolume",
    "quobyte",
    "rbd",
    "scaleIO",
    "storageos",
    "vsphereVolume",
];

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
        validate_spec(spec, &mut errors);
    }
    errors
}

fn validate_spec(spec: &PersistentVolumeSpec, errors: &mut ErrorList) {
    let modes = spec.access_modes.as_deref().unwrap_or_default();
    let modes_path = SPEC.child("accessModes");
    if modes.is_empty() {
        errors.push(required(&modes_path, ""));
    }
    check_access_modes(modes, &modes_path, errors);
    validate_capacity(spec, errors);
    let policy = text(&spec.persistent_volume_reclaim_policy);
    let policy_path = SPEC.child("persistentVolumeReclaimPolicy");
    if !policy.is_empty() && !RECLAIM_POLICIES.contains(&policy) {
        errors.push(not_supported(&policy_path, policy, RECLAIM_POLICIES));
    }
    if let Some(affinity) = &spec.node_affinity {
        validate_node_affinity(affinity, errors);
    }
    validate_source(spec, errors);
    let root = spec.host_path.as_ref().is_some_and(|host_path| is_root(&host_path.path));
    if root && policy == "Recycle" {
        errors.push(forbidden(&policy_path, "may not be 'recycle' for a hostPath mount of '/'"));
    }
    check_class_name(spec.storage_class_name.as_deref(), &SPEC.child("storageClassName"), errors);
    check_volume_mode(spec.volume_mode.as_deref(), &SPEC.child("volumeMode"), errors);
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

fn validate_source(spec: &PersistentVolumeSpec, errors: &mut ErrorList) {
    let sources = sources(spec);
    if sources.is_empty() {
        errors.push(required(&SPEC, "must specify a volume type"));
    }
    for (name, _) in sources.iter().skip(1) {
        errors.push(forbidden(&SPEC.child(name), "may not specify more than 1 volume type"));
    }
    if let Some(host_path) = &spec.host_path {
        validate_host_path(host_path, &SPEC.child("hostPath"), errors);
    }
    if let Some(local) = &spec.local {
        validate_local(local, &SPEC.child("local"), errors);
        if spec.node_affinity.is_none() {
            errors.push(required(&METADATA.child("annotations"), "Local volume requires node affinity"));
        }
    }
    if let Some(nfs) = &spec.nfs {
        validate_nfs(nfs, &SPEC.child("nfs"), errors);
    }
    if let Some(csi) = &spec.csi {
        validate_csi(csi, &SPEC.child("csi"), errors);
    }
}

/// What says where the data is, by field name.
fn sources(spec: &PersistentVolumeSpec) -> Vec<(String, Value)> {
    let Ok(Value::Object(fields)) = serde_json::to_value(spec) else { return Vec::new() };
    fields.into_iter().filter(|(name, _)| SOURCES.contains(&name.as_str())).collect()
}

fn validate_host_path(host_path: &HostPathVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    if host_path.path.is_empty() {
        return errors.push(required(&path.child("path"), ""));
    }
    check_no_backsteps(&host_path.path, &path.child("path"), errors);
}

fn validate_local(local: &LocalVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    if local.path.is_empty() {
        return errors.push(required(&path.child("path"), ""));
    }
    check_no_backsteps(&local.path, &path.child("path"), errors);
}

fn validate_nfs(nfs: &NFSVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    if nfs.server.is_empty() {
        errors.push(required(&path.child("server"), ""));
    }
    if nfs.path.is_empty() {
        errors.push(required(&path.child("path"), ""));
    }
    if !nfs.path.starts_with('/') {
        errors.push(invalid(&path.child("path"), &nfs.path, "must be an absolute path"));
    }
}

fn validate_csi(csi: &CSIPersistentVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    if csi.driver.is_empty() {
        errors.push(required(&path.child("driver"), ""));
    }
    if csi.volume_handle.is_empty() {
        errors.push(required(&path.child("volumeHandle"), ""));
    }
}

pub(super) fn validate_changes(new: &PersistentVolume, old: &PersistentVolume) -> ErrorList {
    let mut errors = validate_meta_update(&new.metadata, &old.metadata);
    let (Some(new), Some(old)) = (&new.spec, &old.spec) else { return errors };
    let sources_of = |spec| sources(spec).into_iter().collect::<serde_json::Map<_, _>>();
    let (new_sources, old_sources) = (sources_of(new), sources_of(old));
    if new_sources != old_sources {
        let what = "spec.persistentvolumesource is immutable after creation";
        let text = format!("{what}\n{}", difference(&old_sources, &new_sources));
        errors.push(forbidden(&SPEC.child("persistentvolumesource"), text));
    }
    if new.volume_mode != old.volume_mode {
        errors.push(invalid(&Path::new("volumeMode"), text(&new.volume_mode), IMMUTABLE));
    }
    if old.node_affinity.is_some() && new.node_affinity != old.node_affinity {
        errors.push(invalid(&Path::new("nodeAffinity"), Json(&new.node_affinity), IMMUTABLE));
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
