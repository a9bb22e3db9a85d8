//! `sandbox.json`: a sandbox as a restarted daemon finds it.

use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cri::PodSandboxConfig;
use prost::Message;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::shim::spec::SandboxSpec;

/// A sandbox.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxRecord {
    /// CRI id.
    pub id: String,
    /// Nanoseconds since the epoch.
    pub created_at: i64,
    /// Which runtime handler was asked for.
    pub runtime_handler: String,
    /// Process of its shim, 0 until it is known.
    pub shim_pid: i32,
    /// Set once the sandbox is complete: one without is the remains of a crash.
    pub network: Option<Vec<IpAddr>>,
    /// As the kubelet described it.
    #[serde(serialize_with = "encode", deserialize_with = "decode")]
    pub config: PodSandboxConfig,
    /// What the shim runs.
    pub spec: SandboxSpec,
}

/// CRI messages are kept in their own encoding.
pub fn encode<M: Message, S: Serializer>(message: &M, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(message.encode_to_vec()))
}

/// See [`encode`].
pub fn decode<'de, M: Message + Default, D: Deserializer<'de>>(deserializer: D) -> Result<M, D::Error> {
    let text = String::deserialize(deserializer)?;
    let bytes = STANDARD.decode(text).map_err(serde::de::Error::custom)?;
    M::decode(bytes.as_slice()).map_err(serde::de::Error::custom)
}
