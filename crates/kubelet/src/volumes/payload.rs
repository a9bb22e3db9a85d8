//! Files made from API objects: a value, and its atomic way to disk.
//!
//! The layout is upstream's: a directory of the moment holds the files, `..data` points to it, and every visible name
//! is a link through `..data`. Swapping that one link changes all files at once, and a reader that holds the old
//! directory open goes on reading the old files.

mod write;

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::KeyToPath;

use crate::container_config::ConfigError;

pub(super) use write::write;

/// The mode of files that state none.
pub(super) const DEFAULT_MODE: i32 = 0o644;

/// Files by relative path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Payload {
    pub(super) files: BTreeMap<PathBuf, File>,
    /// When something in it has to be replaced.
    pub(super) refresh_at: Option<Timestamp>,
}

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    pub(super) data: Vec<u8>,
    pub(super) mode: i32,
    pub(super) owner: Option<i64>,
}

/// Content may be secret: it is never shown.
impl std::fmt::Debug for File {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("File").field("length", &self.data.len()).field("mode", &self.mode).finish()
    }
}

/// Why a payload cannot be put together.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// The object is not there.
    #[error("{kind} \"{name}\" not found")]
    NotFound {
        /// `configmap` or `secret`.
        kind: &'static str,
        /// Its name.
        name: String,
    },
    /// A key is not in the object.
    #[error("references non-existent {kind} key: {key}")]
    KeyNotFound {
        /// `config` or `secret`.
        kind: &'static str,
        /// The key.
        key: String,
    },
    /// The API did not answer.
    #[error("could not read {what}: {cause}")]
    Read {
        /// What was asked for.
        what: String,
        /// The API's answer.
        cause: String,
    },
    /// No token was issued.
    #[error("failed to fetch token: {0}")]
    Token(String),
    /// There are no certificates.
    #[error("{0}")]
    TrustBundle(String),
    /// The downward API does not offer it.
    #[error(transparent)]
    Field(#[from] ConfigError),
    /// A path that would leave the volume.
    #[error("invalid path \"{0}\": must be relative and stay inside the volume")]
    Path(String),
    /// A kind of source that is not supported.
    #[error("projected source {0} is not supported on this node")]
    Unsupported(&'static str),
}

impl File {
    pub(super) fn new(data: Vec<u8>, mode: i32) -> Self {
        Self { data, mode, owner: None }
    }
}

impl Payload {
    /// Adds a file; one of the same path is replaced.
    pub(super) fn insert(&mut self, path: &str, file: File) -> Result<(), PayloadError> {
        let plain = Path::new(path).components().all(|component| match component {
            // Names that begin with two dots are the layout's own.
            Component::Normal(name) => !name.as_encoded_bytes().starts_with(b".."),
            _ => false,
        });
        if !plain || path.is_empty() {
            return Err(PayloadError::Path(path.to_owned()));
        }
        self.files.insert(PathBuf::from(path), file);
        Ok(())
    }

    /// Adds everything of another payload; its files win.
    pub(super) fn merge(&mut self, other: Self) {
        self.files.extend(other.files);
        self.refresh_at = self.refresh_at.into_iter().chain(other.refresh_at).min();
    }
}

/// All keys under their own names, or those that `items` select under theirs.
pub(super) fn select(
    kind: &'static str,
    mut data: BTreeMap<String, Vec<u8>>,
    items: &[KeyToPath],
    default_mode: i32,
    optional: bool,
) -> Result<Payload, PayloadError> {
    let mut payload = Payload::default();
    if items.is_empty() {
        for (key, value) in data {
            payload.insert(&key, File::new(value, default_mode))?;
        }
        return Ok(payload);
    }
    for item in items {
        // One key may appear under several paths, but hardly ever does.
        let repeated = items.iter().filter(|other| other.key == item.key).count() > 1;
        let value = if repeated { data.get(&item.key).cloned() } else { data.remove(&item.key) };
        match value {
            Some(value) => payload.insert(&item.path, File::new(value, item.mode.unwrap_or(default_mode)))?,
            None if optional => {}
            None => return Err(PayloadError::KeyNotFound { kind, key: item.key.clone() }),
        }
    }
    Ok(payload)
}
