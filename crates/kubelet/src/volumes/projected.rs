//! `projected`: several sources in one directory, tokens among them.

use k8s_openapi::api::core::v1::{
    ClusterTrustBundleProjection, Pod, ProjectedVolumeSource, ServiceAccountTokenProjection, VolumeProjection,
};

use super::payload::{DEFAULT_MODE, File, Payload, PayloadError};
use super::{VolumeContext, common_user, downward_api, keyed, ownership};

/// A token with no stated lifetime lives an hour.
const DEFAULT_EXPIRATION_SECONDS: i64 = 3600;

pub(super) async fn volume(
    pod: &Pod,
    source: &ProjectedVolumeSource,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    let mode = source.default_mode.unwrap_or(DEFAULT_MODE);
    let sources = source.sources.as_deref().unwrap_or_default();
    let parts = sources.iter().map(|source| projection(pod, source, mode, context));
    let mut payload = Payload::default();
    for part in futures::future::join_all(parts).await {
        payload.merge(part?);
    }
    Ok(payload)
}

async fn projection(
    pod: &Pod,
    source: &VolumeProjection,
    mode: i32,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    if let Some(source) = &source.config_map {
        return keyed::payload(pod, source.into(), mode, context).await;
    }
    if let Some(source) = &source.secret {
        return keyed::payload(pod, source.into(), mode, context).await;
    }
    if let Some(source) = &source.downward_api {
        return downward_api::payload(pod, source.items.as_deref().unwrap_or_default(), mode, context);
    }
    if let Some(source) = &source.service_account_token {
        return token(pod, source, mode, context).await;
    }
    if let Some(source) = &source.cluster_trust_bundle {
        return certificates(pod, source, mode, context).await;
    }
    Err(PayloadError::Unsupported("podCertificate"))
}

async fn certificates(
    pod: &Pod,
    source: &ClusterTrustBundleProjection,
    mode: i32,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    let text = context.objects.certificates(source).await;
    let text = text.map_err(|error| PayloadError::TrustBundle(error.to_string()))?;
    let owner = common_user(pod);
    let mode = mode_for(pod, owner, mode);
    let mut payload = Payload::default();
    payload.insert(&source.path, File { owner, ..File::new(text.into_bytes(), mode) })?;
    Ok(payload)
}

/// Whoever is given the file by user or group needs no wider mode.
fn mode_for(pod: &Pod, owner: Option<i64>, mode: i32) -> i32 {
    if owner.is_some() || ownership::fs_group(pod).is_some() { 0o600 } else { mode }
}

async fn token(
    pod: &Pod,
    source: &ServiceAccountTokenProjection,
    mode: i32,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    let seconds = source.expiration_seconds.unwrap_or(DEFAULT_EXPIRATION_SECONDS);
    let audience = source.audience.as_deref().filter(|audience| !audience.is_empty());
    let token = context
        .objects
        .token(pod, audience, seconds, context.now)
        .await
        .map_err(|error| PayloadError::Token(error.to_string()))?;
    let owner = common_user(pod);
    let mode = mode_for(pod, owner, mode);
    let mut payload = Payload::default();
    payload.insert(&source.path, File { owner, ..File::new(token.text.into_bytes(), mode) })?;
    payload.refresh_at = Some(token.refresh_at);
    Ok(payload)
}
