//! ConfigMaps and Secrets as volumes see them: keys with bytes.

use std::collections::BTreeMap;

use client::ObjectKey;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret, Volume};

use crate::pod;

/// Which of the two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum KeyedKind {
    /// A ConfigMap.
    ConfigMap,
    /// A Secret.
    Secret,
}

impl KeyedKind {
    /// The kind as messages about a missing object say it.
    pub fn object_word(self) -> &'static str {
        match self {
            Self::ConfigMap => "configmap",
            Self::Secret => "secret",
        }
    }

    /// The kind as messages about a missing key say it.
    pub fn key_word(self) -> &'static str {
        match self {
            Self::ConfigMap => "config",
            Self::Secret => "secret",
        }
    }
}

/// A ConfigMap or Secret by name.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyedObject {
    /// Which of the two.
    pub kind: KeyedKind,
    /// Namespace and name.
    pub key: ObjectKey,
}

/// What it holds.
#[derive(Clone, PartialEq, Eq)]
pub struct Keyed {
    /// `resourceVersion`.
    pub version: Option<String>,
    /// Nobody can change it any more.
    pub immutable: bool,
    /// All keys, binary or not.
    pub data: BTreeMap<String, Vec<u8>>,
}

/// Content may be secret: it is never shown.
impl std::fmt::Debug for Keyed {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Keyed").field("version", &self.version).field("keys", &self.data.len()).finish()
    }
}

impl From<ConfigMap> for Keyed {
    fn from(config_map: ConfigMap) -> Self {
        let texts = config_map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes()));
        let binaries = config_map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0));
        Self {
            version: config_map.metadata.resource_version,
            immutable: config_map.immutable == Some(true),
            data: texts.chain(binaries).collect(),
        }
    }
}

impl From<Secret> for Keyed {
    fn from(secret: Secret) -> Self {
        Self {
            version: secret.metadata.resource_version,
            immutable: secret.immutable == Some(true),
            data: secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect(),
        }
    }
}

/// The objects that a Pod's volumes show.
pub fn shown_by(pod: &Pod) -> impl Iterator<Item = KeyedObject> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    let named = |(kind, name): (KeyedKind, &str)| KeyedObject { kind, key: ObjectKey::new(pod::namespace(pod), name) };
    volumes.iter().flat_map(shown_by_volume).map(named)
}

/// Whether a Pod's volumes show ClusterTrustBundles.
pub fn shows_trust_bundles(pod: &Pod) -> bool {
    let volumes = pod.spec.iter().flat_map(|spec| spec.volumes.iter().flatten());
    let mut sources =
        volumes.flat_map(|volume| volume.projected.iter().flat_map(|source| source.sources.iter().flatten()));
    sources.any(|source| source.cluster_trust_bundle.is_some())
}

fn shown_by_volume(volume: &Volume) -> Vec<(KeyedKind, &str)> {
    let own = volume.config_map.iter().map(|source| (KeyedKind::ConfigMap, source.name.as_str()));
    let secret = volume.secret.iter().filter_map(|source| Some((KeyedKind::Secret, source.secret_name.as_deref()?)));
    let sources = volume.projected.iter().flat_map(|projected| projected.sources.iter().flatten());
    let projected = sources.flat_map(|source| {
        let config_map = source.config_map.iter().map(|source| (KeyedKind::ConfigMap, source.name.as_str()));
        config_map.chain(source.secret.iter().map(|source| (KeyedKind::Secret, source.name.as_str())))
    });
    own.chain(secret).chain(projected).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_volumes_show_is_named() {
        let pod = crate::testing::pod(
            "{containers: [], volumes: [{name: a, configMap: {name: c}}, {name: b, secret: {secretName: s}}, \
             {name: e, emptyDir: {}}, {name: p, projected: {sources: [{configMap: {name: d}}, {secret: {name: t}}, \
             {serviceAccountToken: {path: token}}]}}]}",
        );
        let named: Vec<_> = shown_by(&pod).map(|object| (object.kind, object.key.to_string())).collect();
        let (config_map, secret) = (KeyedKind::ConfigMap, KeyedKind::Secret);
        let expected =
            [(config_map, "default/c"), (secret, "default/s"), (config_map, "default/d"), (secret, "default/t")];
        assert_eq!(named, expected.map(|(kind, name)| (kind, name.to_owned())));
    }
}
