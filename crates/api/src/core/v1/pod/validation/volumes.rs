//! Volumes: their names, and that each has exactly one source.

use k8s_openapi::api::core::v1::{
    CSIVolumeSource, EphemeralVolumeSource, HostPathVolumeSource, ImageVolumeSource, KeyToPath, PodSpec, Volume,
};

use super::container::Volumes;
use super::{
    SPEC, check_choice, check_local_path, check_no_backsteps, check_optional_choice, check_subdomain, network_volumes,
    projected, require, require_label,
};
use crate::core::v1::persistent_volume_claim::validate_claim_spec;
use crate::field::{ErrorList, Path, duplicate, extend_invalid, forbidden, invalid, required, too_long};
use crate::meta::{text, validate_template_meta};
use crate::names;
use crate::quantity::Quantity;

const FILE_MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const MAX_FILE_MODE: i32 = 0o777;
const HOST_PATH_TYPES: &[&str] =
    &["", "BlockDevice", "CharDevice", "Directory", "DirectoryOrCreate", "File", "FileOrCreate", "Socket"];

/// Checks the volumes and returns those that containers can mount.
pub(super) fn validate_volumes<'a>(spec: &'a PodSpec, pod_name: &str, errors: &mut ErrorList) -> Volumes<'a> {
    let mut volumes = Volumes::new();
    let list_path = SPEC.child("volumes");
    for (position, volume) in spec.volumes.iter().flatten().enumerate() {
        let path = list_path.index(position);
        let before = errors.len();
        validate_source(volume, pod_name, &path, errors);
        require_label(&volume.name, &path.child("name"), errors);
        if volumes.contains_key(volume.name.as_str()) {
            errors.push(duplicate(&path.child("name"), &volume.name));
        }
        if errors.len() == before {
            volumes.insert(&volume.name, volume);
        }
        forbid_created_claim(volume, spec, pod_name, &path, errors);
    }
    volumes
}

/// The claim that a Pod's own ephemeral volume creates is not one to mount besides.
fn forbid_created_claim(volume: &Volume, spec: &PodSpec, pod_name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let Some(claim) = volume.persistent_volume_claim.as_ref().filter(|_| !pod_name.is_empty()) else { return };
    let creates =
        |other: &Volume| other.ephemeral.is_some() && claim.claim_name == format!("{pod_name}-{}", other.name);
    if spec.volumes.iter().flatten().any(creates) {
        let path = path.child("persistentVolumeClaim");
        let message = "must not reference a PVC that gets created for an ephemeral volume";
        errors.push(invalid(&path.child("claimName"), &claim.claim_name, message));
    }
}

/// Counts the sources of a volume: the first is checked, any other is too many.
pub(super) struct Sources<'a> {
    path: &'a Path<'a>,
    found: bool,
}

impl Sources<'_> {
    /// The source, if it is there and the first. `complaint` is the field upstream names otherwise.
    pub fn take<'s, T>(
        &mut self,
        source: &'s Option<T>,
        complaint: &'static str,
        errors: &mut ErrorList,
    ) -> Option<&'s T> {
        let source = source.as_ref()?;
        if self.found {
            errors.push(forbidden(&self.path.child(complaint), "may not specify more than 1 volume type"));
            return None;
        }
        self.found = true;
        Some(source)
    }
}

