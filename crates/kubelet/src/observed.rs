//! What the runtime has of one Pod, read fresh for every pass and brought into the kubelet's words.

use std::collections::{BTreeMap, BTreeSet};

use cri::{Error, Result};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerUser, LinuxContainerUser};

use crate::labels;
use crate::plan_pod::Epoch;
use crate::pod::Uid;

/// Everything the runtime knows of one Pod.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ObservedPod {
    /// Sandboxes, newest first.
    pub sandboxes: Vec<ObservedSandbox>,
    /// Containers, newest first.
    pub containers: Vec<ObservedContainer>,
}

/// One sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObservedSandbox {
    /// CRI id.
    pub id: String,
    /// How many sandboxes the Pod had before.
    pub attempt: u32,
    /// Whether its infra container runs and its network is up.
    pub ready: bool,
    /// Whether it shares the host's network.
    pub host_network: bool,
    /// Its addresses, the primary one first.
    pub ips: Vec<String>,
}

/// One container, alive or not.
#[derive(Debug, Clone, PartialEq)]
pub struct ObservedContainer {
    /// CRI id.
    pub id: String,
    /// The name in the Pod's spec.
    pub name: String,
    /// The sandbox it belongs to.
    pub sandbox_id: String,
    /// How many instances came before it.
    pub attempt: u32,
    /// When it was made.
    pub created_at: Timestamp,
    /// Which of the Pod's starts it belongs to.
    pub epoch: Epoch,
    /// Hash of the spec it was made from.
    pub hash: String,
    /// The image as the runtime calls it.
    pub image: String,
    /// The image by digest.
    pub image_id: String,
    /// Its life.
    pub state: ContainerState,
    /// Whom its first process runs as, if the runtime tells.
    pub user: Option<ContainerUser>,
    /// The signal that asks it to stop, if the runtime tells.
    pub stop_signal: Option<&'static str>,
    /// Its log file.
    pub log_path: String,
    /// Where its termination message is on the host, by its path in the container.
    pub mounts: BTreeMap<String, String>,
    /// Where it can write nothing, not even to what is mounted below.
    pub recursively_read_only: BTreeSet<String>,
    /// The annotations it was created with.
    pub annotations: BTreeMap<String, String>,
}

/// A container's life so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, not started.
    Created,
    /// Running.
    Running {
        /// Since when.
        started_at: Timestamp,
    },
    /// Gone.
    Exited(Exit),
    /// The runtime lost track of it.
    Unknown,
}

