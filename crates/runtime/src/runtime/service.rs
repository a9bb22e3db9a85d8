//! The calls, each handed to the module that carries it out.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use cri::{
    AttachRequest, AttachResponse, Container as ContainerSummary, ContainerConfig, ContainerEventResponse,
    ContainerFilter, ContainerStats, ContainerStatsFilter, ContainerStatus, Error, ExecRequest, ExecResponse,
    ExecSyncRequest, ExecSyncResponse, MetricDescriptor, PodSandbox, PodSandboxConfig, PodSandboxFilter,
    PodSandboxMetrics, PodSandboxState, PodSandboxStateValue, PodSandboxStats, PodSandboxStatsFilter, PodSandboxStatus,
    PortForwardRequest, PortForwardResponse, Result, RuntimeCondition, RuntimeFeatures, RuntimeHandler,
    RuntimeHandlerFeatures, RuntimeService, RuntimeStatus, StatusRequest, StatusResponse, StreamingIo,
    UpdateContainerResourcesRequest, VersionResponse,
};
use futures::stream::{self, BoxStream, StreamExt};

use super::EmbeddedRuntime;
use crate::container::{Container, create, exec, remove, start, stats, stop, update};
use crate::image::blocking::blocking;
use crate::metrics;
use crate::sandbox::{self, Sandbox};
use crate::shim::protocol::{Call, Streams};
use crate::streaming::{Process, Target};

impl EmbeddedRuntime {
    fn sandbox(&self, id: &str) -> Result<Arc<Sandbox>> {
        self.shared
            .sandbox(id)
            .ok_or_else(|| Error::NotFound(format!("an error occurred when try to find sandbox {id:?}: not found")))
    }

    fn container(&self, id: &str) -> Result<Arc<Container>> {
        self.shared
            .container(id)
            .ok_or_else(|| Error::NotFound(format!("an error occurred when try to find container {id:?}: not found")))
    }
}

#[async_trait]
impl RuntimeService for EmbeddedRuntime {
    async fn version(&self) -> Result<VersionResponse> {
        Ok(VersionResponse {
            version: "0.1.0".into(),
            runtime_name: "isopod".into(),
            runtime_version: env!("CARGO_PKG_VERSION").into(),
            runtime_api_version: "v1".into(),
        })
    }

