//! Where containers see volumes: mounts and block devices.

use std::collections::HashSet;

use k8s_openapi::api::core::v1::VolumeMount;

use super::container::Volumes;
use super::{check_descending_path, check_optional_choice, has_backsteps, require};
use crate::core::v1::pod::ContainerRef;
use crate::field::{ErrorList, Path, forbidden, invalid, not_found};
use crate::meta::text;

pub(super) fn validate_mounts(
    container: &ContainerRef<'_>,
    volumes: &Volumes<'_>,
    list_path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let devices = container.volume_devices.map_or(&[][..], Vec::as_slice);
    let mut taken = HashSet::new();
    for (position, mount) in container.volume_mounts.into_iter().flatten().enumerate() {
        let path = list_path.index(position);
        let (name_path, mount_path) = (path.child("name"), path.child("mountPath"));
        require(&mount.name, &name_path, errors);
        let volume = volumes.get(mount.name.as_str());
        if volume.is_none() {
            errors.push(not_found(&name_path, &mount.name));
        }
        require(&mount.mount_path, &mount_path, errors);
        if !taken.insert(&mount.mount_path) {
            errors.push(invalid(&mount_path, &mount.mount_path, "must be unique"));
        }
        if devices.iter().any(|device| device.name == mount.name) {
            errors.push(invalid(&name_path, &mount.name, "must not already exist in volumeDevices"));
        }
        if devices.iter().any(|device| device.device_path == mount.mount_path) {
            let message = "must not already exist as a path in volumeDevices";
            errors.push(invalid(&mount_path, &mount.mount_path, message));
        }
        validate_sub_path(mount, list_path, &path, errors);
        validate_propagation(mount, container, list_path, errors);
        validate_recursive_read_only(mount, &list_path.child("recursiveReadOnly"), errors);
    }
}

fn validate_sub_path(mount: &VolumeMount, list_path: &Path<'_>, path: &Path<'_>, errors: &mut ErrorList) {
    let (sub_path, expression) = (text(&mount.sub_path), text(&mount.sub_path_expr));
    if !sub_path.is_empty() {
        // Upstream names the list and not the mount here.
        check_descending_path(sub_path, &list_path.child("subPath"), errors);
    }
    if !expression.is_empty() {
        if !sub_path.is_empty() {
            let message = "subPathExpr and subPath are mutually exclusive";
            errors.push(invalid(&path.child("subPathExpr"), expression, message));
        }
        check_descending_path(expression, &list_path.child("subPathExpr"), errors);
    }
}

fn validate_propagation(
    mount: &VolumeMount,
    container: &ContainerRef<'_>,
    list_path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let path = list_path.child("mountPropagation");
    let propagation = mount.mount_propagation.as_deref();
    check_optional_choice(propagation, &["Bidirectional", "HostToContainer", "None"], &path, errors);
    let privileged = container.security_context.is_some_and(|context| context.privileged == Some(true));
    if propagation == Some("Bidirectional") && !privileged {
        let message = "Bidirectional mount propagation is available only to privileged containers";
        errors.push(forbidden(&path, message));
    }
}

fn validate_recursive_read_only(mount: &VolumeMount, path: &Path<'_>, errors: &mut ErrorList) {
    let mode = mount.recursive_read_only.as_deref();
    check_optional_choice(mode, &["Disabled", "Enabled", "IfPossible"], path, errors);
    if !matches!(mode, Some("Enabled" | "IfPossible")) {
        return;
    }
    if mount.read_only != Some(true) {
        errors.push(forbidden(path, "may only be specified when readOnly is true"));
    }
    if mount.mount_propagation.as_deref().is_some_and(|propagation| propagation != "None") {
        errors.push(forbidden(path, "may only be specified when mountPropagation is None or not specified"));
    }
}

pub(super) fn validate_devices(
    container: &ContainerRef<'_>,
    volumes: &Volumes<'_>,
    list_path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let mounts = container.volume_mounts.map_or(&[][..], Vec::as_slice);
    let (mut names, mut paths) = (HashSet::new(), HashSet::new());
    for (position, device) in container.volume_devices.into_iter().flatten().enumerate() {
        let path = list_path.index(position);
        let (name_path, device_path) = (path.child("name"), path.child("devicePath"));
        require(&device.name, &name_path, errors);
        if !device.name.is_empty() && !names.insert(&device.name) {
            errors.push(invalid(&name_path, &device.name, "must be unique"));
        }
        match volumes.get(device.name.as_str()) {
            None => errors.push(not_found(&name_path, &device.name)),
            Some(volume) if volume.persistent_volume_claim.is_some() || volume.ephemeral.is_some() => {}
            Some(_) => {
                let message = "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode";
                errors.push(invalid(&name_path, &device.name, message));
            }
        }
        require(&device.device_path, &device_path, errors);
        if paths.contains(&device.device_path) {
            errors.push(invalid(&device_path, &device.device_path, "must be unique"));
        }
        if has_backsteps(&device.device_path) {
            errors.push(invalid(&device_path, &device.device_path, "can not contain backsteps ('..')"));
        } else {
            paths.insert(&device.device_path);
        }
        if mounts.iter().any(|mount| mount.name == device.name) {
            errors.push(invalid(&name_path, &device.name, "must not already exist in volumeMounts"));
        }
        if mounts.iter().any(|mount| mount.mount_path == device.device_path) {
            let message = "must not already exist as a path in volumeMounts";
            errors.push(invalid(&device_path, &device.device_path, message));
        }
    }
}
