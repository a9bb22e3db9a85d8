//! CRI's `RuntimeService`, method by method. What has no route here, checkpoints and resources of
//! whole sandboxes, is answered with `UNIMPLEMENTED`.

use std::collections::BTreeMap;
use std::sync::Arc;

use cri::{
    AttachRequest, AttachResponse, CgroupDriver, ContainerStatsRequest, ContainerStatsResponse, ContainerStatusRequest,
    ContainerStatusResponse, CreateContainerRequest, CreateContainerResponse, ExecRequest, ExecResponse,
    ExecSyncRequest, GetEventsRequest, LinuxRuntimeConfiguration, ListContainerStatsRequest,
    ListContainerStatsResponse, ListContainersRequest, ListContainersResponse, ListMetricDescriptorsRequest,
    ListMetricDescriptorsResponse, ListPodSandboxMetricsRequest, ListPodSandboxMetricsResponse, ListPodSandboxRequest,
    ListPodSandboxResponse, ListPodSandboxStatsRequest, ListPodSandboxStatsResponse, PodSandboxStatsRequest,
    PodSandboxStatsResponse, PodSandboxStatusRequest, PodSandboxStatusResponse, PortForwardRequest,
    PortForwardResponse, RemoveContainerRequest, RemoveContainerResponse, RemovePodSandboxRequest,
    RemovePodSandboxResponse, ReopenContainerLogRequest, ReopenContainerLogResponse, RunPodSandboxRequest,
    RunPodSandboxResponse, RuntimeConfigRequest, RuntimeConfigResponse, RuntimeService, StartContainerRequest,
    StartContainerResponse, StatusRequest, StopContainerRequest, StopContainerResponse, StopPodSandboxRequest,
    StopPodSandboxResponse, UpdateContainerResourcesRequest, UpdateContainerResourcesResponse,
    UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse, VersionRequest,
};
use futures::StreamExt as _;
use grpc::Router;

use super::streaming::StreamingGate;
use super::{list_stream, required, unary};
use crate::{runtime_method, status};

/// Adds all methods to a router.
pub fn routes(router: Router, runtime: &Arc<dyn RuntimeService>, gate: &Arc<StreamingGate>) -> Router {
    let router = about_runtime(router, runtime);
    let router = sandboxes(router, runtime);
    let router = containers(router, runtime);
    let router = processes(router, runtime, gate);
    usage(router, runtime)
}

fn about_runtime(mut router: Router, runtime: &Arc<dyn RuntimeService>) -> Router {
    unary!(router, runtime, runtime_method!("Version"), |runtime, _request: VersionRequest| runtime.version().await?);
    unary!(router, runtime, runtime_method!("Status"), |runtime, request: StatusRequest| {
        runtime.status(request).await?
    });
    unary!(router, runtime, runtime_method!("RuntimeConfig"), |_runtime, _request: RuntimeConfigRequest| {
        // There is no systemd behind our cgroups.
        let linux = LinuxRuntimeConfiguration { cgroup_driver: CgroupDriver::Cgroupfs.into() };
        RuntimeConfigResponse { linux: Some(linux) }
    });
    unary!(
        router,
        runtime,
        runtime_method!("UpdateRuntimeConfig"),
        |_runtime, _request: UpdateRuntimeConfigRequest| {
            // Its one field, the Pod CIDR, is for runtimes that write a CNI configuration from a template.
            UpdateRuntimeConfigResponse {}
        }
    );
    let service = Arc::clone(runtime);
    router.server_stream(runtime_method!("GetContainerEvents"), move |_request: GetEventsRequest| {
        let runtime = Arc::clone(&service);
        async move { Ok(runtime.container_events().await.map_err(status::to_grpc)?.map(Ok).boxed()) }
    })
}

