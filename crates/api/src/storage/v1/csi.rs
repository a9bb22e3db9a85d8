//! What tells of storage drivers (CSI): CSIDrivers, CSINodes, CSIStorageCapacities and VolumeAttachments.

use k8s_openapi::api::core::v1::PersistentVolumeSpec;
use k8s_openapi::api::storage::v1::{
    CSIDriver, CSIDriverSpec, CSINode, CSINodeDriver, CSIStorageCapacity, VolumeAttachment, VolumeAttachmentSpec,
    VolumeAttachmentStatus,
};
use serde::Serialize;

use crate::core::v1::deprecated_labels::deprecation;
use crate::core::v1::persistent_volume::validate_inline_volume;
use crate::core::v1::pod::volumes::check_driver_name;
use crate::core::v1::resource_list::canonicalize_one;
use crate::field::{
    ErrorList, Json, Path, check_not_negative, duplicate, extend_invalid, forbidden, invalid, not_supported, required,
    too_long,
};
use crate::labels::{SelectorRules, validate_label_selector};
use crate::meta::{IMMUTABLE, METADATA, NOT_NEGATIVE, Scope, text, validate_meta, validate_meta_update};
use crate::names::{dns1123_subdomain, out_of_range, qualified_name, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};
use crate::quantity::Quantity;

#[cfg(test)]
mod tests;

const SPEC: Path<'static> = Path::new("spec");
const MAX_DRIVER_NAME: usize = 63;
const MAX_NODE_ID: usize = 192;
const FS_GROUP_POLICIES: &[&str] = &["File", "None", "ReadWriteOnceWithFSType"];
const MODES: &[&str] = &["Persistent", "Ephemeral"];
/// The shortest life of a token.
const MIN_TOKEN_SECONDS: i64 = 600;
/// The shortest time between two looks at how many volumes fit.
const MIN_UPDATE_SECONDS: i64 = 10;
const MAX_METADATA_BYTES: usize = 256 * 1024;
const MAX_ERROR_BYTES: usize = 1024;

