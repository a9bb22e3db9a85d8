//! What a runtime asks of the Pod network.

use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use async_trait::async_trait;

use crate::Result;

/// One sandbox to be given a network.
#[derive(Debug, Clone)]
pub struct PodNetworkRequest {
    /// CRI id of the sandbox; owns the addresses until detached.
    pub sandbox_id: String,
    /// Namespace of the Pod, for conventions of network plugins.
    pub pod_namespace: String,
    /// Name of the Pod.
    pub pod_name: String,
    /// UID of the Pod.
    pub pod_uid: String,
    /// Host ports to forward.
    pub port_mappings: Vec<PodPortMapping>,
}

/// A host port that leads to a port of the Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodPortMapping {
    /// TCP, UDP or SCTP.
    pub protocol: crate::Protocol,
    /// Port in the Pod.
    pub container_port: u16,
    /// Port on the host.
    pub host_port: u16,
    /// Address on the host, or every address.
    pub host_ip: Option<IpAddr>,
}

/// What a sandbox got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PodNetworkAttachment {
    /// Addresses of the Pod, the primary one first.
    pub addresses: Vec<IpAddr>,
}

/// The Pod network: CNI's ADD, DEL and GC.
///
/// An attachment is recorded durably by the implementation before `attach` returns, so that after a crash `detach` and
/// `retain` still find it.
#[async_trait]
pub trait PodNetwork: Send + Sync {
    /// Gives the network namespace loopback, an interface, addresses and routes. On error nothing is left behind.
    ///
    /// # Errors
    /// [`crate::Error::Failed`], for instance when no address is free.
    async fn attach(&self, request: &PodNetworkRequest, netns: BorrowedFd<'_>) -> Result<PodNetworkAttachment>;
    /// Releases everything a sandbox got; a sandbox that has nothing is fine. The namespace may be gone already.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] when the host refuses.
    async fn detach(&self, sandbox_id: &str) -> Result<()>;
    /// Releases what belongs to sandboxes other than these: called once when a runtime starts.
    ///
    /// # Errors
    /// [`crate::Error::Failed`] when the host refuses.
    async fn retain(&self, live_sandbox_ids: &[String]) -> Result<()>;
}
