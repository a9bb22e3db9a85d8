//! Volumes of network storage and of cloud vendors, in upstream's order between the others.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{
    AzureDiskVolumeSource, FCVolumeSource, FlexVolumeSource, FlockerVolumeSource, ISCSIVolumeSource,
    LocalObjectReference, NFSVolumeSource, QuobyteVolumeSource, StorageOSVolumeSource, Volume,
};

use super::volumes::Sources;
use super::{check_descending_path, check_label, check_optional_choice, require, require_label};
use crate::field::{ErrorList, Json, Path, invalid, not_supported, required};
use crate::meta::text;
use crate::names::out_of_range;

/// After `hostPath`.
pub(super) fn validate_first(volume: &Volume, sources: &mut Sources<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(repository) = sources.take(&volume.git_repo, "gitRepo", errors) {
        let path = path.child("gitRepo");
        require(&repository.repository, &path.child("repository"), errors);
        check_descending_path(text(&repository.directory), &path.child("directory"), errors);
    }
    if let Some(disk) = sources.take(&volume.gce_persistent_disk, "gcePersistentDisk", errors) {
        let path = path.child("persistentDisk");
        require(&disk.pd_name, &path.child("pdName"), errors);
        check_partition(disk.partition, &path.child("partition"), errors);
    }
    if let Some(disk) = sources.take(&volume.aws_elastic_block_store, "awsElasticBlockStore", errors) {
        let path = path.child("awsElasticBlockStore");
        require(&disk.volume_id, &path.child("volumeID"), errors);
        check_partition(disk.partition, &path.child("partition"), errors);
    }
}

/// After `secret`.
pub(super) fn validate_second(volume: &Volume, sources: &mut Sources<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(nfs) = sources.take(&volume.nfs, "nfs", errors) {
        validate_nfs(nfs, &path.child("nfs"), errors);
    }
    if let Some(iscsi) = sources.take(&volume.iscsi, "iscsi", errors) {
        validate_iscsi(iscsi, &path.child("iscsi"), errors);
    }
    if let Some(iscsi) = &volume.iscsi
        && iscsi.initiator_name.is_some()
        && volume.name.len() + 1 + iscsi.target_portal.len() > 64
    {
        let message = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
        errors.push(invalid(&path.child("name"), &volume.name, message));
    }
    if let Some(glusterfs) = sources.take(&volume.glusterfs, "glusterfs", errors) {
        let path = path.child("glusterfs");
        require(&glusterfs.endpoints, &path.child("endpoints"), errors);
        require(&glusterfs.path, &path.child("path"), errors);
    }
    if let Some(flocker) = sources.take(&volume.flocker, "flocker", errors) {
        validate_flocker(flocker, &path.child("flocker"), errors);
    }
}

/// After `persistentVolumeClaim`.
pub(super) fn validate_third(volume: &Volume, sources: &mut Sources<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(rbd) = sources.take(&volume.rbd, "rbd", errors) {
        let path = path.child("rbd");
        if rbd.monitors.is_empty() {
            errors.push(required(&path.child("monitors"), ""));
        }
        require(&rbd.image, &path.child("image"), errors);
    }
    if let Some(cinder) = sources.take(&volume.cinder, "cinder", errors) {
        let path = path.child("cinder");
        require(&cinder.volume_id, &path.child("volumeID"), errors);
        check_secret(cinder.secret_ref.as_ref(), &path, errors);
    }
    if let Some(cephfs) = sources.take(&volume.cephfs, "cephFS", errors)
        && cephfs.monitors.is_empty()
    {
        errors.push(required(&path.child("cephfs").child("monitors"), ""));
    }
    if let Some(quobyte) = sources.take(&volume.quobyte, "quobyte", errors) {
        validate_quobyte(quobyte, &path.child("quobyte"), errors);
    }
}

/// After `downwardAPI`.
pub(super) fn validate_fourth(volume: &Volume, sources: &mut Sources<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(fc) = sources.take(&volume.fc, "fc", errors) {
        validate_fc(fc, &path.child("fc"), errors);
    }
    if let Some(flex) = sources.take(&volume.flex_volume, "flexVolume", errors) {
        validate_flex(flex, &path.child("flexVolume"), errors);
    }
}

