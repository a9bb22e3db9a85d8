//! The documents that describe an image: index, manifest and configuration, in the Docker and OCI flavours at once.
//!
//! Only what is used is read; both flavours share these fields.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::digest::Digest;

/// Media types to ask a registry for, in order of preference.
pub const ACCEPTED_MEDIA_TYPES: [&str; 4] = [
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.docker.distribution.manifest.v2+json",
];

/// A pointer to content.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// Digest of the content.
    pub digest: Digest,
    /// Length of the content in bytes.
    pub size: u64,
    /// Where an index entry's image runs.
    #[serde(default)]
    pub platform: Option<Platform>,
    /// Names and other remarks.
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
}

/// What a machine must be to run an image.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// `amd64`, `arm64`, ...
    pub architecture: String,
    /// `linux`, ...
    pub os: String,
    /// `v7`, `v8`, ...
    #[serde(default)]
    pub variant: Option<String>,
}

/// What a manifest digest or tag can lead to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// One image.
    Manifest(Manifest),
    /// Images for several platforms.
    Index(Vec<Descriptor>),
}

/// One image: its configuration and its layers, bottom first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The configuration blob.
    pub config: Descriptor,
    /// The layer blobs.
    pub layers: Vec<Descriptor>,
}

/// Why a document can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// Not JSON of the expected shape.
    #[error("manifest is malformed")]
    Malformed(#[from] serde_json::Error),
    /// Docker's schema 1 and other things that describe no layers by digest.
    #[error("unsupported manifest: schema version {0:?} with neither layers nor manifests")]
    Unsupported(Option<u32>),
    /// The index has no entry for this machine.
    #[error("no match for platform in manifest: not found (wanted {wanted}, has {has})")]
    NoPlatform {
        /// This machine.
        wanted: String,
        /// What there is.
        has: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawDocument {
    schema_version: Option<u32>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
}

impl Document {
    /// Parses a manifest or an index.
    ///
    /// # Errors
    /// [`ManifestError`] when it is neither.
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let raw: RawDocument = serde_json::from_slice(bytes)?;
        match (raw.manifests, raw.config, raw.layers) {
            (Some(manifests), None, None) => Ok(Self::Index(manifests)),
            (None, Some(config), Some(layers)) => Ok(Self::Manifest(Manifest { config, layers })),
            _ => Err(ManifestError::Unsupported(raw.schema_version)),
        }
    }
}

/// The entry of an index that runs on this machine.
///
/// # Errors
/// [`ManifestError::NoPlatform`] when there is none.
pub fn select_platform(entries: &[Descriptor]) -> Result<&Descriptor, ManifestError> {
    let wanted = this_architecture();
    let fits = |platform: &Platform| platform.os == "linux" && platform.architecture == wanted;
    entries
        .iter()
        .find(|entry| entry.platform.as_ref().is_some_and(fits))
        .or_else(|| entries.iter().find(|entry| entries.len() == 1 && entry.platform.is_none()))
        .ok_or_else(|| ManifestError::NoPlatform {
            wanted: format!("linux/{wanted}"),
            has: entries
                .iter()
                .filter_map(|entry| entry.platform.as_ref())
                .map(|platform| format!("{}/{}", platform.os, platform.architecture))
                .collect::<Vec<_>>()
                .join(", "),
        })
}

/// This machine's architecture in the images' words.
fn this_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        "x86" => "386",
        other => other,
    }
}

/// What an image says about the process to run in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// `NAME=value` pairs.
    pub env: Vec<String>,
    /// The command's unchanging part.
    pub entrypoint: Vec<String>,
    /// Arguments, or the whole command when there is no entry point.
    pub cmd: Vec<String>,
    /// Working directory; empty means `/`.
    pub working_dir: String,
    /// `user`, `user:group`, `uid` or `uid:gid`; empty means root. Names are looked up in the container's own
    /// `/etc/passwd` and `/etc/group` by the shim, once the root file system is mounted, since volumes may hold them.
    pub user: String,
    /// Signal that asks the process to stop, by name or number; empty means SIGTERM.
    pub stop_signal: String,
    /// Paths that the image wants on volumes of their own.
    pub volumes: Vec<String>,
    /// Remarks, as `LABEL` gives them.
    pub labels: BTreeMap<String, String>,
}

