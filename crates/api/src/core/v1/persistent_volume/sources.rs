//! Where the data of a volume is: exactly one of many fields.

use k8s_openapi::api::core::v1::{
    CSIPersistentVolumeSource, GlusterfsPersistentVolumeSource, ISCSIPersistentVolumeSource, PersistentVolumeSpec,
    SecretReference, StorageOSPersistentVolumeSource,
};
use serde_json::{Map, Value};

use crate::core::v1::pod::network_volumes::{
    check_initiator, check_partition, validate_azure_disk, validate_fc, validate_flex_parts, validate_flocker,
    validate_nfs, validate_quobyte, validate_target,
};
use crate::core::v1::pod::volumes::{check_driver_name, validate_host_path};
use crate::core::v1::pod::{check_label, check_no_backsteps, require, require_label};
use crate::field::{ErrorList, Path, extend_invalid, forbidden, invalid, required};
use crate::meta::text;
use crate::names;

/// The fields, in the order in which upstream looks at them.
const SOURCES: &[&str] = &[
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "glusterfs",
    "flocker",
    "nfs",
    "rbd",
    "quobyte",
    "cephfs",
    "iscsi",
    "cinder",
    "fc",
    FLEX,
    "azureFile",
    "vsphereVolume",
    "photonPersistentDisk",
    "portworxVolume",
    "azureDisk",
    "scaleIO",
    "local",
    "storageos",
    "csi",
];
/// The one that is checked even where it is one too many.
const FLEX: &str = "flexVolume";
/// Those that heed mount options.
const MOUNTED: &[&str] = &[
    "awsElasticBlockStore",
    "azureDisk",
    "azureFile",
    "cephfs",
    "cinder",
    "csi",
    "gcePersistentDisk",
    "glusterfs",
    "iscsi",
    "nfs",
    "quobyte",
    "rbd",
    "storageos",
    "vsphereVolume",
];

/// The fields that are set.
pub(super) fn of(spec: &PersistentVolumeSpec) -> Map<String, Value> {
    let Ok(Value::Object(mut fields)) = serde_json::to_value(spec) else { return Map::new() };
    fields.retain(|name, _| SOURCES.contains(&name.as_str()));
    fields
}

pub(super) fn takes_mount_options(spec: &PersistentVolumeSpec) -> bool {
    of(spec).keys().any(|name| MOUNTED.contains(&name.as_str()))
}

/// Checks the first source, and refuses the others.
pub(super) fn validate(spec: &PersistentVolumeSpec, volume: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let fields = of(spec);
    let mut any = false;
    for name in SOURCES.iter().filter(|name| fields.contains_key(**name)) {
        if any && *name != FLEX {
            let shown = if *name == "cephfs" { "cephFS" } else { name };
            errors.push(forbidden(&path.child(shown), "may not specify more than 1 volume type"));
        } else {
            validate_block(name, spec, path, errors);
            validate_network(name, spec, volume, path, errors);
            validate_vendor(name, spec, path, errors);
        }
        any = true;
    }
    if !any {
        errors.push(required(path, "must specify a volume type"));
    }
}

/// Directories and disks.
fn validate_block(name: &str, spec: &PersistentVolumeSpec, root: &Path<'_>, errors: &mut ErrorList) {
    let path = root.child(name);
    if let ("hostPath", Some(host_path)) = (name, &spec.host_path) {
        validate_host_path(host_path, &path, errors);
    } else if let ("gcePersistentDisk", Some(disk)) = (name, &spec.gce_persistent_disk) {
        let path = root.child("persistentDisk");
        require(&disk.pd_name, &path.child("pdName"), errors);
        check_partition(disk.partition, &path.child("partition"), errors);
    } else if let ("awsElasticBlockStore", Some(disk)) = (name, &spec.aws_elastic_block_store) {
        require(&disk.volume_id, &path.child("volumeID"), errors);
        check_partition(disk.partition, &path.child("partition"), errors);
    } else if let ("local", Some(local)) = (name, &spec.local) {
        if local.path.is_empty() {
            errors.push(required(&path.child("path"), ""));
        } else {
            check_no_backsteps(&local.path, &path.child("path"), errors);
        }
        if spec.node_affinity.is_none() {
            errors.push(required(&root.child("nodeAffinity"), "Local volume requires node affinity"));
        }
    } else if let ("csi", Some(csi)) = (name, &spec.csi) {
        validate_csi(csi, &path, errors);
    } else if let ("fc", Some(fc)) = (name, &spec.fc) {
        validate_fc(fc, &path, errors);
    }
}

/// File systems and disks on a network.
fn validate_network(name: &str, spec: &PersistentVolumeSpec, volume: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let path = path.child(name);
    if let ("glusterfs", Some(glusterfs)) = (name, &spec.glusterfs) {
        validate_glusterfs(glusterfs, &path, errors);
    } else if let ("nfs", Some(nfs)) = (name, &spec.nfs) {
        validate_nfs(nfs, &path, errors);
    } else if let ("rbd", Some(rbd)) = (name, &spec.rbd) {
        if rbd.monitors.is_empty() {
            errors.push(required(&path.child("monitors"), ""));
        }
        require(&rbd.image, &path.child("image"), errors);
    } else if let ("cephfs", Some(cephfs)) = (name, &spec.cephfs) {
        if cephfs.monitors.is_empty() {
            errors.push(required(&path.child("monitors"), ""));
        }
    } else if let ("iscsi", Some(iscsi)) = (name, &spec.iscsi) {
        validate_iscsi(iscsi, volume, &path, errors);
    } else if let ("cinder", Some(cinder)) = (name, &spec.cinder) {
        require(&cinder.volume_id, &path.child("volumeID"), errors);
        if let Some(secret) = &cinder.secret_ref {
            let path = path.child("secretRef");
            require(text(&secret.name), &path.child("name"), errors);
            require(text(&secret.namespace), &path.child("namespace"), errors);
        }
    }
}