    async fn status(&self, _request: StatusRequest) -> Result<StatusResponse> {
        let condition =
            |kind: &str| RuntimeCondition { r#type: kind.into(), status: true, ..RuntimeCondition::default() };
        Ok(StatusResponse {
            status: Some(RuntimeStatus { conditions: vec![condition("RuntimeReady"), condition("NetworkReady")] }),
            runtime_handlers: vec![RuntimeHandler {
                name: String::new(),
                features: Some(RuntimeHandlerFeatures { recursive_read_only_mounts: true, user_namespaces: true }),
            }],
            features: Some(RuntimeFeatures { supplemental_groups_policy: true }),
            ..StatusResponse::default()
        })
    }

    async fn run_pod_sandbox(&self, config: PodSandboxConfig, runtime_handler: &str) -> Result<String> {
        sandbox::run::run(&self.shared, config, runtime_handler).await
    }

    async fn stop_pod_sandbox(&self, sandbox_id: &str) -> Result<()> {
        match self.shared.sandbox(sandbox_id) {
            Some(sandbox) => sandbox::stop::stop(&self.shared, &sandbox).await,
            None => Ok(()),
        }
    }

    async fn remove_pod_sandbox(&self, sandbox_id: &str) -> Result<()> {
        match self.shared.sandbox(sandbox_id) {
            Some(sandbox) => sandbox::stop::remove(&self.shared, &sandbox).await,
            None => Ok(()),
        }
    }

    async fn pod_sandbox_status(&self, sandbox_id: &str) -> Result<PodSandboxStatus> {
        Ok(self.sandbox(sandbox_id)?.status())
    }

    async fn list_pod_sandbox(&self, filter: PodSandboxFilter) -> Result<Vec<PodSandbox>> {
        let sandboxes = self.shared.sandboxes();
        Ok(sandboxes.iter().filter(|sandbox| sandbox.matches(&filter)).map(|sandbox| sandbox.summary()).collect())
    }

    async fn create_container(
        &self,
        sandbox_id: &str,
        config: ContainerConfig,
        sandbox_config: PodSandboxConfig,
    ) -> Result<String> {
        create::create(&self.shared, &self.sandbox(sandbox_id)?, config, sandbox_config).await
    }

    async fn start_container(&self, container_id: &str) -> Result<()> {
        start::start(&self.shared, &self.container(container_id)?).await
    }

    async fn stop_container(&self, container_id: &str, timeout_seconds: i64) -> Result<()> {
        match self.shared.container(container_id) {
            Some(container) => stop::stop(&container, timeout_seconds).await,
            None => Ok(()),
        }
    }

    async fn remove_container(&self, container_id: &str) -> Result<()> {
        match self.shared.container(container_id) {
            Some(container) => remove::remove(&self.shared, &container).await,
            None => Ok(()),
        }
    }

    async fn inspect(&self, id: &str) -> Result<BTreeMap<String, String>> {
        let info = match self.shared.container(id) {
            Some(container) => container.inspect(),
            None => self.sandbox(id)?.inspect(),
        };
        // Under the one key that others use, too.
        Ok(BTreeMap::from([("info".to_owned(), info.to_string())]))
    }

    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<ContainerSummary>> {
        let containers = self.shared.containers();
        Ok(containers.iter().filter(|container| container.matches(&filter)).map(|c| c.summary()).collect())
    }

    async fn container_status(&self, container_id: &str) -> Result<ContainerStatus> {
        Ok(self.container(container_id)?.status())
    }

    async fn update_container_resources(&self, request: UpdateContainerResourcesRequest) -> Result<()> {
        let container = self.container(&request.container_id)?;
        let Some(resources) = request.linux else { return Ok(()) };
        let shared = self.shared.clone();
        blocking(move || update::update(&shared, &container, &resources)).await
    }

    async fn reopen_container_log(&self, container_id: &str) -> Result<()> {
        let container = self.container(container_id)?;
        let shim = exec::running(&container)?;
        shim.command(Call::ReopenLog { container: container_id.to_owned() }).await.map_err(Into::into)
    }

    async fn exec_sync(&self, request: ExecSyncRequest) -> Result<ExecSyncResponse> {
        let container = self.container(&request.container_id)?;
        exec::execute_to_end(&self.shared, &container, request.cmd, request.timeout).await
    }

    async fn exec(&self, request: ExecRequest) -> Result<ExecResponse> {
        let container = self.container(&request.container_id)?;
        exec::running(&container)?;
        let streams = Streams { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr && !request.tty };
        let process = Process::Exec { container, argv: request.cmd, tty: request.tty };
        Ok(ExecResponse { url: self.streaming.prepare(Target::Process { process, streams }) })
    }

    async fn attach(&self, request: AttachRequest) -> Result<AttachResponse> {
        let container = self.container(&request.container_id)?;
        exec::running(&container)?;
        let streams = Streams { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr && !request.tty };
        let process = Process::Attach { container, tty: request.tty };
        Ok(AttachResponse { url: self.streaming.prepare(Target::Process { process, streams }) })
    }

    async fn port_forward(&self, request: PortForwardRequest) -> Result<PortForwardResponse> {
        let sandbox = self.sandbox(&request.pod_sandbox_id)?;
        if sandbox.shim().is_none() {
            return Err(Error::Failed(format!("sandbox container {:?} is not running", sandbox.id())));
        }
        let port = |number: i32| match u16::try_from(number) {
            Ok(port @ 1..) => Ok(port),
            _ => Err(Error::InvalidArgument(format!("{number} is not a valid port"))),
        };
        let ports = request.port.into_iter().map(port).collect::<Result<_>>()?;
        Ok(PortForwardResponse { url: self.streaming.prepare(Target::Ports { sandbox, ports }) })
    }

    async fn dial_streaming(&self, url: &str) -> Result<Box<dyn StreamingIo>> {
        Ok(self.streaming.dial(&self.shared, url))
    }

    async fn container_stats(&self, container_id: &str) -> Result<ContainerStats> {
        let container = self.container(container_id)?;
        let shared = self.shared.clone();
        blocking(move || stats::stats(&shared, &container)).await
    }

    async fn list_container_stats(&self, filter: ContainerStatsFilter) -> Result<Vec<ContainerStats>> {
        let filter = ContainerFilter {
            id: filter.id,
            state: None,
            pod_sandbox_id: filter.pod_sandbox_id,
            label_selector: filter.label_selector,
        };
        let shared = self.shared.clone();
        let measure = move || {
            let containers = shared.containers();
            stats::stats_of(&shared, containers.iter().filter(|container| container.matches(&filter)))
        };
        Ok(blocking(measure).await)
    }

    async fn pod_sandbox_stats(&self, sandbox_id: &str) -> Result<PodSandboxStats> {
        let (shared, sandbox) = (self.shared.clone(), self.sandbox(sandbox_id)?);
        Ok(blocking(move || sandbox::stats::stats(&shared, &sandbox)).await)
    }

    async fn list_pod_sandbox_stats(&self, filter: PodSandboxStatsFilter) -> Result<Vec<PodSandboxStats>> {
        let filter = PodSandboxFilter {
            id: filter.id,
            state: Some(PodSandboxStateValue { state: PodSandboxState::SandboxReady.into() }),
            label_selector: filter.label_selector,
        };
        let shared = self.shared.clone();
        let measure = move || {
            let sandboxes = shared.sandboxes();
            let wanted = sandboxes.iter().filter(|sandbox| sandbox.matches(&filter));
            wanted.map(|sandbox| sandbox::stats::stats(&shared, sandbox)).collect()
        };
        Ok(blocking(measure).await)
    }

    async fn list_metric_descriptors(&self) -> Result<Vec<MetricDescriptor>> {
        Ok(metrics::descriptors())
    }

    async fn list_pod_sandbox_metrics(&self) -> Result<Vec<PodSandboxMetrics>> {
        let stats = self.list_pod_sandbox_stats(PodSandboxStatsFilter::default()).await?;
        let image_of = |id: &str| self.shared.container(id).map(|c| c.record.image_name.clone()).unwrap_or_default();
        Ok(stats.iter().map(|stats| metrics::metrics(stats, image_of)).collect())
    }

    async fn container_events(&self) -> Result<BoxStream<'static, ContainerEventResponse>> {
        let receiver = self.shared.subscribe();
        // An error says that the runtime is gone or the subscriber too far behind: the stream ends.
        Ok(stream::unfold(
            receiver,
            |mut receiver| async move { receiver.recv().await.ok().map(|event| (event, receiver)) },
        )
        .boxed())
    }
}
