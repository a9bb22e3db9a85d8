//! CRI's `RuntimeService` over the socket.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use cri::{
    AttachRequest, AttachResponse, Container, ContainerConfig, ContainerEventResponse, ContainerFilter, ContainerStats,
    ContainerStatsFilter, ContainerStatsRequest, ContainerStatsResponse, ContainerStatus, ContainerStatusRequest,
    ContainerStatusResponse, CreateContainerRequest, CreateContainerResponse, Error, ExecRequest, ExecResponse,
    ExecSyncRequest, ExecSyncResponse, ListContainerStatsRequest, ListContainerStatsResponse, ListContainersRequest,
    ListContainersResponse, ListMetricDescriptorsRequest, ListMetricDescriptorsResponse, ListPodSandboxMetricsRequest,
    ListPodSandboxMetricsResponse, ListPodSandboxRequest, ListPodSandboxResponse, ListPodSandboxStatsRequest,
    ListPodSandboxStatsResponse, MetricDescriptor, PodSandbox, PodSandboxConfig, PodSandboxFilter, PodSandboxMetrics,
    PodSandboxState, PodSandboxStateValue, PodSandboxStats, PodSandboxStatsFilter, PodSandboxStatsRequest,
    PodSandboxStatsResponse, PodSandboxStatus, PodSandboxStatusRequest, PodSandboxStatusResponse, PortForwardRequest,
    PortForwardResponse, RemoveContainerRequest, RemoveContainerResponse, RemovePodSandboxRequest,
    RemovePodSandboxResponse, ReopenContainerLogRequest, ReopenContainerLogResponse, Result, RunPodSandboxRequest,
    RunPodSandboxResponse, RuntimeService, StartContainerRequest, StartContainerResponse, StatusRequest,
    StatusResponse, StopContainerRequest, StopContainerResponse, StopPodSandboxRequest, StopPodSandboxResponse,
    StreamingIo, UpdateContainerResourcesRequest, UpdateContainerResourcesResponse, VersionRequest, VersionResponse,
};
use futures::stream::BoxStream;
use tokio::net::TcpStream;

use super::{Client, REQUEST_TIMEOUT, present, relist};
use crate::runtime_method;

/// The version of the kubelet's side, as upstream sends it.
const KUBELET_API_VERSION: &str = "0.1.0";