/// What vendors brought.
fn validate_vendor(name: &str, spec: &PersistentVolumeSpec, path: &Path<'_>, errors: &mut ErrorList) {
    let path = path.child(name);
    if let ("flocker", Some(flocker)) = (name, &spec.flocker) {
        validate_flocker(flocker, &path, errors);
    } else if let ("quobyte", Some(quobyte)) = (name, &spec.quobyte) {
        validate_quobyte(quobyte, &path, errors);
    } else if let (FLEX, Some(flex)) = (name, &spec.flex_volume) {
        validate_flex_parts(&flex.driver, flex.options.as_ref(), &path, errors);
    } else if let ("azureFile", Some(file)) = (name, &spec.azure_file) {
        require(&file.secret_name, &path.child("secretName"), errors);
        require(&file.share_name, &path.child("shareName"), errors);
        if file.secret_namespace.as_ref().is_some_and(String::is_empty) {
            errors.push(required(&path.child("secretNamespace"), ""));
        }
    } else if let ("vsphereVolume", Some(disk)) = (name, &spec.vsphere_volume) {
        require(&disk.volume_path, &path.child("volumePath"), errors);
    } else if let ("photonPersistentDisk", Some(disk)) = (name, &spec.photon_persistent_disk) {
        require(&disk.pd_id, &path.child("pdID"), errors);
    } else if let ("portworxVolume", Some(portworx)) = (name, &spec.portworx_volume) {
        require(&portworx.volume_id, &path.child("volumeID"), errors);
    } else if let ("azureDisk", Some(disk)) = (name, &spec.azure_disk) {
        validate_azure_disk(disk, &path, errors);
    } else if let ("scaleIO", Some(scale_io)) = (name, &spec.scale_io) {
        require(&scale_io.gateway, &path.child("gateway"), errors);
        require(&scale_io.system, &path.child("system"), errors);
        require(text(&scale_io.volume_name), &path.child("volumeName"), errors);
    } else if let ("storageos", Some(storageos)) = (name, &spec.storageos) {
        validate_storageos(storageos, &path, errors);
    }
}

fn validate_csi(csi: &CSIPersistentVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    check_driver_name(&csi.driver, &path.child("driver"), errors);
    require(&csi.volume_handle, &path.child("volumeHandle"), errors);
    for (field, secret) in [
        ("controllerPublishSecretRef", &csi.controller_publish_secret_ref),
        ("controllerExpandSecretRef", &csi.controller_expand_secret_ref),
        ("nodePublishSecretRef", &csi.node_publish_secret_ref),
        ("nodeExpandSecretRef", &csi.node_expand_secret_ref),
    ] {
        secret.iter().for_each(|secret| validate_secret(secret, &path.child(field), errors));
    }
}

fn validate_secret(secret: &SecretReference, path: &Path<'_>, errors: &mut ErrorList) {
    let name = text(&secret.name);
    if name.is_empty() {
        errors.push(required(&path.child("name"), ""));
    } else {
        extend_invalid(errors, &path.child("name"), name, names::dns1123_subdomain(name));
    }
    require_label(text(&secret.namespace), &path.child("namespace"), errors);
}

fn validate_glusterfs(glusterfs: &GlusterfsPersistentVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    require(&glusterfs.endpoints, &path.child("endpoints"), errors);
    require(&glusterfs.path, &path.child("path"), errors);
    match glusterfs.endpoints_namespace.as_deref() {
        Some("") => {
            let message = "if the endpointnamespace is set, it must be a valid namespace name";
            errors.push(invalid(&path.child("endpointsNamespace"), "", message));
        }
        Some(namespace) => check_label(namespace, &path.child("endpointsNamespace"), errors),
        None => {}
    }
}

fn validate_iscsi(iscsi: &ISCSIPersistentVolumeSource, volume: &str, path: &Path<'_>, errors: &mut ErrorList) {
    require(&iscsi.target_portal, &path.child("targetPortal"), errors);
    // In a Pod's volume, upstream says more of an initiator of no known type.
    const FORMAT: &str = "must be valid format";
    if iscsi.initiator_name.is_some() && volume.len() + 1 + iscsi.target_portal.len() > 64 {
        let message = "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.";
        errors.push(invalid(&path.child("targetportal"), &iscsi.target_portal, message));
    }
    let authenticates = iscsi.chap_auth_discovery == Some(true) || iscsi.chap_auth_session == Some(true);
    validate_target(&iscsi.iqn, iscsi.lun, FORMAT, path, errors);
    match &iscsi.secret_ref {
        None if authenticates => errors.push(required(&path.child("secretRef"), "")),
        Some(secret) => require(text(&secret.name), &path.child("secretRef").child("name"), errors),
        None => {}
    }
    if let Some(initiator) = &iscsi.initiator_name {
        check_initiator(initiator, FORMAT, &path.child("initiatorname"), errors);
    }
}

fn validate_storageos(storageos: &StorageOSPersistentVolumeSource, path: &Path<'_>, errors: &mut ErrorList) {
    require_label(text(&storageos.volume_name), &path.child("volumeName"), errors);
    let namespace = text(&storageos.volume_namespace);
    if !namespace.is_empty() {
        check_label(namespace, &path.child("volumeNamespace"), errors);
    }
    if let Some(secret) = &storageos.secret_ref {
        let path = path.child("secretRef");
        require(text(&secret.name), &path.child("name"), errors);
        require(text(&secret.namespace), &path.child("namespace"), errors);
    }
}
