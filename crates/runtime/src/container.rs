//! A container as the daemon holds it.
//!
//! ```text
//! create -> Created --start--> Running --> Exited --remove--> gone
//!               '--(could not be started)----^
//! ```

pub mod attach;
mod cdi;
pub mod create;
mod devices;
pub mod exec;
pub mod plan;
pub mod record;
pub mod remove;
pub mod seccomp;
pub mod start;
pub mod stats;
pub mod stop;
#[cfg(test)]
mod tests;
pub mod update;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cri::{
    Container as ContainerSummary, ContainerFilter, ContainerResources, ContainerState, ContainerStatus, ContainerUser,
    ImageSpec, LinuxContainerResources, LinuxContainerUser,
};
use tokio::sync::watch;

use crate::sandbox::Sandbox;
use crate::shim::spec::{ContainerExit, ContainerPhase};
use record::ContainerRecord;

/// A container.
pub struct Container {
    /// What it is.
    pub record: ContainerRecord,
    /// Where it is.
    pub sandbox: Arc<Sandbox>,
    /// Absent while it is created only.
    phase: watch::Sender<Option<ContainerPhase>>,
    /// Its limits as they are now; the record has those it was created with.
    resources: Mutex<LinuxContainerResources>,
}

impl Container {
    /// A container, and what the shim says about it.
    pub fn new(record: ContainerRecord, sandbox: Arc<Sandbox>, phase: Option<ContainerPhase>) -> Self {
        let resources = record.config.linux.as_ref().and_then(|linux| linux.resources.clone());
        let resources = Mutex::new(resources.unwrap_or_default());
        Self { record, sandbox, phase: watch::Sender::new(phase), resources }
    }

    /// Its limits, held while they change.
    pub fn resources(&self) -> MutexGuard<'_, LinuxContainerResources> {
        self.resources.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// CRI id.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// How far it is.
    pub fn phase(&self) -> Option<ContainerPhase> {
        self.phase.borrow().clone()
    }

    /// What CRI has no field for.
    pub fn inspect(&self) -> serde_json::Value {
        let pid = match self.phase() {
            Some(ContainerPhase::Running { pid, .. }) => pid,
            Some(ContainerPhase::Exited(_)) | None => 0,
        };
        serde_json::json!({ "sandboxID": self.sandbox.id(), "pid": pid, "runtimeType": "isopod" })
    }

    /// Whether its process runs.
    pub fn is_running(&self) -> bool {
        matches!(*self.phase.borrow(), Some(ContainerPhase::Running { .. }))
    }

    /// Moves on; nothing comes after the exit. Returns whether this is new.
    pub fn advance(&self, next: ContainerPhase) -> bool {
        self.phase.send_if_modified(|phase| match (&phase, &next) {
            (Some(ContainerPhase::Exited(_)), _) => false,
            (Some(ContainerPhase::Running { .. }), ContainerPhase::Running { .. }) => false,
            _ => {
                *phase = Some(next);
                true
            }
        })
    }

    /// Waits until it has ended.
    pub async fn wait(&self) {
        let mut phase = self.phase.subscribe();
        // The sender is ours: it cannot be gone.
        let _ = phase.wait_for(|phase| matches!(phase, Some(ContainerPhase::Exited(_)))).await;
    }

    fn state(&self) -> i32 {
        let state = match *self.phase.borrow() {
            None => ContainerState::ContainerCreated,
            Some(ContainerPhase::Running { .. }) => ContainerState::ContainerRunning,
            Some(ContainerPhase::Exited(_)) => ContainerState::ContainerExited,
        };
        state as i32
    }

    /// The container in CRI's words.
    pub fn status(&self) -> ContainerStatus {
        let config = &self.record.config;
        let resources = Some(self.resources().clone());
        let mut status = ContainerStatus {
            id: self.record.id.clone(),
            metadata: config.metadata.clone(),
            state: self.state(),
            created_at: self.record.created_at,
            image: Some(ImageSpec {
                image: self.record.image_name.clone(),
                ..config.image.clone().unwrap_or_default()
            }),
            image_ref: self.record.image_ref.clone(),
            image_id: self.record.image_id.clone(),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            mounts: config.mounts.clone(),
            log_path: self.record.spec.log_path.as_ref().map(|p| p.display().to_string()).unwrap_or_default(),
            resources: Some(ContainerResources { linux: resources, windows: None }),
            stop_signal: stop_signal(self.record.stop_signal).into(),
            ..ContainerStatus::default()
        };
        match self.phase() {
            None => {}
            Some(ContainerPhase::Running { started_at, user, .. }) => {
                status.started_at = started_at;
                status.user = Some(ContainerUser {
                    linux: Some(LinuxContainerUser {
                        uid: user.uid.into(),
                        gid: user.gid.into(),
                        supplemental_groups: user.groups.iter().map(|group| i64::from(*group)).collect(),
                    }),
                });
            }
            Some(ContainerPhase::Exited(exit)) => {
                status.started_at = exit.started_at;
                status.finished_at = exit.finished_at;
                status.exit_code = exit.code;
                status.reason = exit_reason(&exit).into();
                status.message = exit.start_error.unwrap_or_default();
            }
        }
        status
    }

    /// The container in a list.
    pub fn summary(&self) -> ContainerSummary {
        let config = &self.record.config;
        ContainerSummary {
            id: self.record.id.clone(),
            pod_sandbox_id: self.sandbox.id().to_owned(),
            metadata: config.metadata.clone(),
            image: config.image.clone(),
            image_ref: self.record.image_ref.clone(),
            state: self.state(),
            created_at: self.record.created_at,
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            image_id: self.record.image_id.clone(),
        }
    }

    /// Whether all of a filter matches.
    pub fn matches(&self, filter: &ContainerFilter) -> bool {
        let labels = &self.record.config.labels;
        self.record.id.starts_with(&filter.id)
            && self.sandbox.id().starts_with(&filter.pod_sandbox_id)
            && filter.state.as_ref().is_none_or(|state| state.state == self.state())
            && filter.label_selector.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}

/// Why a container ended, in the words the kubelet shows.
fn exit_reason(exit: &ContainerExit) -> &'static str {
    match exit {
        ContainerExit { start_error: Some(_), .. } => "StartError",
        ContainerExit { oom_killed: true, .. } => "OOMKilled",
        ContainerExit { code: 0, .. } => "Completed",
        _ => "Error",
    }
}

/// The signal's name for CRI; one that CRI has no name for stays unsaid.
fn stop_signal(number: i32) -> cri::Signal {
    linux::signal::name(number).and_then(|name| cri::Signal::from_name(&name)).unwrap_or_default()
}