impl Kind for CSIDriver {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = &mut self.spec;
        omit_empty!(spec => token_requests, volume_lifecycle_modes);
        spec.attach_required.get_or_insert(true);
        for flag in [
            &mut spec.pod_info_on_mount,
            &mut spec.storage_capacity,
            &mut spec.requires_republish,
            &mut spec.se_linux_mount,
        ] {
            flag.get_or_insert(false);
        }
        spec.fs_group_policy.get_or_insert_with(|| "ReadWriteOnceWithFSType".to_owned());
        spec.volume_lifecycle_modes.get_or_insert_with(|| vec!["Persistent".to_owned()]);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        if text(&self.metadata.name).len() > MAX_DRIVER_NAME {
            errors.push(too_long(&METADATA.child("name"), MAX_DRIVER_NAME));
        }
        validate_driver(&self.spec, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        validate_driver(&self.spec, &mut errors);
        if self.spec.attach_required != old.spec.attach_required {
            errors.push(invalid(&SPEC.child("attachedRequired"), self.spec.attach_required, IMMUTABLE));
        }
        let modes = &self.spec.volume_lifecycle_modes;
        if *modes != old.spec.volume_lifecycle_modes {
            errors.push(invalid(&SPEC.child("volumeLifecycleModes"), Json(modes), IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

fn validate_driver(spec: &CSIDriverSpec, errors: &mut ErrorList) {
    let path = SPEC.child("fsGroupPolicy");
    match text(&spec.fs_group_policy) {
        "" => errors.push(required(&path, "")),
        policy if !FS_GROUP_POLICIES.contains(&policy) => {
            errors.push(not_supported(&path, policy, FS_GROUP_POLICIES));
        }
        _ => {}
    }
    let list_path = SPEC.child("tokenRequests");
    let requests = spec.token_requests.as_deref().unwrap_or_default();
    for (position, request) in requests.iter().enumerate() {
        let path = list_path.index(position);
        if requests[..position].iter().any(|other| other.audience == request.audience) {
            errors.push(duplicate(&path.child("audience"), &request.audience));
            continue;
        }
        let path = path.child("expirationSeconds");
        match request.expiration_seconds {
            Some(seconds) if seconds < MIN_TOKEN_SECONDS => {
                errors.push(invalid(&path, seconds, "may not specify a duration less than 10 minutes"));
            }
            Some(seconds) if seconds > 1 << 32 => {
                errors.push(invalid(&path, seconds, "may not specify a duration larger than 2^32 seconds"));
            }
            _ => {}
        }
    }
    let path = SPEC.child("volumeLifecycleModes");
    for mode in spec.volume_lifecycle_modes.iter().flatten().filter(|mode| !MODES.contains(&mode.as_str())) {
        errors.push(not_supported(&path, mode, MODES));
    }
    if let Some(seconds) = spec.node_allocatable_update_period_seconds.filter(|seconds| *seconds < MIN_UPDATE_SECONDS) {
        let path = SPEC.child("nodeAllocatableUpdatePeriodSeconds");
        errors.push(invalid(&path, seconds, format!("must be greater than or equal to {MIN_UPDATE_SECONDS} seconds")));
    }
}

impl Kind for CSINode {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        validate_drivers(&self.spec.drivers, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        // Only how many volumes fit may change while a driver stays.
        let comparable = |driver: &CSINodeDriver| CSINodeDriver { allocatable: None, ..driver.clone() };
        for driver in &self.spec.drivers {
            let before = old.spec.drivers.iter().find(|before| before.name == driver.name);
            if before.is_some_and(|before| comparable(before) != comparable(driver)) {
                let shown = ShownDriver {
                    name: &driver.name,
                    node_id: &driver.node_id,
                    topology_keys: &driver.topology_keys,
                    allocatable: None,
                };
                errors.push(invalid(&SPEC.child("drivers"), Json(&shown), IMMUTABLE));
            }
        }
        validate_drivers(&self.spec.drivers, &mut errors);
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

fn validate_drivers(drivers: &[CSINodeDriver], errors: &mut ErrorList) {
    let list_path = SPEC.child("drivers");
    for (position, driver) in drivers.iter().enumerate() {
        let path = list_path.index(position);
        check_driver_name(&driver.name, &path.child("name"), errors);
        let id_path = path.child("nodeID");
        if driver.node_id.is_empty() {
            errors.push(required(&id_path, ""));
        } else if driver.node_id.len() > MAX_NODE_ID {
            errors.push(invalid(&id_path, &driver.node_id, format!("must be {MAX_NODE_ID} characters or less")));
        }
        let count = driver.allocatable.as_ref().and_then(|allocatable| allocatable.count);
        check_not_negative(errors, &path.child("allocatable").child("count"), count);
        if drivers[..position].iter().any(|other| other.name == driver.name) {
            errors.push(duplicate(&path.child("name"), &driver.name));
        }
        let keys = driver.topology_keys.as_deref().unwrap_or_default();
        for (position, key) in keys.iter().enumerate() {
            if key.is_empty() {
                errors.push(required(&path, ""));
            }
            if keys[..position].contains(key) {
                errors.push(duplicate(&path, key));
            }
            extend_invalid(errors, &path, key, qualified_name(key));
        }
    }
}

/// A driver on a node as upstream's messages show it.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct ShownDriver<'a> {
    name: &'a str,
    #[serde(rename = "NodeID")]
    node_id: &'a str,
    topology_keys: &'a Option<Vec<String>>,
    allocatable: Option<()>,
}

impl Kind for CSIStorageCapacity {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        for amount in [&mut self.capacity, &mut self.maximum_volume_size].into_iter().flatten() {
            canonicalize_one(amount, false);
        }
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        validate_capacity(self, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        validate_capacity(self, &mut errors);
        if self.node_topology != old.node_topology {
            errors.push(invalid(&Path::new("nodeTopology"), Json(&self.node_topology), IMMUTABLE));
        }
        if self.storage_class_name != old.storage_class_name {
            errors.push(invalid(&Path::new("storageClassName"), &self.storage_class_name, IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }

    fn warnings(&self) -> Vec<String> {
        let Some(topology) = &self.node_topology else { return Vec::new() };
        let root = Path::new("nodeTopology");
        let (expressions_path, labels_path) = (root.child("matchExpressions"), root.child("matchLabels"));
        let mut warnings = Vec::new();
        for (position, expression) in topology.match_expressions.iter().flatten().enumerate() {
            let (text, path) = (deprecation(&expression.key), expressions_path.index(position));
            warnings.extend(text.map(|text| format!("{}: {} is {text}", path.child("key"), expression.key)));
        }
        for (label, _) in topology.match_labels.iter().flatten() {
            warnings.extend(deprecation(label).map(|text| format!("{}: {text}", labels_path.child(label))));
        }
        warnings
    }
}

fn validate_capacity(capacity: &CSIStorageCapacity, errors: &mut ErrorList) {
    let path = Path::new("nodeTopology");
    errors.extend(validate_label_selector(capacity.node_topology.as_ref(), SelectorRules::Strict, &path));
    let name = capacity.storage_class_name.as_str();
    extend_invalid(errors, &Path::new("storageClassName"), name, subdomain_name(name, false));
    for (field, amount) in [("capacity", &capacity.capacity), ("maximumVolumeSize", &capacity.maximum_volume_size)] {
        if let Some(amount) = amount.as_ref().filter(|amount| Quantity::of(amount).is_negative()) {
            errors.push(invalid(&Path::new(field), &amount.0, NOT_NEGATIVE));
        }
    }
}

impl Kind for VolumeAttachment {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self.status.get_or_insert_default() => attachment_metadata);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        validate_attachment(self, &mut errors);
        if let Some(volume) = &self.spec.source.persistent_volume_name {
            let path = Path::new("spec.source.persistentVolumeName");
            extend_invalid(&mut errors, &path, volume, dns1123_subdomain(volume));
        }
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        validate_attachment(self, &mut errors);
        if self.spec != old.spec {
            errors.push(invalid(&SPEC, Json(&shown(&self.spec)), IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

/// An attachment's spec as upstream's messages show it.
fn shown(spec: &VolumeAttachmentSpec) -> impl Serialize {
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Spec<'a> {
        attacher: &'a str,
        source: Source<'a>,
        node_name: &'a str,
    }
    #[derive(Serialize)]
    #[serde(rename_all = "PascalCase")]
    struct Source<'a> {
        persistent_volume_name: &'a Option<String>,
        inline_volume_spec: &'a Option<PersistentVolumeSpec>,
    }
    let source = &spec.source;
    Spec {
        attacher: &spec.attacher,
        source: Source {
            persistent_volume_name: &source.persistent_volume_name,
            inline_volume_spec: &source.inline_volume_spec,
        },
        node_name: &spec.node_name,
    }
}

fn validate_attachment(attachment: &VolumeAttachment, errors: &mut ErrorList) {
    let spec = &attachment.spec;
    check_driver_name(&spec.attacher, &SPEC.child("attacher"), errors);
    let path = SPEC.child("source");
    let one = "must specify exactly one of inlineVolumeSpec and persistentVolumeName";
    match (&spec.source.inline_volume_spec, &spec.source.persistent_volume_name) {
        (None, None) => errors.push(required(&path, one)),
        (Some(_), Some(_)) => errors.push(forbidden(&path, one)),
        (None, Some(name)) if name.is_empty() => {
            errors.push(required(&path.child("persistentVolumeName"), "must specify non empty persistentVolumeName"));
        }
        (None, Some(_)) => {}
        (Some(inline), None) => validate_inline_volume(inline, &path.child("inlineVolumeSpec"), errors),
    }
    extend_invalid(errors, &SPEC.child("nodeName"), &spec.node_name, subdomain_name(&spec.node_name, false));
    attachment.status.iter().for_each(|status| validate_attachment_status(status, errors));
}

fn validate_attachment_status(status: &VolumeAttachmentStatus, errors: &mut ErrorList) {
    let path = Path::new("status");
    let metadata = status.attachment_metadata.iter().flatten();
    if metadata.map(|(key, value)| key.len() + value.len()).sum::<usize>() > MAX_METADATA_BYTES {
        errors.push(too_long(&path.child("attachmentMetadata"), MAX_METADATA_BYTES));
    }
    for (field, error) in [("attachError", &status.attach_error), ("detachError", &status.detach_error)] {
        let Some(error) = error else { continue };
        let path = path.child(field);
        if text(&error.message).len() > MAX_ERROR_BYTES {
            errors.push(too_long(&path.child("message"), MAX_METADATA_BYTES));
        }
        if let Some(code @ ..0) = error.error_code {
            errors.push(invalid(&path.child("errorCode"), code, out_of_range(0, i32::MAX.into())));
        }
    }
}