/// How a container ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exit {
    /// When it was started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub finished_at: Timestamp,
    /// Exit code, 128 + signal for a signal.
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled` or what the runtime says.
    pub reason: String,
    /// The runtime's or the container's own last words.
    pub message: String,
}

impl ObservedPod {
    /// The newest instance of a container.
    pub fn latest(&self, name: &str) -> Option<&ObservedContainer> {
        self.containers.iter().find(|container| container.name == name)
    }

    /// The newest sandbox.
    pub fn sandbox(&self) -> Option<&ObservedSandbox> {
        self.sandboxes.first()
    }
}

impl ObservedContainer {
    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        matches!(self.state, ContainerState::Running { .. })
    }

    /// How it ended, if it did.
    pub fn exit(&self) -> Option<&Exit> {
        match &self.state {
            ContainerState::Exited(exit) => Some(exit),
            _ => None,
        }
    }
}

/// Reads everything of one Pod. What vanishes between the list and the look at it is left out.
///
/// # Errors
/// The runtime's, when it does not answer.
pub async fn observe_pod(runtime: &dyn cri::RuntimeService, uid: &Uid) -> Result<ObservedPod> {
    let label_selector = BTreeMap::from([(labels::POD_UID.to_owned(), uid.to_string())]);
    let mut pod = ObservedPod::default();
    let filter = cri::PodSandboxFilter { label_selector: label_selector.clone(), ..Default::default() };
    for sandbox in runtime.list_pod_sandbox(filter).await? {
        match runtime.pod_sandbox_status(&sandbox.id).await {
            Ok(status) => pod.sandboxes.push(ObservedSandbox::from_cri(&status)),
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    let filter = cri::ContainerFilter { label_selector, ..Default::default() };
    for container in runtime.list_containers(filter).await? {
        match runtime.container_status(&container.id).await {
            Ok(status) => pod.containers.push(observed_container(&container, status)),
            Err(Error::NotFound(_)) => {}
            Err(error) => return Err(error),
        }
    }
    pod.containers.sort_by_key(|container| std::cmp::Reverse((container.attempt, container.created_at)));
    pod.sandboxes.sort_by_key(|sandbox| std::cmp::Reverse(sandbox.attempt));
    Ok(pod)
}

impl ObservedSandbox {
    fn from_cri(status: &cri::PodSandboxStatus) -> Self {
        let options = status.linux.as_ref().and_then(|linux| linux.namespaces.as_ref()?.options.as_ref());
        let ips = status.network.iter().flat_map(|network| {
            std::iter::once(network.ip.clone()).chain(network.additional_ips.iter().map(|ip| ip.ip.clone()))
        });
        Self {
            id: status.id.clone(),
            attempt: status.metadata.as_ref().map_or(0, |metadata| metadata.attempt),
            ready: status.state() == cri::PodSandboxState::SandboxReady,
            host_network: options.is_some_and(|options| options.network() == cri::NamespaceMode::Node),
            ips: ips.filter(|ip| !ip.is_empty()).collect(),
        }
    }
}

fn observed_container(listed: &cri::Container, status: cri::ContainerStatus) -> ObservedContainer {
    let state = container_state(&status);
    let stop_signal = status.stop_signal().name();
    let recursive = status.mounts.iter().filter(|mount| mount.recursive_read_only);
    let recursively_read_only = recursive.map(|mount| mount.container_path.clone()).collect();
    let metadata = status.metadata.unwrap_or_default();
    let annotation = |key: &str| status.annotations.get(key).cloned().unwrap_or_default();
    let user = status.user.and_then(|user| user.linux).map(|linux| ContainerUser {
        linux: Some(LinuxContainerUser {
            uid: linux.uid,
            gid: linux.gid,
            supplemental_groups: Some(linux.supplemental_groups).filter(|groups| !groups.is_empty()),
        }),
    });
    ObservedContainer {
        id: status.id,
        name: status.labels.get(labels::CONTAINER_NAME).cloned().unwrap_or(metadata.name),
        sandbox_id: listed.pod_sandbox_id.clone(),
        created_at: time(status.created_at),
        epoch: Epoch(annotation(labels::EPOCH).parse().unwrap_or_default()),
        attempt: annotation(labels::RESTART_COUNT).parse().unwrap_or(metadata.attempt),
        hash: annotation(labels::CONTAINER_HASH),
        image: status.image.map(|image| image.image).unwrap_or_default(),
        image_id: status.image_ref,
        state,
        user,
        stop_signal,
        log_path: status.log_path,
        mounts: status.mounts.into_iter().map(|mount| (mount.container_path, mount.host_path)).collect(),
        recursively_read_only,
        annotations: status.annotations,
    }
}

fn container_state(status: &cri::ContainerStatus) -> ContainerState {
    match status.state() {
        cri::ContainerState::ContainerCreated => ContainerState::Created,
        cri::ContainerState::ContainerRunning => ContainerState::Running { started_at: time(status.started_at) },
        cri::ContainerState::ContainerExited => ContainerState::Exited(Exit {
            started_at: (status.started_at != 0).then(|| time(status.started_at)),
            finished_at: time(status.finished_at),
            exit_code: status.exit_code,
            reason: exit_reason(status),
            message: status.message.clone(),
        }),
        cri::ContainerState::ContainerUnknown => ContainerState::Unknown,
    }
}

fn exit_reason(status: &cri::ContainerStatus) -> String {
    match (status.reason.as_str(), status.exit_code) {
        ("", 0) => "Completed".to_owned(),
        ("", _) => "Error".to_owned(),
        (reason, _) => reason.to_owned(),
    }
}

/// CRI counts nanoseconds since 1970; a value no calendar has becomes that origin.
pub fn time(nanoseconds: i64) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(nanoseconds)).unwrap_or(Timestamp::UNIX_EPOCH)
}