/// The order and the misspelled fields are upstream's.
fn validate_source(volume: &Volume, pod_name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let mut sources = Sources { path, found: false };
    if let Some(empty_dir) = sources.take(&volume.empty_dir, "emptyDir", errors)
        && empty_dir.size_limit.as_ref().is_some_and(|limit| Quantity::of(limit).is_negative())
    {
        let path = path.child("emptyDir");
        errors.push(forbidden(&path.child("sizeLimit"), "SizeLimit field must be a valid resource quantity"));
    }
    if let Some(host_path) = sources.take(&volume.host_path, "hostPath", errors) {
        validate_host_path(host_path, &path.child("hostPath"), errors);
    }
    network_volumes::validate_first(volume, &mut sources, path, errors);
    if let Some(secret) = sources.take(&volume.secret, "secret", errors) {
        let path = path.child("secret");
        require(text(&secret.secret_name), &path.child("secretName"), errors);
        check_mode(secret.default_mode, &path.child("defaultMode"), errors);
        validate_items(secret.items.as_deref(), &path, errors);
    }
    network_volumes::validate_second(volume, &mut sources, path, errors);
    if let Some(claim) = sources.take(&volume.persistent_volume_claim, "persistentVolumeClaim", errors) {
        require(&claim.claim_name, &path.child("persistentVolumeClaim").child("claimName"), errors);
    }
    network_volumes::validate_third(volume, &mut sources, path, errors);
    if let Some(downward) = sources.take(&volume.downward_api, "downwarAPI", errors) {
        let path = path.child("downwardAPI");
        check_mode(downward.default_mode, &path.child("defaultMode"), errors);
        for file in downward.items.iter().flatten() {
            projected::validate_downward_file(file, &path, errors);
        }
    }
    network_volumes::validate_fourth(volume, &mut sources, path, errors);
    if let Some(config_map) = sources.take(&volume.config_map, "configMap", errors) {
        let path = path.child("configMap");
        require(&config_map.name, &path.child("name"), errors);
        check_mode(config_map.default_mode, &path.child("defaultMode"), errors);
        validate_items(config_map.items.as_deref(), &path, errors);
    }
    network_volumes::validate_fifth(volume, &mut sources, path, errors);
    if let Some(projected) = sources.take(&volume.projected, "projected", errors) {
        projected::validate_projected(projected, &path.child("projected"), errors);
    }
    network_volumes::validate_sixth(volume, &mut sources, path, errors);
    if let Some(csi) = sources.take(&volume.csi, "csi", errors) {
        validate_csi(csi, &path.child("csi"), errors);
    }
    if let Some(ephemeral) = sources.take(&volume.ephemeral, "ephemeral", errors) {
        validate_ephemeral(ephemeral, &path.child("ephemeral"), errors);
        validate_claim_name(volume, pod_name, path, errors);
    }
    if let Some(image) = sources.take(&volume.image, "image", errors) {
        validate_image(image, &path.child("image"), errors);
    }
    if !sources.found {
        errors.push(required(path, "must specify a volume type"));
    }
}

pub(crate) fn validate_host_path(host_path: &HostPathVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    if host_path.path.is_empty() {
        errors.push(required(&path.child("path"), ""));
        return;
    }
    check_no_backsteps(&host_path.path, &path.child("path"), errors);
    check_optional_choice(host_path.type_.as_deref(), HOST_PATH_TYPES, &path.child("type"), errors);
}

pub(super) fn check_mode(mode: Option<i32>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(mode) = mode.filter(|mode| !(0..=MAX_FILE_MODE).contains(mode)) {
        errors.push(invalid(path, mode, FILE_MODE));
    }
}

pub(super) fn validate_items(items: Option<&[KeyToPath]>, path: &Path<'_>, errors: &mut ErrorList) {
    let list_path = path.child("items");
    for (position, item) in items.into_iter().flatten().enumerate() {
        validate_item(item, &list_path.index(position), errors);
    }
}

pub(super) fn validate_item(item: &KeyToPath, path: &Path<'_>, errors: &mut ErrorList) {
    require(&item.key, &path.child("key"), errors);
    require(&item.path, &path.child("path"), errors);
    check_local_path(&item.path, &path.child("path"), errors);
    check_mode(item.mode, &path.child("mode"), errors);
}

/// The name of a storage driver, wherever it stands.
pub(crate) fn check_driver_name(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(required(path, ""));
        return;
    }
    if name.len() > names::LABEL_MAX_LENGTH {
        errors.push(too_long(path, names::LABEL_MAX_LENGTH));
    }
    extend_invalid(errors, path, name, names::dns1123_subdomain(&name.to_lowercase()));
}

fn validate_csi(csi: &CSIVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    check_driver_name(&csi.driver, &path.child("driver"), errors);
    if let Some(secret) = &csi.node_publish_secret_ref {
        if secret.name.is_empty() {
            errors.push(required(&path.child("nodePublishSecretRef").child("name"), ""));
        } else {
            check_subdomain(&secret.name, &path.child("name"), errors);
        }
    }
}

fn validate_image(image: &ImageVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    require(text(&image.reference), &path.child("reference"), errors);
    let policies = ["Always", "IfNotPresent", "Never"];
    check_choice(text(&image.pull_policy), &policies, &path.child("pullPolicy"), errors);
}

/// The claim of an ephemeral volume is named after the Pod and the volume.
fn validate_claim_name(volume: &Volume, pod_name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if pod_name.is_empty() || volume.name.is_empty() {
        return;
    }
    let claim = format!("{pod_name}-{}", volume.name);
    for problem in names::dns1123_subdomain(&claim) {
        errors.push(invalid(&path.child("name"), &volume.name, format!("PVC name \"{claim}\": {problem}")));
    }
}

fn validate_ephemeral(ephemeral: &EphemeralVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    let path = path.child("volumeClaimTemplate");
    let Some(template) = &ephemeral.volume_claim_template else {
        errors.push(required(&path, ""));
        return;
    };
    if let Some(meta) = &template.metadata {
        errors.extend(validate_template_meta(meta, &path.child("metadata")));
    }
    validate_claim_spec(&template.spec, &path.child("spec"), errors);
}
