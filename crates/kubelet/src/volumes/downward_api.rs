//! `downwardAPI`: facts about the Pod as files.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{DownwardAPIVolumeFile, DownwardAPIVolumeSource, Pod, ResourceRequirements, Volume};

use super::VolumeContext;
use super::payload::{DEFAULT_MODE, File, Payload, PayloadError};
use crate::container_config::ConfigError;
use crate::container_config::field_ref::{pod_field, resource_field};
use crate::pod;

/// The fields of a Pod that can change under a running Pod and that its volumes show.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct ShownFields {
    labels: Option<BTreeMap<String, String>>,
    annotations: Option<BTreeMap<String, String>>,
    resources: Vec<Option<ResourceRequirements>>,
}

impl ShownFields {
    /// Those of a Pod, if one of its volumes shows any.
    pub fn of(pod: &Pod) -> Option<Self> {
        let volumes = pod.spec.as_ref()?.volumes.as_deref()?;
        let shows = |volume: &Volume| {
            let mut sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
            volume.downward_api.is_some() || sources.any(|source| source.downward_api.is_some())
        };
        volumes.iter().any(shows).then(|| Self::read(pod))
    }

    /// Whether the Pod has these.
    pub fn are_of(&self, pod: &Pod) -> bool {
        *self == Self::read(pod)
    }

    fn read(pod: &Pod) -> Self {
        Self {
            labels: pod.metadata.labels.clone(),
            annotations: pod.metadata.annotations.clone(),
            resources: pod::all_containers(pod).map(|(_, container)| container.resources.clone()).collect(),
        }
    }
}

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
