//! `projected`: several sources in one directory, tokens among them.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, ProjectedVolumeSource, ServiceAccountTokenProjection, VolumeProjection};

use super::payload::{DEFAULT_MODE, File, Payload, PayloadError};
use super::{VolumeContext, common_user, config_map, downward_api, ownership, secret};

/// A token with no stated lifetime lives an hour.
const DEFAULT_EXPIRATION_SECONDS: i64 = 3600;
/// A token is replaced at the latest after a day.
const MAX_TOKEN_AGE: SignedDuration = SignedDuration::from_hours(24);

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
        let items = source.items.as_deref().unwrap_or_default();
        return config_map::payload(pod, &source.name, items, mode, source.optional == Some(true), context).await;
    }
    if let Some(source) = &source.secret {
        let items = source.items.as_deref().unwrap_or_default();
        return secret::payload(pod, &source.name, items, mode, source.optional == Some(true), context).await;
    }
    if let Some(source) = &source.downward_api {
        return downward_api::payload(pod, source.items.as_deref().unwrap_or_default(), mode, context);
    }
    if let Some(source) = &source.service_account_token {
        return token(pod, source, mode, context).await;
    }
    Err(PayloadError::Unsupported(match source.cluster_trust_bundle {
        Some(_) => "clusterTrustBundle",
        None => "podCertificate",
    }))
}

async fn token(
    pod: &Pod,
    source: &ServiceAccountTokenProjection,
    mode: i32,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    let seconds = source.expiration_seconds.unwrap_or(DEFAULT_EXPIRATION_SECONDS);
    let audience = source.audience.as_deref().filter(|audience| !audience.is_empty());
    let status = context
        .objects
        .token(pod, audience, Some(seconds))
        .await
        .map_err(|error| PayloadError::Token(error.to_string()))?;
    let none = || PayloadError::Token("the answer has none".to_owned());
    let token = status.token.filter(|token| !token.is_empty()).ok_or_else(none)?;
    let expires_at = status.expiration_timestamp.ok_or_else(none)?.0;
    let owner = common_user(pod);
    // Whoever is given the file by user or group needs no wider mode.
    let mode = if owner.is_some() || ownership::fs_group(pod).is_some() { 0o600 } else { mode };
    let mut payload = Payload::default();
    payload.insert(&source.path, File { owner, ..File::new(token.into_bytes(), mode) })?;
    payload.refresh_at = Some(refresh_time(context.now, expires_at));
    Ok(payload)
}

/// After four fifths of its life, or a day.
fn refresh_time(now: Timestamp, expires_at: Timestamp) -> Timestamp {
    let life = expires_at.duration_since(now);
    now.checked_add((life * 4 / 5).min(MAX_TOKEN_AGE)).unwrap_or(expires_at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_refreshed_well_before_they_expire() {
        let at = |seconds| Timestamp::from_second(seconds).unwrap();
        assert_eq!(refresh_time(at(1000), at(1000 + 3600)), at(1000 + 2880));
        assert_eq!(refresh_time(at(0), at(365 * 86_400)), at(86_400));
    }
}
