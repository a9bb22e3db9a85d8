//! `downwardAPI`: facts about the Pod as files.

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, DownwardAPIVolumeSource, Pod};

use super::VolumeContext;
use super::payload::{DEFAULT_MODE, File, Payload, PayloadError};
use crate::container_config::ConfigError;
use crate::container_config::field_ref::{pod_field, resource_field};

pub(super) fn volume(
    pod: &Pod,
    source: &DownwardAPIVolumeSource,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    payload(pod, source.items.as_deref().unwrap_or_default(), mode, context)
}

pub(super) fn payload(
    pod: &Pod,
    items: &[DownwardAPIVolumeFile],
    default_mode: i32,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    let mut payload = Payload::default();
    for item in items {
        let text = value(pod, item, context)?;
        payload.insert(&item.path, File::new(text.into_bytes(), item.mode.unwrap_or(default_mode)))?;
    }
    Ok(payload)
}

fn value(pod: &Pod, item: &DownwardAPIVolumeFile, context: VolumeContext<'_>) -> Result<String, ConfigError> {
    if let Some(reference) = &item.field_ref {
        // Addresses of the Pod are not offered here: the volume is made before they are known.
        return pod_field(pod, &reference.field_path, &[], context.host_ips);
    }
    match &item.resource_field_ref {
        Some(reference) => {
            let container = reference.container_name.as_deref().unwrap_or_default();
            resource_field(pod, container, reference, context.allocatable)
        }
        None => Ok(String::new()),
    }
}
