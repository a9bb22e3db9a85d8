//! `container.json`: a container as a restarted daemon finds it.

use cri::ContainerConfig;
use serde::{Deserialize, Serialize};

use crate::sandbox::record::{decode, encode};
use crate::shim::spec::ContainerSpec;

/// A container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContainerRecord {
    /// CRI id.
    pub id: String,
    /// Nanoseconds since the epoch.
    pub created_at: i64,
    /// Id of its image.
    pub image_id: String,
    /// Name of its image with a tag, where there is one.
    pub image_name: String,
    /// Name of its image with a digest, where there is one.
    pub image_ref: String,
    /// Asks its process to end.
    pub stop_signal: i32,
    /// As the kubelet described it.
    #[serde(serialize_with = "encode", deserialize_with = "decode")]
    pub config: ContainerConfig,
    /// What the shim runs.
    pub spec: ContainerSpec,
}