fn sandboxes(mut router: Router, runtime: &Arc<dyn RuntimeService>) -> Router {
    unary!(router, runtime, runtime_method!("RunPodSandbox"), |runtime, request: RunPodSandboxRequest| {
        let config = required(request.config, "sandbox config")?;
        RunPodSandboxResponse { pod_sandbox_id: runtime.run_pod_sandbox(config, &request.runtime_handler).await? }
    });
    unary!(router, runtime, runtime_method!("StopPodSandbox"), |runtime, request: StopPodSandboxRequest| {
        runtime.stop_pod_sandbox(&request.pod_sandbox_id).await?;
        StopPodSandboxResponse {}
    });
    unary!(router, runtime, runtime_method!("RemovePodSandbox"), |runtime, request: RemovePodSandboxRequest| {
        runtime.remove_pod_sandbox(&request.pod_sandbox_id).await?;
        RemovePodSandboxResponse {}
    });
    unary!(router, runtime, runtime_method!("PodSandboxStatus"), |runtime, request: PodSandboxStatusRequest| {
        let status = Some(runtime.pod_sandbox_status(&request.pod_sandbox_id).await?);
        let info = if request.verbose { runtime.inspect(&request.pod_sandbox_id).await? } else { BTreeMap::new() };
        PodSandboxStatusResponse { status, info, ..PodSandboxStatusResponse::default() }
    });
    unary!(router, runtime, runtime_method!("ListPodSandbox"), |runtime, request: ListPodSandboxRequest| {
        ListPodSandboxResponse { items: runtime.list_pod_sandbox(request.filter.unwrap_or_default()).await? }
    });
    list_stream!(
        router,
        runtime,
        runtime_method!("StreamPodSandboxes"),
        |runtime, request: ListPodSandboxRequest| runtime.list_pod_sandbox(request.filter.unwrap_or_default()).await?,
        |items| ListPodSandboxResponse { items }
    );
    router
}

fn containers(mut router: Router, runtime: &Arc<dyn RuntimeService>) -> Router {
    unary!(router, runtime, runtime_method!("CreateContainer"), |runtime, request: CreateContainerRequest| {
        let config = required(request.config, "container config")?;
        let sandbox_config = required(request.sandbox_config, "sandbox config")?;
        let container_id = runtime.create_container(&request.pod_sandbox_id, config, sandbox_config).await?;
        CreateContainerResponse { container_id }
    });
    unary!(router, runtime, runtime_method!("StartContainer"), |runtime, request: StartContainerRequest| {
        runtime.start_container(&request.container_id).await?;
        StartContainerResponse {}
    });
    unary!(router, runtime, runtime_method!("StopContainer"), |runtime, request: StopContainerRequest| {
        runtime.stop_container(&request.container_id, request.timeout).await?;
        StopContainerResponse {}
    });
    unary!(router, runtime, runtime_method!("RemoveContainer"), |runtime, request: RemoveContainerRequest| {
        runtime.remove_container(&request.container_id).await?;
        RemoveContainerResponse {}
    });
    unary!(router, runtime, runtime_method!("ListContainers"), |runtime, request: ListContainersRequest| {
        ListContainersResponse { containers: runtime.list_containers(request.filter.unwrap_or_default()).await? }
    });
    list_stream!(
        router,
        runtime,
        runtime_method!("StreamContainers"),
        |runtime, request: ListContainersRequest| runtime.list_containers(request.filter.unwrap_or_default()).await?,
        |containers| ListContainersResponse { containers }
    );
    unary!(router, runtime, runtime_method!("ContainerStatus"), |runtime, request: ContainerStatusRequest| {
        let status = Some(runtime.container_status(&request.container_id).await?);
        let info = if request.verbose { runtime.inspect(&request.container_id).await? } else { BTreeMap::new() };
        ContainerStatusResponse { status, info }
    });
    unary!(
        router,
        runtime,
        runtime_method!("UpdateContainerResources"),
        |runtime, request: UpdateContainerResourcesRequest| {
            runtime.update_container_resources(request).await?;
            UpdateContainerResourcesResponse {}
        }
    );
    unary!(router, runtime, runtime_method!("ReopenContainerLog"), |runtime, request: ReopenContainerLogRequest| {
        runtime.reopen_container_log(&request.container_id).await?;
        ReopenContainerLogResponse {}
    });
    router
}