/// After `configMap`.
pub(super) fn validate_fifth(volume: &Volume, sources: &mut Sources<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(file) = sources.take(&volume.azure_file, "azureFile", errors) {
        let path = path.child("azureFile");
        require(&file.secret_name, &path.child("secretName"), errors);
        require(&file.share_name, &path.child("shareName"), errors);
    }
    if let Some(disk) = sources.take(&volume.vsphere_volume, "vsphereVolume", errors) {
        require(&disk.volume_path, &path.child("vsphereVolume").child("volumePath"), errors);
    }
    if let Some(disk) = sources.take(&volume.photon_persistent_disk, "photonPersistentDisk", errors) {
        require(&disk.pd_id, &path.child("photonPersistentDisk").child("pdID"), errors);
    }
    if let Some(portworx) = sources.take(&volume.portworx_volume, "portworxVolume", errors) {
        require(&portworx.volume_id, &path.child("portworxVolume").child("volumeID"), errors);
    }
    if let Some(disk) = sources.take(&volume.azure_disk, "azureDisk", errors) {
        validate_azure_disk(disk, &path.child("azureDisk"), errors);
    }
    if let Some(storageos) = sources.take(&volume.storageos, "storageos", errors) {
        validate_storageos(storageos, &path.child("storageos"), errors);
    }
}

/// After `projected`.
pub(super) fn validate_sixth(volume: &Volume, sources: &mut Sources<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(scale_io) = sources.take(&volume.scale_io, "scaleIO", errors) {
        let path = path.child("scaleIO");
        require(&scale_io.gateway, &path.child("gateway"), errors);
        require(&scale_io.system, &path.child("system"), errors);
        require(text(&scale_io.volume_name), &path.child("volumeName"), errors);
    }
}

pub(crate) fn check_partition(partition: Option<i32>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(partition) = partition.filter(|partition| !(0..=255).contains(partition)) {
        errors.push(invalid(path, partition, out_of_range(1, 255)));
    }
}

fn check_secret(secret: Option<&LocalObjectReference>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(secret) = secret {
        require(&secret.name, &path.child("secretRef").child("name"), errors);
    }
}

pub(crate) fn validate_nfs(nfs: &NFSVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    require(&nfs.server, &path.child("server"), errors);
    require(&nfs.path, &path.child("path"), errors);
    if !nfs.path.starts_with('/') {
        errors.push(invalid(&path.child("path"), &nfs.path, "must be an absolute path"));
    }
}

fn validate_iscsi(iscsi: &ISCSIVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    require(&iscsi.target_portal, &path.child("targetPortal"), errors);
    const FORMAT: &str = "must be valid format starting with iqn, eui, or naa";
    validate_target(&iscsi.iqn, iscsi.lun, FORMAT, path, errors);
    let authenticates = iscsi.chap_auth_discovery == Some(true) || iscsi.chap_auth_session == Some(true);
    if authenticates && iscsi.secret_ref.is_none() {
        errors.push(required(&path.child("secretRef"), ""));
    }
    if let Some(initiator) = &iscsi.initiator_name {
        check_initiator(initiator, FORMAT, &path.child("initiatorname"), errors);
    }
}

/// Checks what of a target names its disk. `format` is what is said of a name of no known type.
pub(crate) fn validate_target(name: &str, lun: i32, format: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(required(&path.child("iqn"), ""));
    } else {
        check_initiator(name, format, &path.child("iqn"), errors);
    }
    if !(0..=255).contains(&lun) {
        errors.push(invalid(&path.child("lun"), lun, out_of_range(0, 255)));
    }
}

pub(crate) fn check_initiator(name: &str, format: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let alphanumeric =
        |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let fits = match name.get(..3) {
        Some("iqn") => is_iqn(name),
        // One character of any kind stands between the type and the number.
        Some("eui") => name.get(4..).is_some_and(|number| alphanumeric(number, 16)),
        Some("naa") => name.get(4..).is_some_and(|number| alphanumeric(number, 32)),
        _ => {
            errors.push(invalid(path, name, format));
            return;
        }
    };
    if !fits {
        errors.push(invalid(path, name, "must be valid format"));
    }
}

/// `iqn.YYYY-MM.reversed.domain:name`; the name is optional and has none of a few special characters.
fn is_iqn(name: &str) -> bool {
    let Some((date, rest)) = name.strip_prefix("iqn.").and_then(|rest| rest.split_once('.')) else { return false };
    let digits = |text: &str, length| text.len() == length && text.bytes().all(|byte| byte.is_ascii_digit());
    let dated = date.split_once('-').is_some_and(|(year, month)| digits(year, 4) && digits(month, 2));
    let Some((domain, unique)) = rest.split_once(':') else { return false };
    let is_domain_byte = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    dated
        && !domain.is_empty()
        && domain.bytes().all(is_domain_byte)
        && !unique.is_empty()
        && !unique.contains(|character: char| ",;*&$|".contains(character) || character.is_ascii_whitespace())
}

