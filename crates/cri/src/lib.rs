//! The node's inner boundaries: what the kubelet asks of a container runtime and what a runtime asks of a Pod network.
//!
//! [`RuntimeService`] and [`ImageService`] are CRI (`runtime.v1`), call for call, with CRI's own [`messages`]; the
//! kubelet knows nothing else of a runtime. The embedded runtime implements them directly, a gRPC socket can serve or
//! reach the same calls without a second set of types. [`PodNetwork`] is the runtime's side of what CNI calls ADD, DEL
//! and GC.
//!
//! This crate holds traits and data only. It must never know Kubernetes objects, the host, or either side's
//! implementation.

pub mod error;
pub mod messages;
pub mod network;
mod signal;
pub mod streaming;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;

pub use error::{Error, Result};
pub use messages::*;
pub use network::{PodNetwork, PodNetworkAttachment, PodNetworkRequest, PodPortMapping};
pub use signal::Signal;
pub use streaming::StreamingIo;

/// A runtime as the kubelet holds it: all three parts of one implementation.
#[derive(Clone)]
pub struct Runtime {
    /// Sandboxes and containers.
    pub runtime: Arc<dyn RuntimeService>,
    /// Images.
    pub images: Arc<dyn ImageService>,
}

/// CRI's `RuntimeService`.
///
/// Every call is idempotent in the way CRI specifies: stopping what is stopped and removing what is gone succeed.
///
/// # Errors
/// [`Error::NotFound`] for an unknown id, [`Error::InvalidArgument`] for a request that can never succeed,
/// [`Error::Failed`] for everything else; the text is shown to users in events and container statuses.
#[async_trait]
pub trait RuntimeService: Send + Sync {
    /// Name and version of the runtime.
    async fn version(&self) -> Result<VersionResponse>;
    /// Whether runtime and network are ready (`RuntimeReady`, `NetworkReady` conditions).
    async fn status(&self, request: StatusRequest) -> Result<StatusResponse>;
    /// Creates and starts a sandbox: infra container, namespaces, network. On error nothing is left behind.
    async fn run_pod_sandbox(&self, config: PodSandboxConfig, runtime_handler: &str) -> Result<String>;
    /// Stops every container in the sandbox at once and releases its network; the record stays until removed.
    async fn stop_pod_sandbox(&self, sandbox_id: &str) -> Result<()>;
    /// Removes the sandbox, its containers and everything made for them.
    async fn remove_pod_sandbox(&self, sandbox_id: &str) -> Result<()>;
    /// State, addresses and metadata of a sandbox.
    async fn pod_sandbox_status(&self, sandbox_id: &str) -> Result<PodSandboxStatus>;
    /// What else is known of a sandbox or container, for people: each value is text or JSON. Other runtimes say here what
    /// they like, and `info.pid` at least.
    async fn inspect(&self, id: &str) -> Result<BTreeMap<String, String>>;
    /// Sandboxes that match all of the filter.
    async fn list_pod_sandbox(&self, filter: PodSandboxFilter) -> Result<Vec<PodSandbox>>;
    /// Creates a container in a sandbox without starting its process; returns its id.
    async fn create_container(
        &self,
        sandbox_id: &str,
        config: ContainerConfig,
        sandbox_config: PodSandboxConfig,
    ) -> Result<String>;
    /// Starts the container's process; returns once its `execve` succeeded or failed.
    async fn start_container(&self, container_id: &str) -> Result<()>;
    /// Sends the stop signal, then SIGKILL after `timeout_seconds`; returns when the process is gone.
    async fn stop_container(&self, container_id: &str, timeout_seconds: i64) -> Result<()>;
    /// Removes the container (killing it if it runs) and its writable layer.
    async fn remove_container(&self, container_id: &str) -> Result<()>;
    /// Containers that match all of the filter.
    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>>;
    /// State, times, exit code and reason of one container.
    async fn container_status(&self, container_id: &str) -> Result<ContainerStatus>;
    /// Changes resource limits of a live container.
    async fn update_container_resources(&self, request: UpdateContainerResourcesRequest) -> Result<()>;
    /// Reopens the log file after the kubelet rotated it.
    async fn reopen_container_log(&self, container_id: &str) -> Result<()>;
    /// Runs a command to its end and returns its output; a timeout of 0 waits for ever.
    async fn exec_sync(&self, request: ExecSyncRequest) -> Result<ExecSyncResponse>;
    /// Prepares a streaming exec; the URL is good for one [`RuntimeService::dial_streaming`] within a minute.
    async fn exec(&self, request: ExecRequest) -> Result<ExecResponse>;
    /// Prepares a streaming attach, as [`RuntimeService::exec`].
    async fn attach(&self, request: AttachRequest) -> Result<AttachResponse>;
    /// Prepares a port-forward session, as [`RuntimeService::exec`].
    async fn port_forward(&self, request: PortForwardRequest) -> Result<PortForwardResponse>;
    /// A byte stream to the runtime's streaming server, which speaks HTTP/1.1 with an upgrade, for a URL that
    /// `exec`, `attach` or `port_forward` returned. The kubelet only copies bytes.
    async fn dial_streaming(&self, url: &str) -> Result<Box<dyn StreamingIo>>;
    /// CPU and memory use of one container.
    async fn container_stats(&self, container_id: &str) -> Result<ContainerStats>;
    /// Usage of all containers that match.
    async fn list_container_stats(&self, filter: ContainerStatsFilter) -> Result<Vec<ContainerStats>>;
    /// Usage of one sandbox and of each of its running containers.
    async fn pod_sandbox_stats(&self, sandbox_id: &str) -> Result<PodSandboxStats>;
    /// Usage of all ready sandboxes that match.
    async fn list_pod_sandbox_stats(&self, filter: PodSandboxStatsFilter) -> Result<Vec<PodSandboxStats>>;
    /// Which metrics [`RuntimeService::list_pod_sandbox_metrics`] holds.
    async fn list_metric_descriptors(&self) -> Result<Vec<MetricDescriptor>>;
    /// Metrics of all ready sandboxes, named as cAdvisor names them.
    async fn list_pod_sandbox_metrics(&self) -> Result<Vec<PodSandboxMetrics>>;
    /// Every created, started, stopped and deleted container and sandbox from now on. The kubelet's only wake-up from
    /// below; a subscriber that falls too far behind gets an end of stream and must list again.
    async fn container_events(&self) -> Result<BoxStream<'static, ContainerEventResponse>>;
}

/// CRI's `ImageService`.
///
/// # Errors
/// As [`RuntimeService`]; a pull that fails names the image and the cause in the words users see in `ErrImagePull`.
#[async_trait]
pub trait ImageService: Send + Sync {
    /// All images.
    async fn list_images(&self, filter: ImageFilter) -> Result<Vec<Image>>;
    /// One image by any of its names, or `None` if it is not here.
    async fn image_status(&self, image: &ImageSpec) -> Result<Option<Image>>;
    /// Pulls an image; returns the reference (`repo@digest` or id) to create containers from.
    async fn pull_image(
        &self,
        image: ImageSpec,
        auth: Option<AuthConfig>,
        sandbox_config: Option<PodSandboxConfig>,
    ) -> Result<String>;
    /// Removes an image; one that is not here is fine.
    async fn remove_image(&self, image: &ImageSpec) -> Result<()>;
    /// Disk use of the image store.
    async fn image_fs_info(&self) -> Result<ImageFsInfoResponse>;
}
