//! Moving containers that run to the CPUs they may run on now.
//!
//! Woken by changes of the assignments, and by containers that were created while those changed. A container that
//! cannot be moved is tried again later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::timeout;
use tracing::{info, warn};

use super::{CpuManager, CpuSet};
use crate::context::NodeContext;
use crate::labels;
use crate::pod::Uid;

/// As upstream's `--cpu-manager-reconcile-period`.
const RETRY: Duration = Duration::from_secs(10);

/// What containers run on as far as was seen to, by CRI id.
#[derive(Debug, Default)]
pub(super) struct Known(Mutex<HashMap<String, CpuSet>>);

impl Known {
    fn with<T>(&self, act: impl FnOnce(&mut HashMap<String, CpuSet>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A container that runs on other CPUs than it may.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Move {
    pub(super) id: String,
    pub(super) cpus: CpuSet,
}

impl CpuManager {
    /// Notes what a container was created with. The assignments may have changed meanwhile.
    pub fn created(&self, uid: &Uid, container: &str, id: &str, cpus: Option<CpuSet>) {
        let Some(cpus) = cpus else { return };
        let is_current = self.of(uid, container).cpus.as_ref() == Some(&cpus);
        self.reconciler.with(|known| drop(known.insert(id.to_owned(), cpus)));
        if !is_current {
            self.changes.send_modify(|count| *count = count.wrapping_add(1));
        }
    }

    /// What is to be done for these containers; forgets those that are not among them.
    pub(super) fn moves(&self, containers: &[cri::Container]) -> Vec<Move> {
        let wanted = containers.iter().filter_map(|container| {
            let uid = Uid::new(container.labels.get(labels::POD_UID)?);
            let cpus = self.of(&uid, container.labels.get(labels::CONTAINER_NAME)?).cpus?;
            Some(Move { id: container.id.clone(), cpus })
        });
        let wanted: Vec<Move> = wanted.collect();
        self.reconciler.with(|known| {
            known.retain(|id, _| wanted.iter().any(|one| one.id == *id));
            wanted.into_iter().filter(|one| known.get(&one.id) != Some(&one.cpus)).collect()
        })
    }

    pub(super) fn moved(&self, done: Move) {
        self.reconciler.with(|known| drop(known.insert(done.id, done.cpus)));
    }
}

/// Runs for ever.
pub async fn run(context: Arc<NodeContext>) {
    let mut changes = context.cpus.changes.subscribe();
    loop {
        changes.mark_unchanged();
        let patience = if reconcile(&context).await { Duration::MAX } else { RETRY };
        // Both what happened and that nothing did are reasons to look again.
        let _ = timeout(patience, changes.changed()).await;
    }
}

/// Answers whether everything is where it should be.
async fn reconcile(context: &NodeContext) -> bool {
    let containers = match context.runtime.list_containers(cri::ContainerFilter::default()).await {
        Ok(containers) => containers,
        Err(error) => {
            warn!(%error, "could not list containers to move them to their CPUs");
            return false;
        }
    };
    let alive = |container: &cri::Container| container.state() != cri::ContainerState::ContainerExited;
    let containers: Vec<cri::Container> = containers.into_iter().filter(alive).collect();
    let mut settled = true;
    for one in context.cpus.moves(&containers) {
        let resources = cri::LinuxContainerResources {
            cpuset_cpus: one.cpus.to_string(),
            ..cri::LinuxContainerResources::default()
        };
        let request = cri::UpdateContainerResourcesRequest {
            container_id: one.id.clone(),
            linux: Some(resources),
            ..cri::UpdateContainerResourcesRequest::default()
        };
        match context.runtime.update_container_resources(request).await {
            Ok(()) => {
                info!(container = one.id, cpus = %one.cpus, "container moved");
                context.cpus.moved(one);
            }
            Err(cri::Error::NotFound(_)) => {}
            Err(error) => {
                warn!(container = one.id, %error, "container not moved to its CPUs, trying again");
                settled = false;
            }
        }
    }
    settled
}
