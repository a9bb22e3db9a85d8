//! A Pod's allocation on disk: `pods/<uid>/allocation.json`, written beside and renamed into place.

use std::io;
use std::path::Path;

use k8s_openapi::api::core::v1::ResourceRequirements;
use serde::{Deserialize, Serialize};
use tracing::warn;

use super::Resources;

/// The file in the Pod's directory.
pub(super) const FILE: &str = "allocation.json";

/// What is promised and what is set.
#[derive(Debug, Default, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    /// By container name.
    pub allocated: Resources,
    /// Of the Pod as a whole; empty if it has none, nothing if nobody wrote it down.
    #[serde(default)]
    pub allocated_pod: Option<ResourceRequirements>,
    /// What the Pod's cgroup has instead, while it does not follow yet.
    #[serde(default)]
    pub actuated_pod: Option<ResourceRequirements>,
    /// By CRI id of running containers.
    #[serde(default)]
    pub actuated: Resources,
}

/// The record, if there is one. One that cannot be read counts as none: the Pod's status tells the same.
pub(super) fn read(path: &Path) -> Option<Record> {
    let text = match std::fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
        Err(error) => {
            warn!(path = %path.display(), %error, "allocation not read");
            return None;
        }
    };
    serde_json::from_slice(&text)
        .map_err(|error| warn!(path = %path.display(), %error, "allocation not understood"))
        .ok()
}

pub(super) fn write(path: &Path, record: &Record) -> io::Result<()> {
    if let Some(directory) = path.parent() {
        std::fs::create_dir_all(directory)?;
    }
    let new = path.with_extension("new");
    std::fs::write(&new, serde_json::to_vec(record)?)?;
    std::fs::rename(&new, path)
}
