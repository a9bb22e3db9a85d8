//! `configMap` and `secret`: an object's keys as files.

use k8s_openapi::api::core::v1::{
    ConfigMapProjection, ConfigMapVolumeSource, KeyToPath, Pod, SecretProjection, SecretVolumeSource,
};

use super::VolumeContext;
use super::payload::{Payload, PayloadError, select};
use crate::objects::keyed::KeyedKind;

/// What to show of which object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct KeyedSource<'a> {
    kind: KeyedKind,
    name: &'a str,
    items: &'a [KeyToPath],
    optional: bool,
}

impl<'a> From<&'a ConfigMapVolumeSource> for KeyedSource<'a> {
    fn from(source: &'a ConfigMapVolumeSource) -> Self {
        Self::new(KeyedKind::ConfigMap, &source.name, source.items.as_deref(), source.optional)
    }
}

impl<'a> From<&'a ConfigMapProjection> for KeyedSource<'a> {
    fn from(source: &'a ConfigMapProjection) -> Self {
        Self::new(KeyedKind::ConfigMap, &source.name, source.items.as_deref(), source.optional)
    }
}

impl<'a> From<&'a SecretVolumeSource> for KeyedSource<'a> {
    fn from(source: &'a SecretVolumeSource) -> Self {
        let name = source.secret_name.as_deref().unwrap_or_default();
        Self::new(KeyedKind::Secret, name, source.items.as_deref(), source.optional)
    }
}

impl<'a> From<&'a SecretProjection> for KeyedSource<'a> {
    fn from(source: &'a SecretProjection) -> Self {
        Self::new(KeyedKind::Secret, &source.name, source.items.as_deref(), source.optional)
    }
}

impl<'a> KeyedSource<'a> {
    fn new(kind: KeyedKind, name: &'a str, items: Option<&'a [KeyToPath]>, optional: Option<bool>) -> Self {
        Self { kind, name, items: items.unwrap_or_default(), optional: optional == Some(true) }
    }
}

pub(super) async fn payload(
    pod: &Pod,
    source: KeyedSource<'_>,
    mode: i32,
    context: VolumeContext<'_>,
) -> Result<Payload, PayloadError> {
    let KeyedSource { kind, name, items, optional } = source;
    match context.objects.keyed(pod, kind, name).await {
        Ok(Some(keyed)) => select(kind.key_word(), keyed.data.clone(), items, mode, optional),
        Ok(None) if optional => Ok(Payload::default()),
        Ok(None) => Err(PayloadError::NotFound { kind: kind.object_word(), name: name.to_owned() }),
        Err(error) => {
            Err(PayloadError::Read { what: format!("{} \"{name}\"", kind.object_word()), cause: error.to_string() })
        }
    }
}