impl Client {
    /// Usage of each ready sandbox that still is when it is asked for.
    async fn stats_one_by_one(&self, filter: PodSandboxStatsFilter) -> Result<Vec<PodSandboxStats>> {
        let PodSandboxStatsFilter { id, label_selector } = filter;
        let state = Some(PodSandboxStateValue { state: PodSandboxState::SandboxReady.into() });
        let mut found = Vec::new();
        for sandbox in self.list_pod_sandbox(PodSandboxFilter { id, state, label_selector }).await? {
            match self.pod_sandbox_stats(&sandbox.id).await {
                Ok(stats) => found.push(stats),
                Err(Error::NotFound(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

#[async_trait]
impl RuntimeService for Client {
    async fn version(&self) -> Result<VersionResponse> {
        let request = VersionRequest { version: KUBELET_API_VERSION.to_owned() };
        self.call(runtime_method!("Version"), request).await
    }

    async fn status(&self, request: StatusRequest) -> Result<StatusResponse> {
        self.call(runtime_method!("Status"), request).await
    }

    async fn run_pod_sandbox(&self, config: PodSandboxConfig, runtime_handler: &str) -> Result<String> {
        let request = RunPodSandboxRequest { config: Some(config), runtime_handler: runtime_handler.to_owned() };
        // Sandboxes may pull an image of their own.
        let response: RunPodSandboxResponse =
            self.change(runtime_method!("RunPodSandbox"), request, REQUEST_TIMEOUT * 2).await?;
        Ok(response.pod_sandbox_id)
    }

    async fn stop_pod_sandbox(&self, sandbox_id: &str) -> Result<()> {
        let request = StopPodSandboxRequest { pod_sandbox_id: sandbox_id.to_owned() };
        let _: StopPodSandboxResponse =
            self.change(runtime_method!("StopPodSandbox"), request, REQUEST_TIMEOUT).await?;
        Ok(())
    }

    async fn remove_pod_sandbox(&self, sandbox_id: &str) -> Result<()> {
        let request = RemovePodSandboxRequest { pod_sandbox_id: sandbox_id.to_owned() };
        let _: RemovePodSandboxResponse =
            self.change(runtime_method!("RemovePodSandbox"), request, REQUEST_TIMEOUT).await?;
        Ok(())
    }

    async fn pod_sandbox_status(&self, sandbox_id: &str) -> Result<PodSandboxStatus> {
        let request = PodSandboxStatusRequest { pod_sandbox_id: sandbox_id.to_owned(), verbose: false };
        let response: PodSandboxStatusResponse = self.call(runtime_method!("PodSandboxStatus"), request).await?;
        present(response.status, "sandbox status")
    }

    async fn inspect(&self, id: &str) -> Result<BTreeMap<String, String>> {
        let sandbox = PodSandboxStatusRequest { pod_sandbox_id: id.to_owned(), verbose: true };
        match self.call::<_, PodSandboxStatusResponse>(runtime_method!("PodSandboxStatus"), sandbox).await {
            Ok(response) => Ok(response.info),
            Err(Error::NotFound(_)) => {
                let container = ContainerStatusRequest { container_id: id.to_owned(), verbose: true };
                let response: ContainerStatusResponse =
                    self.call(runtime_method!("ContainerStatus"), container).await?;
                Ok(response.info)
            }
            Err(error) => Err(error),
        }
    }

    async fn list_pod_sandbox(&self, filter: PodSandboxFilter) -> Result<Vec<PodSandbox>> {
        let request = ListPodSandboxRequest { filter: Some(filter) };
        let response: ListPodSandboxResponse = self.call(runtime_method!("ListPodSandbox"), request).await?;
        Ok(response.items)
    }

    async fn create_container(
        &self,
        sandbox_id: &str,
        config: ContainerConfig,
        sandbox_config: PodSandboxConfig,
    ) -> Result<String> {
        let request = CreateContainerRequest {
            pod_sandbox_id: sandbox_id.to_owned(),
            config: Some(config),
            sandbox_config: Some(sandbox_config),
        };
        let response: CreateContainerResponse =
            self.change(runtime_method!("CreateContainer"), request, REQUEST_TIMEOUT).await?;
        Ok(response.container_id)
    }

    async fn start_container(&self, container_id: &str) -> Result<()> {
        let request = StartContainerRequest { container_id: container_id.to_owned() };
        let _: StartContainerResponse =
            self.change(runtime_method!("StartContainer"), request, REQUEST_TIMEOUT).await?;
        Ok(())
    }

    async fn stop_container(&self, container_id: &str, timeout_seconds: i64) -> Result<()> {
        let request = StopContainerRequest { container_id: container_id.to_owned(), timeout: timeout_seconds };
        let grace = Duration::from_secs(u64::try_from(timeout_seconds).unwrap_or(0));
        let timeout = REQUEST_TIMEOUT.saturating_add(grace);
        let _: StopContainerResponse = self.change(runtime_method!("StopContainer"), request, timeout).await?;
        Ok(())
    }

    async fn remove_container(&self, container_id: &str) -> Result<()> {
        let request = RemoveContainerRequest { container_id: container_id.to_owned() };
        let _: RemoveContainerResponse =
            self.change(runtime_method!("RemoveContainer"), request, REQUEST_TIMEOUT).await?;
        Ok(())
    }

    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>> {
        let request = ListContainersRequest { filter: Some(filter) };
        let response: ListContainersResponse = self.call(runtime_method!("ListContainers"), request).await?;
        Ok(response.containers)
    }

    async fn container_status(&self, container_id: &str) -> Result<ContainerStatus> {
        let request = ContainerStatusRequest { container_id: container_id.to_owned(), verbose: false };
        let response: ContainerStatusResponse = self.call(runtime_method!("ContainerStatus"), request).await?;
        present(response.status, "container status")
    }

    async fn update_container_resources(&self, request: UpdateContainerResourcesRequest) -> Result<()> {
        let _: UpdateContainerResourcesResponse =
            self.call(runtime_method!("UpdateContainerResources"), request).await?;
        Ok(())
    }

    async fn reopen_container_log(&self, container_id: &str) -> Result<()> {
        let request = ReopenContainerLogRequest { container_id: container_id.to_owned() };
        let _: ReopenContainerLogResponse = self.call(runtime_method!("ReopenContainerLog"), request).await?;
        Ok(())
    }

    async fn exec_sync(&self, request: ExecSyncRequest) -> Result<ExecSyncResponse> {
        // The runtime ends the command in time and says so; the call itself only guards against a runtime that hangs.
        let limit = u64::try_from(request.timeout).ok().filter(|seconds| *seconds > 0);
        let timeout = limit.map(|seconds| REQUEST_TIMEOUT.saturating_add(Duration::from_secs(seconds)));
        self.call_within(runtime_method!("ExecSync"), request, timeout).await
    }

    async fn exec(&self, request: ExecRequest) -> Result<ExecResponse> {
        self.call(runtime_method!("Exec"), request).await
    }

    async fn attach(&self, request: AttachRequest) -> Result<AttachResponse> {
        self.call(runtime_method!("Attach"), request).await
    }

    async fn port_forward(&self, request: PortForwardRequest) -> Result<PortForwardResponse> {
        self.call(runtime_method!("PortForward"), request).await
    }

    async fn dial_streaming(&self, url: &str) -> Result<Box<dyn StreamingIo>> {
        let (host, port) = address(url)?;
        let stream = TcpStream::connect((host.as_str(), port)).await;
        let stream = stream.map_err(|error| Error::Unavailable(format!("dial {host}:{port}: {error}")))?;
        Ok(Box::new(stream))
    }

    async fn container_stats(&self, container_id: &str) -> Result<ContainerStats> {
        let request = ContainerStatsRequest { container_id: container_id.to_owned() };
        let response: ContainerStatsResponse = self.call(runtime_method!("ContainerStats"), request).await?;
        present(response.stats, "stats")
    }

    async fn list_container_stats(&self, filter: ContainerStatsFilter) -> Result<Vec<ContainerStats>> {
        let request = ListContainerStatsRequest { filter: Some(filter) };
        let response: ListContainerStatsResponse = self.call(runtime_method!("ListContainerStats"), request).await?;
        Ok(response.stats)
    }

    async fn pod_sandbox_stats(&self, sandbox_id: &str) -> Result<PodSandboxStats> {
        let request = PodSandboxStatsRequest { pod_sandbox_id: sandbox_id.to_owned() };
        let response: PodSandboxStatsResponse = self.call(runtime_method!("PodSandboxStats"), request).await?;
        present(response.stats, "stats")
    }

    async fn list_pod_sandbox_stats(&self, filter: PodSandboxStatsFilter) -> Result<Vec<PodSandboxStats>> {
        let request = ListPodSandboxStatsRequest { filter: Some(filter.clone()) };
        let listed = self.call::<_, ListPodSandboxStatsResponse>(runtime_method!("ListPodSandboxStats"), request).await;
        match listed {
            // Old containerd fails as a whole when something ends between listing and looking.
            Err(Error::NotFound(_)) => self.stats_one_by_one(filter).await,
            listed => Ok(listed?.stats),
        }
    }

    async fn list_metric_descriptors(&self) -> Result<Vec<MetricDescriptor>> {
        let request = ListMetricDescriptorsRequest {};
        let response: ListMetricDescriptorsResponse =
            self.call(runtime_method!("ListMetricDescriptors"), request).await?;
        Ok(response.descriptors)
    }

    async fn list_pod_sandbox_metrics(&self) -> Result<Vec<PodSandboxMetrics>> {
        let request = ListPodSandboxMetricsRequest {};
        let response: ListPodSandboxMetricsResponse =
            self.call(runtime_method!("ListPodSandboxMetrics"), request).await?;
        Ok(response.pod_metrics)
    }

    async fn container_events(&self) -> Result<BoxStream<'static, ContainerEventResponse>> {
        Ok(relist::events(self.clone()))
    }
}

/// Where a streaming URL leads.
fn address(url: &str) -> Result<(String, u16)> {
    let malformed =
        || Error::Failed(format!("the runtime's streaming URL {url:?} is not of the form http://host:port/..."));
    let uri: http::Uri = url.parse().map_err(|_| malformed())?;
    if uri.scheme_str() != Some("http") {
        return Err(malformed());
    }
    let host = uri.host().ok_or_else(malformed)?.trim_matches(['[', ']']).to_owned();
    Ok((host, uri.port_u16().unwrap_or(80)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streaming_urls_name_a_host() {
        for (url, expected) in [
            ("http://127.0.0.1:40123/exec/abc", Some(("127.0.0.1", 40123))),
            ("http://[::1]:40123/exec/abc", Some(("::1", 40123))),
            ("http://node/exec/abc", Some(("node", 80))),
            ("https://127.0.0.1:40123/exec/abc", None),
            ("/exec/abc", None),
            ("", None),
        ] {
            let found = address(url).ok();
            assert_eq!(found.as_ref().map(|(host, port)| (host.as_str(), *port)), expected, "{url}");
        }
    }
}