pub(crate) fn validate_flocker(flocker: &FlockerVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    let (name, uuid) = (text(&flocker.dataset_name), text(&flocker.dataset_uuid));
    if name.is_empty() && uuid.is_empty() {
        errors.push(required(path, "one of datasetName and datasetUUID is required"));
    }
    if !name.is_empty() && !uuid.is_empty() {
        errors.push(invalid(path, "resource", "datasetName and datasetUUID can not be specified simultaneously"));
    }
    if name.contains('/') {
        errors.push(invalid(&path.child("datasetName"), name, "must not contain '/'"));
    }
}

pub(crate) fn validate_quobyte(quobyte: &QuobyteVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    let message = "must be a host:port pair or multiple pairs separated by commas";
    if quobyte.registry.is_empty() {
        errors.push(required(&path.child("registry"), message));
    } else if text(&quobyte.tenant).len() >= 65 {
        let message = "must be a UUID and may not exceed a length of 64 characters";
        errors.push(required(&path.child("tenant"), message));
    } else {
        for _ in quobyte.registry.split(',').filter(|pair| !pair.contains(':')) {
            errors.push(invalid(&path.child("registry"), &quobyte.registry, message));
        }
    }
    require(&quobyte.volume, &path.child("volume"), errors);
}

pub(crate) fn validate_fc(fc: &FCVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    let is_set = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
    let (targets, wwids) = (is_set(&fc.target_wwns), is_set(&fc.wwids));
    let targets_path = path.child("targetWWNs");
    if !targets && !wwids {
        errors.push(required(&targets_path, "must specify either targetWWNs or wwids, but not both"));
    }
    if targets && wwids {
        let message = "targetWWNs and wwids can not be specified simultaneously";
        errors.push(invalid(&targets_path, Json(&fc.target_wwns), message));
    }
    match fc.lun {
        None if targets => errors.push(required(&path.child("lun"), "lun is required if targetWWNs is specified")),
        Some(lun) if targets && !(0..=255).contains(&lun) => {
            errors.push(invalid(&path.child("lun"), lun, out_of_range(0, 255)));
        }
        _ => {}
    }
}

fn validate_flex(flex: &FlexVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    validate_flex_parts(&flex.driver, flex.options.as_ref(), path, errors);
}

pub(crate) fn validate_flex_parts(
    driver: &str,
    options: Option<&BTreeMap<String, String>>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    require(driver, &path.child("driver"), errors);
    let options_path = path.child("options");
    for key in options.into_iter().flatten().map(|(key, _)| key) {
        let namespace = key.split_once('/').map_or(key.as_str(), |(namespace, _)| namespace);
        let normalized = format!(".{}", namespace.to_lowercase());
        if normalized.ends_with(".kubernetes.io") || normalized.ends_with(".k8s.io") {
            let message = "kubernetes.io and k8s.io namespaces are reserved";
            errors.push(invalid(&options_path.key(key), key, message));
        }
    }
}

pub(crate) fn validate_azure_disk(disk: &AzureDiskVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    require(&disk.disk_name, &path.child("diskName"), errors);
    require(&disk.disk_uri, &path.child("diskURI"), errors);
    let modes = ["None", "ReadOnly", "ReadWrite"];
    check_optional_choice(disk.caching_mode.as_deref(), &modes, &path.child("cachingMode"), errors);
    check_optional_choice(disk.kind.as_deref(), &["Dedicated", "Managed", "Shared"], &path.child("kind"), errors);
    let (prefix, example) = match disk.kind.as_deref() {
        Some("Managed") => (
            "/subscriptions/",
            "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}",
        ),
        Some(_) => ("https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"),
        None => return,
    };
    if !disk.disk_uri.starts_with(prefix) {
        errors.push(not_supported(&path.child("diskURI"), &disk.disk_uri, &[example]));
    }
}

fn validate_storageos(storageos: &StorageOSVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    require_label(text(&storageos.volume_name), &path.child("volumeName"), errors);
    let namespace = text(&storageos.volume_namespace);
    if !namespace.is_empty() {
        check_label(namespace, &path.child("volumeNamespace"), errors);
    }
    check_secret(storageos.secret_ref.as_ref(), path, errors);
}