/// The parsed configuration blob.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigBlob {
    /// The part about the process.
    pub config: ImageConfig,
    /// Digests of the uncompressed layers, bottom first.
    pub diff_ids: Vec<Digest>,
}

#[derive(Deserialize)]
struct RawConfigBlob {
    #[serde(default)]
    config: Option<RawConfig>,
    rootfs: RawRootfs,
}

#[derive(Deserialize)]
struct RawRootfs {
    #[serde(default)]
    diff_ids: Option<Vec<Digest>>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawConfig {
    env: Option<Vec<String>>,
    entrypoint: Option<Vec<String>>,
    cmd: Option<Vec<String>>,
    working_dir: Option<String>,
    user: Option<String>,
    stop_signal: Option<String>,
    volumes: Option<BTreeMap<String, serde_json::Value>>,
    labels: Option<BTreeMap<String, String>>,
}

impl ConfigBlob {
    /// Parses the configuration blob.
    ///
    /// # Errors
    /// [`ManifestError::Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Self, ManifestError> {
        let raw: RawConfigBlob = serde_json::from_slice(bytes)?;
        let config = raw.config.unwrap_or_default();
        Ok(Self {
            config: ImageConfig {
                env: config.env.unwrap_or_default(),
                entrypoint: config.entrypoint.unwrap_or_default(),
                cmd: config.cmd.unwrap_or_default(),
                working_dir: config.working_dir.unwrap_or_default(),
                user: config.user.unwrap_or_default(),
                stop_signal: config.stop_signal.unwrap_or_default(),
                volumes: config.volumes.unwrap_or_default().into_keys().collect(),
                labels: config.labels.unwrap_or_default(),
            },
            diff_ids: raw.rootfs.diff_ids.unwrap_or_default(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn tells_manifests_from_indexes() {
        let entry = format!(r#"{{"mediaType":"x","digest":"{HEX}","size":3}}"#);
        let manifest = format!(r#"{{"schemaVersion":2,"config":{entry},"layers":[{entry}]}}"#);
        let index = format!(r#"{{"schemaVersion":2,"manifests":[{entry}]}}"#);
        assert!(matches!(Document::parse(manifest.as_bytes()), Ok(Document::Manifest(_))));
        assert!(matches!(Document::parse(index.as_bytes()), Ok(Document::Index(_))));
        assert!(matches!(Document::parse(br#"{"schemaVersion":1,"fsLayers":[]}"#), Err(ManifestError::Unsupported(_))));
        assert!(matches!(Document::parse(b"<html>"), Err(ManifestError::Malformed(_))));
    }

    #[test]
    fn selects_this_machine_or_says_what_there_is() {
        let entry = |os: &str, architecture: &str| Descriptor {
            digest: Digest::of(os.as_bytes()),
            size: 1,
            platform: Some(Platform { architecture: architecture.into(), os: os.into(), variant: None }),
            annotations: BTreeMap::new(),
        };
        let (windows, linux) = (entry("windows", this_architecture()), entry("linux", this_architecture()));
        assert_eq!(select_platform(&[windows.clone(), linux.clone()]).expect("there"), &linux);
        let error = select_platform(&[windows]).expect_err("not there").to_string();
        assert!(error.contains("has windows/"), "{error}");
    }

    #[test]
    fn nulls_in_a_configuration_mean_nothing() {
        let blob = ConfigBlob::parse(
            br#"{"config":{"Env":null,"Cmd":["sh"],"Volumes":{"/data":{}},"User":"redis"},"rootfs":{"type":"layers","diff_ids":null}}"#,
        )
        .expect("parses");
        assert_eq!(blob.config.cmd, ["sh"]);
        assert_eq!(blob.config.volumes, ["/data"]);
        assert_eq!(blob.config.user, "redis");
        assert!(blob.diff_ids.is_empty());
    }
}
