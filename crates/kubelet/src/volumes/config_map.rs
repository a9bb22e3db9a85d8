//! `configMap`: a ConfigMap's keys as files.

use k8s_openapi::api::core::v1::{ConfigMap, ConfigMapVolumeSource, KeyToPath, Pod};

use super::VolumeContext;
use super::payload::{DEFAULT_MODE, Payload, PayloadError, select};
use crate::pod;

pub(super) async fn volume(
    pod: &Pod,
    source: &ConfigMapVolumeSource,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    let items = source.items.as_deref().unwrap_or_default();
    payload(pod, &source.name, items, mode, source.optional == Some(true), context).await
}

pub(super) async fn payload(
    pod: &Pod,
    name: &str,
    items: &[KeyToPath],
    mode: i32,
    optional: bool,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    match context.objects.config_map(pod::namespace(pod), name).await {
        Ok(Some(config_map)) => files(&config_map, items, mode, optional),
        Ok(None) if optional => Ok(Payload::default()),
        Ok(None) => Err(PayloadError::NotFound { kind: "configmap", name: name.to_owned() }),
        Err(error) => Err(PayloadError::Read { what: format!("configmap \"{name}\""), cause: error.to_string() }),
    }
}

fn files(config_map: &ConfigMap, items: &[KeyToPath], mode: i32, optional: bool) -> Result<Payload, PayloadError> {
    let text = config_map.data.iter().flatten().map(|(key, value)| (key.clone(), value.clone().into_bytes()));
    let binary = config_map.binary_data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone()));
    select("config", text.chain(binary).collect(), items, mode, optional)
}
