//! The fake's sandboxes and containers.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use cri::*;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use tokio::sync::broadcast::error::RecvError;

use super::state::{Sandbox, matches};
use super::{FakeCri, Happening};

fn not_found(what: &str, id: &str) -> Error {
    Error::NotFound(format!("{what} {id} not found"))
}

impl FakeCri {
    fn name_of(&self, id: &str) -> String {
        let state = self.state();
        state.containers.get(id).map_or_else(|| id.to_owned(), |container| container.name().to_owned())
    }

    fn runs(&self, id: &str) -> bool {
        let state = self.state();
        state.containers.get(id).is_some_and(|container| container.state == ContainerState::ContainerRunning)
    }

    fn unsupported<T>(&self, call: &str) -> Result<T> {
        Err(Error::Failed(format!("the fake runtime has no {call}")))
    }
}

#[async_trait]
impl RuntimeService for FakeCri {
    async fn version(&self) -> Result<VersionResponse> {
        Ok(VersionResponse {
            version: "0.1.0".to_owned(),
            runtime_name: "fake".to_owned(),
            runtime_version: "1".to_owned(),
            runtime_api_version: "v1".to_owned(),
        })
    }

    async fn status(&self, _request: StatusRequest) -> Result<StatusResponse> {
        let ready = |kind: &str| RuntimeCondition { r#type: kind.to_owned(), status: true, ..Default::default() };
        let status = RuntimeStatus { conditions: vec![ready("RuntimeReady"), ready("NetworkReady")] };
        Ok(StatusResponse { status: Some(status), ..StatusResponse::default() })
    }

    async fn inspect(&self, id: &str) -> Result<BTreeMap<String, String>> {
        let state = self.state();
        let known = state.sandboxes.contains_key(id) || state.containers.contains_key(id);
        if known { Ok(BTreeMap::new()) } else { Err(not_found("sandbox or container", id)) }
    }

    async fn run_pod_sandbox(&self, config: PodSandboxConfig, _runtime_handler: &str) -> Result<String> {
        let metadata = config.metadata.clone().unwrap_or_default();
        self.call(format!("run sandbox {}-{}", metadata.name, metadata.attempt));
        if let Some(failure) = self.state().behaviour.sandbox_failure.clone() {
            return Err(Error::Failed(failure));
        }
        let now = self.now();
        let options =
            config.linux.as_ref().and_then(|linux| linux.security_context.as_ref()?.namespace_options.clone());
        let on_host = options.is_some_and(|options| options.network() == NamespaceMode::Node);
        let id = {
            let mut state = self.state();
            let number = state.next();
            let ip = if on_host { String::new() } else { format!("10.9.0.{number}") };
            let sandbox = Sandbox { config, state: PodSandboxState::SandboxReady, created_at: now, ip };
            let id = format!("s{number}");
            state.sandboxes.insert(id.clone(), sandbox);
            id
        };
        self.note(&id, Happening::SandboxRun);
        self.announce(&id, ContainerEventType::ContainerStartedEvent);
        Ok(id)
    }

    async fn stop_pod_sandbox(&self, sandbox_id: &str) -> Result<()> {
        let known = self.state().sandboxes.get(sandbox_id).map(|sandbox| sandbox.pod_name().to_owned());
        if let Some(name) = known {
            self.call(format!("stop sandbox {name}"));
            self.stop_sandbox_now(sandbox_id);
        }
        Ok(())
    }

    async fn remove_pod_sandbox(&self, sandbox_id: &str) -> Result<()> {
        let now = self.now();
        let event = self.state().event(sandbox_id, ContainerEventType::ContainerDeletedEvent, now);
        let removed = {
            let mut state = self.state();
            state.containers.retain(|_, container| container.sandbox_id != sandbox_id);
            state.sandboxes.remove(sandbox_id)
        };
        if let Some(sandbox) = removed {
            self.call(format!("remove sandbox {}", sandbox.pod_name()));
            // An error means that nobody listens.
            let _ = self.events.send(event);
        }
        Ok(())
    }

    async fn pod_sandbox_status(&self, sandbox_id: &str) -> Result<PodSandboxStatus> {
        self.state().sandbox_status(sandbox_id).ok_or_else(|| not_found("sandbox", sandbox_id))
    }

    async fn list_pod_sandbox(&self, filter: PodSandboxFilter) -> Result<Vec<PodSandbox>> {
        let state = self.state();
        let chosen = state.sandboxes.iter().filter(|(id, sandbox)| {
            let id_fits = filter.id.is_empty() || filter.id == **id;
            let state_fits = filter.state.as_ref().is_none_or(|wanted| wanted.state() == sandbox.state);
            id_fits && state_fits && matches(&sandbox.config.labels, &filter.label_selector)
        });
        let listed = chosen.map(|(id, sandbox)| PodSandbox {
            id: id.clone(),
            metadata: sandbox.config.metadata.clone(),
            state: sandbox.state.into(),
            created_at: sandbox.created_at,
            labels: sandbox.config.labels.clone(),
            annotations: sandbox.config.annotations.clone(),
            runtime_handler: String::new(),
        });
        Ok(listed.collect())
    }

    async fn create_container(
        &self,
        sandbox_id: &str,
        config: ContainerConfig,
        _sandbox_config: PodSandboxConfig,
    ) -> Result<String> {
        let name = config.metadata.as_ref().map(|metadata| metadata.name.clone()).unwrap_or_default();
        self.call(format!("create {name}"));
        let now = self.now();
        let id = {
            let mut state = self.state();
            match state.sandboxes.get(sandbox_id).map(|sandbox| sandbox.state) {
                Some(PodSandboxState::SandboxReady) => {}
                Some(_) => return Err(Error::Failed(format!("sandbox {sandbox_id} does not run"))),
                None => return Err(not_found("sandbox", sandbox_id)),
            }
            state.add_container(sandbox_id, config, now)
        };
        self.note(&id, Happening::Created);
        self.announce(&id, ContainerEventType::ContainerCreatedEvent);
        Ok(id)
    }

    async fn start_container(&self, container_id: &str) -> Result<()> {
        let name = self.name_of(container_id);
        self.call(format!("start {name}"));
        let now = self.now();
        let exits = {
            let mut state = self.state();
            let failure = state.behaviour.start_failures.get(&name).cloned();
            let exits = state.behaviour.exits_at_once.get(&name).copied();
            let container =
                state.containers.get_mut(container_id).ok_or_else(|| not_found("container", container_id))?;
            if let Some(failure) = failure {
                container.state = ContainerState::ContainerExited;
                container.finished_at = now;
                container.exit_code = 128;
                container.reason = "StartError".to_owned();
                drop(state);
                self.note(container_id, Happening::StartFailed);
                return Err(Error::Failed(failure));
            }
            container.state = ContainerState::ContainerRunning;
            container.started_at = now;
            exits
        };
        self.note(container_id, Happening::Started);
        self.announce(container_id, ContainerEventType::ContainerStartedEvent);
        if let Some(exit_code) = exits {
            self.end(container_id, exit_code);
        }
        Ok(())
    }

    async fn stop_container(&self, container_id: &str, timeout_seconds: i64) -> Result<()> {
        let name = self.name_of(container_id);
        self.call(format!("stop {name} {timeout_seconds}"));
        self.note(container_id, Happening::StopAsked { timeout_seconds });
        if !self.state().behaviour.deaf.contains(&name) {
            self.end(container_id, 143);
            return Ok(());
        }
        let grace = Duration::from_secs(u64::try_from(timeout_seconds).unwrap_or(0));
        let exited = async {
            loop {
                let changed = self.changed.notified();
                if !self.runs(container_id) {
                    return;
                }
                changed.await;
            }
        };
        if tokio::time::timeout(grace, exited).await.is_err() {
            self.end(container_id, 137);
        }
        Ok(())
    }

    async fn remove_container(&self, container_id: &str) -> Result<()> {
        let removed = self.state().containers.remove(container_id);
        if let Some(container) = removed {
            self.call(format!("remove {}", container.name()));
        }
        Ok(())
    }

    async fn list_containers(&self, filter: ContainerFilter) -> Result<Vec<Container>> {
        let state = self.state();
        let chosen = state.containers.iter().filter(|(id, container)| {
            let id_fits = filter.id.is_empty() || filter.id == **id;
            let sandbox_fits = filter.pod_sandbox_id.is_empty() || filter.pod_sandbox_id == container.sandbox_id;
            let state_fits = filter.state.as_ref().is_none_or(|wanted| wanted.state() == container.state);
            id_fits && sandbox_fits && state_fits && matches(&container.config.labels, &filter.label_selector)
        });
        let listed = chosen.map(|(id, container)| Container {
            id: id.clone(),
            pod_sandbox_id: container.sandbox_id.clone(),
            metadata: container.config.metadata.clone(),
            image: container.config.image.clone(),
            state: container.state.into(),
            created_at: container.created_at,
            labels: container.config.labels.clone(),
            annotations: container.config.annotations.clone(),
            ..Container::default()
        });
        Ok(listed.collect())
    }

    async fn container_status(&self, container_id: &str) -> Result<ContainerStatus> {
        self.state().container_status(container_id).ok_or_else(|| not_found("container", container_id))
    }

    async fn update_container_resources(&self, request: UpdateContainerResourcesRequest) -> Result<()> {
        let id = &request.container_id;
        self.call(format!("update {}", self.name_of(id)));
        if !self.runs(id) {
            return Err(Error::Failed(format!("container {id} does not run")));
        }
        self.note(id, Happening::Updated);
        Ok(())
    }

    async fn reopen_container_log(&self, container_id: &str) -> Result<()> {
        self.call(format!("reopen {}", self.name_of(container_id)));
        Ok(())
    }

    async fn exec_sync(&self, request: ExecSyncRequest) -> Result<ExecSyncResponse> {
        let word = request.cmd.first().cloned().unwrap_or_default();
        let id = &request.container_id;
        self.call(format!("exec {} {}", self.name_of(id), request.cmd.join(" ")));
        if !self.runs(id) {
            return Err(Error::Failed(format!("container {id} does not run")));
        }
        self.note(id, Happening::CommandBegan(word.clone()));
        let time = self.state().behaviour.command_times.get(&word).copied();
        if let Some(time) = time {
            tokio::time::sleep(time).await;
        }
        let (exit_code, output) = self.state().behaviour.commands.get(&word).cloned().unwrap_or_default();
        self.note(id, Happening::CommandEnded(word, exit_code));
        Ok(ExecSyncResponse { stdout: output.into_bytes(), stderr: Vec::new(), exit_code })
    }

    async fn exec(&self, _request: ExecRequest) -> Result<ExecResponse> {
        self.unsupported("exec")
    }

    async fn attach(&self, _request: AttachRequest) -> Result<AttachResponse> {
        self.unsupported("attach")
    }

    async fn port_forward(&self, _request: PortForwardRequest) -> Result<PortForwardResponse> {
        self.unsupported("port_forward")
    }

    async fn dial_streaming(&self, _url: &str) -> Result<Box<dyn StreamingIo>> {
        self.unsupported("dial_streaming")
    }

    async fn container_stats(&self, _container_id: &str) -> Result<ContainerStats> {
        Ok(ContainerStats::default())
    }

    async fn list_container_stats(&self, _filter: ContainerStatsFilter) -> Result<Vec<ContainerStats>> {
        Ok(Vec::new())
    }

    async fn pod_sandbox_stats(&self, _sandbox_id: &str) -> Result<PodSandboxStats> {
        Ok(PodSandboxStats::default())
    }

    async fn list_pod_sandbox_stats(&self, _filter: PodSandboxStatsFilter) -> Result<Vec<PodSandboxStats>> {
        Ok(Vec::new())
    }

    async fn list_metric_descriptors(&self) -> Result<Vec<MetricDescriptor>> {
        Ok(Vec::new())
    }

    async fn list_pod_sandbox_metrics(&self) -> Result<Vec<PodSandboxMetrics>> {
        Ok(Vec::new())
    }

    async fn container_events(&self) -> Result<BoxStream<'static, ContainerEventResponse>> {
        let receiver = self.events.subscribe();
        let stream = futures::stream::unfold(receiver, |mut receiver| async {
            match receiver.recv().await {
                Ok(event) => Some((event, receiver)),
                // Too far behind: the subscriber must list again.
                Err(RecvError::Lagged(_) | RecvError::Closed) => None,
            }
        });
        Ok(stream.boxed())
    }
}
