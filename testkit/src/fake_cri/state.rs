//! The fake runtime's records.

use std::collections::{BTreeMap, BTreeSet};

use cri::{ContainerState, PodSandboxState};

use super::{Behaviour, Trace};

#[derive(Default)]
pub(super) struct State {
    pub behaviour: Behaviour,
    pub calls: Vec<String>,
    pub trace: Vec<Trace>,
    pub images: BTreeSet<String>,
    pub sandboxes: BTreeMap<String, Sandbox>,
    pub containers: BTreeMap<String, Container>,
    pub made: u32,
}

pub(super) struct Sandbox {
    pub config: cri::PodSandboxConfig,
    pub state: PodSandboxState,
    pub created_at: i64,
    pub ip: String,
}

pub(super) struct Container {
    pub sandbox_id: String,
    pub config: cri::ContainerConfig,
    pub log_path: String,
    pub state: ContainerState,
    pub created_at: i64,
    pub started_at: i64,
    pub finished_at: i64,
    pub exit_code: i32,
    pub reason: String,
    order: u32,
}

impl State {
    /// A fresh number, also part of a fresh id.
    pub fn next(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    pub fn add_container(&mut self, sandbox_id: &str, config: cri::ContainerConfig, now: i64) -> String {
        let order = self.next();
        let id = format!("c{order}");
        let log_directory = self.sandboxes.get(sandbox_id).map_or("", |sandbox| &sandbox.config.log_directory);
        let container = Container {
            sandbox_id: sandbox_id.to_owned(),
            log_path: format!("{log_directory}/{}", config.log_path),
            config,
            state: ContainerState::ContainerCreated,
            created_at: now,
            started_at: 0,
            finished_at: 0,
            exit_code: 0,
            reason: String::new(),
            order,
        };
        self.containers.insert(id.clone(), container);
        id
    }

    pub fn running(&self, name: &str) -> Option<String> {
        let runs = |container: &&Container| container.state == ContainerState::ContainerRunning;
        self.instances(name).filter(|(_, container)| runs(container)).map(|(id, _)| id.clone()).next()
    }

    pub fn newest<'a>(&'a self, name: &'a str) -> Option<&'a Container> {
        self.instances(name).map(|(_, container)| container).max_by_key(|container| container.order)
    }

    pub fn count(&self, name: &str) -> usize {
        self.instances(name).count()
    }

    fn instances<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a String, &'a Container)> {
        self.containers.iter().filter(move |(_, container)| container.name() == name)
    }

    pub fn newest_sandbox(&self, pod_name: &str) -> Option<&Sandbox> {
        let named = self.sandboxes.values().filter(|sandbox| sandbox.pod_name() == pod_name);
        named.max_by_key(|sandbox| sandbox.created_at)
    }

    pub fn ready_sandboxes(&self, pod_name: &str) -> Vec<String> {
        let ready = |sandbox: &Sandbox| sandbox.state == PodSandboxState::SandboxReady;
        let found = self.sandboxes.iter().filter(|(_, sandbox)| sandbox.pod_name() == pod_name && ready(sandbox));
        found.map(|(id, _)| id.clone()).collect()
    }

    /// Answers whether it was alive.
    pub fn end(&mut self, id: &str, exit_code: i32, now: i64) -> bool {
        let Some(container) = self.containers.get_mut(id) else { return false };
        if container.state != ContainerState::ContainerRunning {
            return false;
        }
        container.state = ContainerState::ContainerExited;
        container.exit_code = exit_code;
        container.finished_at = now;
        container.reason = if exit_code == 0 { "Completed" } else { "Error" }.to_owned();
        true
    }

    /// Answers the containers that still run in it.
    pub fn stop_sandbox(&mut self, id: &str) -> Vec<String> {
        if let Some(sandbox) = self.sandboxes.get_mut(id) {
            sandbox.state = PodSandboxState::SandboxNotReady;
        }
        let inside = self.containers.iter().filter(|(_, container)| container.sandbox_id == id);
        inside.map(|(id, _)| id.clone()).collect()
    }

    pub fn sandbox_status(&self, id: &str) -> Option<cri::PodSandboxStatus> {
        let sandbox = self.sandboxes.get(id)?;
        let linux = sandbox.config.linux.as_ref();
        let options = linux.and_then(|linux| linux.security_context.as_ref()?.namespace_options.clone());
        Some(cri::PodSandboxStatus {
            id: id.to_owned(),
            metadata: sandbox.config.metadata.clone(),
            state: sandbox.state.into(),
            created_at: sandbox.created_at,
            network: Some(cri::PodSandboxNetworkStatus { ip: sandbox.ip.clone(), additional_ips: Vec::new() }),
            linux: Some(cri::LinuxPodSandboxStatus { namespaces: Some(cri::Namespace { options }) }),
            labels: sandbox.config.labels.clone(),
            annotations: sandbox.config.annotations.clone(),
            runtime_handler: String::new(),
        })
    }

    pub fn container_status(&self, id: &str) -> Option<cri::ContainerStatus> {
        let container = self.containers.get(id)?;
        let image = container.config.image.clone().unwrap_or_default();
        Some(cri::ContainerStatus {
            id: id.to_owned(),
            metadata: container.config.metadata.clone(),
            state: container.state.into(),
            created_at: container.created_at,
            started_at: container.started_at,
            finished_at: container.finished_at,
            exit_code: container.exit_code,
            image_ref: image.image.clone(),
            image: Some(cri::ImageSpec { image: image.user_specified_image.clone(), ..image }),
            reason: container.reason.clone(),
            labels: container.config.labels.clone(),
            annotations: container.config.annotations.clone(),
            mounts: container.config.mounts.clone(),
            log_path: container.log_path.clone(),
            ..cri::ContainerStatus::default()
        })
    }

    /// The event of a change of a sandbox or container, with the whole Pod as it is now.
    pub fn event(&self, id: &str, kind: cri::ContainerEventType, now: i64) -> cri::ContainerEventResponse {
        let sandbox_id = self.containers.get(id).map_or(id, |container| &container.sandbox_id);
        let inside = self.containers.iter().filter(|(_, container)| container.sandbox_id == sandbox_id);
        cri::ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: kind.into(),
            created_at: now,
            pod_sandbox_status: self.sandbox_status(sandbox_id),
            containers_statuses: inside.filter_map(|(id, _)| self.container_status(id)).collect(),
        }
    }
}

impl Sandbox {
    pub fn pod_name(&self) -> &str {
        self.config.metadata.as_ref().map_or("", |metadata| &metadata.name)
    }
}

impl Container {
    pub fn name(&self) -> &str {
        self.config.metadata.as_ref().map_or("", |metadata| &metadata.name)
    }
}

/// Whether an object has all of the labels.
pub(super) fn matches(labels: &BTreeMap<String, String>, selector: &BTreeMap<String, String>) -> bool {
    selector.iter().all(|(key, value)| labels.get(key) == Some(value))
}
