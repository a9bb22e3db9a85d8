//! A Pod sandbox as the daemon holds it.
//!
//! ```text
//! run -> Ready --(stop, or its shim ends)--> NotReady --remove--> gone
//! ```

pub mod plan;
pub mod record;
pub mod run;
pub mod stats;
pub mod stop;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use cri::{
    LinuxPodSandboxStatus, Namespace, PodIP, PodSandbox, PodSandboxFilter, PodSandboxNetworkStatus, PodSandboxState,
    PodSandboxStatus,
};

use crate::layout::SandboxDir;
use crate::shim_client::ShimClient;
use record::SandboxRecord;

/// A sandbox.
pub struct Sandbox {
    /// Its files.
    pub directory: SandboxDir,
    /// What it is.
    pub record: SandboxRecord,
    phase: Mutex<Phase>,
    /// Held by whoever stops or removes it, so that both happen once.
    pub(crate) ending: tokio::sync::Mutex<()>,
}

/// What serves a sandbox.
#[derive(Clone)]
pub struct Serving {
    /// Connection to its shim.
    pub shim: ShimClient,
    /// Process of its infra container.
    pub pause_pid: i32,
}

/// How far a sandbox is.
enum Phase {
    /// Its shim serves.
    Ready(Serving),
    /// Nothing of it runs any more.
    NotReady,
}

impl Sandbox {
    /// A sandbox whose shim serves, or one that is over.
    pub fn new(directory: SandboxDir, record: SandboxRecord, serving: Option<Serving>) -> Self {
        let phase = serving.map_or(Phase::NotReady, Phase::Ready);
        Self { directory, record, phase: Mutex::new(phase), ending: tokio::sync::Mutex::new(()) }
    }

    /// CRI id.
    pub fn id(&self) -> &str {
        &self.record.id
    }

    /// The shim, while the sandbox is ready.
    pub fn shim(&self) -> Option<ShimClient> {
        self.serving().map(|serving| serving.shim)
    }

    /// Process of the infra container, while the sandbox is ready.
    pub fn pause_pid(&self) -> Option<i32> {
        self.serving().map(|serving| serving.pause_pid)
    }

    fn serving(&self) -> Option<Serving> {
        match &*self.phase.lock().unwrap_or_else(PoisonError::into_inner) {
            Phase::Ready(serving) => Some(serving.clone()),
            Phase::NotReady => None,
        }
    }

    /// Nothing of it runs any more. Returns whether that is new.
    pub fn set_not_ready(&self) -> bool {
        let mut phase = self.phase.lock().unwrap_or_else(PoisonError::into_inner);
        !matches!(std::mem::replace(&mut *phase, Phase::NotReady), Phase::NotReady)
    }

    fn state(&self) -> i32 {
        let state =
            if self.shim().is_some() { PodSandboxState::SandboxReady } else { PodSandboxState::SandboxNotReady };
        state as i32
    }

    /// What CRI has no field for.
    pub fn inspect(&self) -> serde_json::Value {
        serde_json::json!({
            "pid": self.pause_pid().unwrap_or(0),
            "runtimeType": "isopod",
            "stateDir": self.directory.path(),
        })
    }

    /// The sandbox in CRI's words.
    pub fn status(&self) -> PodSandboxStatus {
        let config = &self.record.config;
        let addresses: Vec<String> = self.record.network.iter().flatten().map(ToString::to_string).collect();
        let security = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
        PodSandboxStatus {
            id: self.record.id.clone(),
            metadata: config.metadata.clone(),
            state: self.state(),
            created_at: self.record.created_at,
            network: Some(PodSandboxNetworkStatus {
                ip: addresses.first().cloned().unwrap_or_default(),
                additional_ips: addresses.iter().skip(1).map(|ip| PodIP { ip: ip.clone() }).collect(),
            }),
            linux: Some(LinuxPodSandboxStatus {
                namespaces: Some(Namespace { options: security.and_then(|s| s.namespace_options.clone()) }),
            }),
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            runtime_handler: self.record.runtime_handler.clone(),
        }
    }

    /// The sandbox in a list.
    pub fn summary(&self) -> PodSandbox {
        let config = &self.record.config;
        PodSandbox {
            id: self.record.id.clone(),
            metadata: config.metadata.clone(),
            state: self.state(),
            created_at: self.record.created_at,
            labels: config.labels.clone(),
            annotations: config.annotations.clone(),
            runtime_handler: self.record.runtime_handler.clone(),
        }
    }

    /// Whether all of a filter matches.
    pub fn matches(&self, filter: &PodSandboxFilter) -> bool {
        let labels = &self.record.config.labels;
        self.record.id.starts_with(&filter.id)
            && filter.state.as_ref().is_none_or(|state| state.state == self.state())
            && filter.label_selector.iter().all(|(name, value)| labels.get(name) == Some(value))
    }
}