fn processes(mut router: Router, runtime: &Arc<dyn RuntimeService>, gate: &Arc<StreamingGate>) -> Router {
    unary!(router, runtime, runtime_method!("ExecSync"), |runtime, request: ExecSyncRequest| {
        runtime.exec_sync(request).await?
    });
    unary!(router, gate, runtime_method!("Exec"), |gate, request: ExecRequest| {
        ExecResponse { url: gate.open(gate.runtime().exec(request).await?.url) }
    });
    unary!(router, gate, runtime_method!("Attach"), |gate, request: AttachRequest| {
        AttachResponse { url: gate.open(gate.runtime().attach(request).await?.url) }
    });
    unary!(router, gate, runtime_method!("PortForward"), |gate, request: PortForwardRequest| {
        PortForwardResponse { url: gate.open(gate.runtime().port_forward(request).await?.url) }
    });
    router
}

fn usage(mut router: Router, runtime: &Arc<dyn RuntimeService>) -> Router {
    unary!(router, runtime, runtime_method!("ContainerStats"), |runtime, request: ContainerStatsRequest| {
        ContainerStatsResponse { stats: Some(runtime.container_stats(&request.container_id).await?) }
    });
    unary!(router, runtime, runtime_method!("ListContainerStats"), |runtime, request: ListContainerStatsRequest| {
        ListContainerStatsResponse { stats: runtime.list_container_stats(request.filter.unwrap_or_default()).await? }
    });
    list_stream!(
        router,
        runtime,
        runtime_method!("StreamContainerStats"),
        |runtime, request: ListContainerStatsRequest| {
            runtime.list_container_stats(request.filter.unwrap_or_default()).await?
        },
        |stats| ListContainerStatsResponse { stats }
    );
    unary!(router, runtime, runtime_method!("PodSandboxStats"), |runtime, request: PodSandboxStatsRequest| {
        PodSandboxStatsResponse { stats: Some(runtime.pod_sandbox_stats(&request.pod_sandbox_id).await?) }
    });
    unary!(router, runtime, runtime_method!("ListPodSandboxStats"), |runtime, request: ListPodSandboxStatsRequest| {
        ListPodSandboxStatsResponse { stats: runtime.list_pod_sandbox_stats(request.filter.unwrap_or_default()).await? }
    });
    list_stream!(
        router,
        runtime,
        runtime_method!("StreamPodSandboxStats"),
        |runtime, request: ListPodSandboxStatsRequest| {
            runtime.list_pod_sandbox_stats(request.filter.unwrap_or_default()).await?
        },
        |stats| ListPodSandboxStatsResponse { stats }
    );
    unary!(
        router,
        runtime,
        runtime_method!("ListMetricDescriptors"),
        |runtime, _request: ListMetricDescriptorsRequest| {
            ListMetricDescriptorsResponse { descriptors: runtime.list_metric_descriptors().await? }
        }
    );
    unary!(
        router,
        runtime,
        runtime_method!("ListPodSandboxMetrics"),
        |runtime, _request: ListPodSandboxMetricsRequest| {
            ListPodSandboxMetricsResponse { pod_metrics: runtime.list_pod_sandbox_metrics().await? }
        }
    );
    list_stream!(
        router,
        runtime,
        runtime_method!("StreamPodSandboxMetrics"),
        |runtime, _request: ListPodSandboxMetricsRequest| runtime.list_pod_sandbox_metrics().await?,
        |pod_metrics| ListPodSandboxMetricsResponse { pod_metrics }
    );
    router
}
