//! `volumeDevices`: volumes that a container sees as a device node instead of a directory. Pure.

use k8s_openapi::api::core::v1::{Container, Pod};

use super::MountedVolumes;
use crate::container_config::ConfigError;
use crate::pod;

/// The `volumeMode` of a PersistentVolume that is a device.
pub(super) const BLOCK: &str = "Block";
const FILESYSTEM: &str = "Filesystem";

/// Why a volume cannot be both what it is and what the Pod takes it for.
pub(super) fn contradiction(pod: &Pod, volume: &str, is_block: bool) -> Option<String> {
    let contradicts = |container: &Container| match is_block {
        true => container.volume_mounts.iter().flatten().any(|mount| mount.name == volume),
        false => container.volume_devices.iter().flatten().any(|device| device.name == volume),
    };
    let (mode, field) = if is_block { (BLOCK, "volumeMounts") } else { (FILESYSTEM, "volumeDevices") };
    pod::all_containers(pod)
        .any(|(_, container)| contradicts(container))
        .then(|| format!("volume {volume} has volumeMode {mode}, but is specified in {field}"))
}

/// The devices of a container that are volumes.
///
/// # Errors
/// [`ConfigError::VolumeNotFound`] for a volume the Pod does not have.
pub fn container_devices(container: &Container, volumes: &MountedVolumes) -> Result<Vec<cri::Device>, ConfigError> {
    let device = |device: &k8s_openapi::api::core::v1::VolumeDevice| {
        let volume = volumes.volumes.get(&device.name).filter(|volume| volume.is_block);
        let volume = volume.ok_or_else(|| ConfigError::VolumeNotFound {
            volume: device.name.clone(),
            container: container.name.clone(),
        })?;
        Ok(cri::Device {
            container_path: device.device_path.clone(),
            host_path: volume.host_path.to_string_lossy().into_owned(),
            permissions: if volume.read_only { "r" } else { "mrw" }.to_owned(),
        })
    };
    container.volume_devices.iter().flatten().map(device).collect()
}

#[cfg(test)]
mod tests {
    use super::super::MountedVolume;
    use super::*;

    fn pod(container: &str) -> Pod {
        crate::testing::pod(&format!("{{containers: [{{name: main, {container}}}]}}"))
    }

    #[test]
    fn a_volume_is_used_as_what_it_is() {
        let mounts = pod("volumeMounts: [{name: v, mountPath: /v}]");
        let devices = pod("volumeDevices: [{name: v, devicePath: /dev/v}]");
        assert_eq!(contradiction(&mounts, "v", false), None);
        assert_eq!(contradiction(&devices, "v", true), None);
        assert_eq!(
            contradiction(&mounts, "v", true).unwrap(),
            "volume v has volumeMode Block, but is specified in volumeMounts"
        );
        assert_eq!(
            contradiction(&devices, "v", false).unwrap(),
            "volume v has volumeMode Filesystem, but is specified in volumeDevices"
        );
    }

    #[test]
    fn devices_appear_where_asked() {
        let pod = pod("volumeDevices: [{name: v, devicePath: /dev/xvda}]");
        let container = &pod.spec.as_ref().unwrap().containers[0];
        let mut volumes = MountedVolumes::default();
        let missing = container_devices(container, &volumes).unwrap_err();
        assert_eq!(missing.to_string(), "cannot find volume \"v\" to mount into container \"main\"");
        let device = MountedVolume { is_block: true, ..MountedVolume::at("/dev/loop7".into(), true) };
        volumes.volumes.insert("v".to_owned(), device);
        let devices = container_devices(container, &volumes).unwrap();
        let shown = |device: &cri::Device| {
            (device.host_path.clone(), device.container_path.clone(), device.permissions.clone())
        };
        let expected = ("/dev/loop7".to_owned(), "/dev/xvda".to_owned(), "r".to_owned());
        assert_eq!(devices.iter().map(shown).collect::<Vec<_>>(), [expected]);
    }
}
