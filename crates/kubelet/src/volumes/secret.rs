//! `secret`: a Secret's keys as files, in memory.

use k8s_openapi::api::core::v1::{KeyToPath, Pod, SecretVolumeSource};

use super::VolumeContext;
use super::payload::{DEFAULT_MODE, Payload, PayloadError, select};
use crate::pod;

pub(super) async fn volume(
    pod: &Pod,
    source: &SecretVolumeSource,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    let name = source.secret_name.as_deref().unwrap_or_default();
    let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    let items = source.items.as_deref().unwrap_or_default();
    payload(pod, name, items, mode, source.optional == Some(true), context).await
}

pub(super) async fn payload(
    pod: &Pod,
    name: &str,
    items: &[KeyToPath],
    mode: i32,
    optional: bool,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    match context.objects.secret(pod::namespace(pod), name).await {
        Ok(Some(secret)) => {
            let data = secret.data.iter().flatten().map(|(key, value)| (key.clone(), value.0.clone())).collect();
            select("secret", data, items, mode, optional)
        }
        Ok(None) if optional => Ok(Payload::default()),
        Ok(None) => Err(PayloadError::NotFound { kind: "secret", name: name.to_owned() }),
        Err(error) => Err(PayloadError::Read { what: format!("secret \"{name}\""), cause: error.to_string() }),
    }
}
