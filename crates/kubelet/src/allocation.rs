//! What the node has promised to each Pod: the resources it was let in with, until a resize is accepted.
//!
//! The API says what is *desired*. What is *allocated* follows once the node has room for it, and only that is what
//! workers see of a Pod. What is *actuated* is what the kernel enforces; a worker brings it after what is allocated.
//! Both are written to the Pod's directory before they take effect, once they are anything but the desired ones; until
//! then the Pod's own status is record enough.

mod follow;
mod record;
mod resize;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::{Container, Pod, ResourceRequirements};
use tracing::warn;

use crate::pod::{self, ContainerKind, Uid};

pub use follow::{Progress, Shown, UpdateContainer, plan as plan_follow, show};
use record::Record;
pub use resize::{Pending, PendingReason, Resize, Room, changed_resources, decide, needs_restart, summary};

/// Resources of a Pod's containers by container name.
pub type Resources = BTreeMap<String, ResourceRequirements>;

/// The promises of one node, shared by the sync loop, which makes them, and the workers, which keep them.
#[derive(Debug, Default)]
pub struct Allocations {
    pods: Mutex<HashMap<Uid, PodAllocation>>,
}

#[derive(Debug, Default, Clone)]
struct PodAllocation {
    record: Record,
    /// Where the record is on disk, once it has to be.
    path: PathBuf,
    pending: Option<Pending>,
    in_progress: bool,
    error: Option<String>,
}

impl Allocations {
    fn lock(&self) -> MutexGuard<'_, HashMap<Uid, PodAllocation>> {
        self.pods.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins with a Pod: with its record if there is one, else with what its status says that it has, else with what
    /// it asks for.
    pub fn begin(&self, pod: &Pod, pod_dir: &Path) {
        let path = pod_dir.join(record::FILE);
        let record = record::read(&path).unwrap_or_else(|| Record {
            allocated: known(pod),
            allocated_pod: Some(known_pod(pod)),
            ..Record::default()
        });
        self.lock().insert(pod::uid(pod), PodAllocation { record, path, ..PodAllocation::default() });
    }

    /// Forgets a Pod; its record goes with its directory.
    pub fn end(&self, uid: &Uid) {
        self.lock().remove(uid);
    }

    /// The Pod with what is allocated to it in place of what it asks for.
    pub fn apply(&self, pod: Arc<Pod>) -> Arc<Pod> {
        let pods = self.lock();
        let Some(record) = pods.get(&pod::uid(&pod)).map(|allocation| &allocation.record) else { return pod };
        let differs = resizable(&pod).any(|container| differs(container, &record.allocated))
            || record.allocated_pod.as_ref().is_some_and(|allocated| *allocated != pod_level(&pod));
        if differs { Arc::new(with_resources(&pod, record)) } else { pod }
    }

    /// Allocates what the Pod asks for.
    pub fn allocate(&self, pod: &Pod) {
        self.change(&pod::uid(pod), |allocation| {
            let record = &mut allocation.record;
            record.allocated = desired(pod);
            let before = record.allocated_pod.replace(pod_level(pod));
            record.actuated_pod = record.actuated_pod.take().or(before);
            allocation.pending = None;
            (allocation.in_progress, allocation.error) = (true, None);
        });
    }

    /// Notes that a resize has to wait, or can never be. Answers whether that is news.
    pub fn set_pending(&self, uid: &Uid, pending: Option<Pending>) -> bool {
        let mut pods = self.lock();
        let Some(allocation) = pods.get_mut(uid) else { return false };
        let same = |old: &Pending, new: &Pending| old.says_same(new);
        let unchanged = match (&allocation.pending, &pending) {
            (None, None) => true,
            (Some(old), Some(new)) => same(old, new),
            _ => false,
        };
        if !unchanged {
            allocation.pending = pending;
        }
        !unchanged
    }

    /// How far the Pod's resize is.
    pub fn progress(&self, uid: &Uid) -> Progress {
        let pods = self.lock();
        let Some(PodAllocation { pending, in_progress, error, .. }) = pods.get(uid) else { return Progress::default() };
        Progress { pending: pending.clone(), in_progress: *in_progress, error: error.clone() }
    }

    /// Notes how bringing containers after the allocation went. Answers what was noted before.
    pub fn set_progress(&self, uid: &Uid, in_progress: bool, error: Option<String>) -> Progress {
        let before = self.progress(uid);
        if let Some(allocation) = self.lock().get_mut(uid) {
            (allocation.in_progress, allocation.error) = (in_progress, error);
        }
        before
    }

    /// What was set for containers that run, by CRI id, where it is not what they were created with.
    pub fn actuated(&self, uid: &Uid) -> Resources {
        self.lock().get(uid).map(|allocation| allocation.record.actuated.clone()).unwrap_or_default()
    }

    /// What the Pod's cgroup has as a whole, where it is not what is allocated.
    pub fn actuated_pod(&self, uid: &Uid) -> Option<ResourceRequirements> {
        self.lock().get(uid)?.record.actuated_pod.clone()
    }

    /// Notes that the Pod's cgroup has what is allocated.
    pub fn set_pod_actuated(&self, uid: &Uid) {
        if self.actuated_pod(uid).is_some() {
            self.change(uid, |allocation| allocation.record.actuated_pod = None);
        }
    }

    /// Notes what was set for a running container.
    pub fn set_actuated(&self, uid: &Uid, container_id: &str, resources: ResourceRequirements) {
        self.change(uid, |allocation| drop(allocation.record.actuated.insert(container_id.to_owned(), resources)));
    }

    /// Changes a record, on disk first: a kubelet that is killed in between finds what it was about to do.
    fn change(&self, uid: &Uid, change: impl FnOnce(&mut PodAllocation)) {
        let mut pods = self.lock();
        let Some(allocation) = pods.get_mut(uid) else { return };
        change(allocation);
        if let Err(error) = record::write(&allocation.path, &allocation.record) {
            warn!(path = %allocation.path.display(), %error, "allocation not written, a restart may take it back");
        }
    }
}

/// Containers and sidecars; what init containers get is fixed.
pub fn resizable(pod: &Pod) -> impl Iterator<Item = &Container> {
    pod::all_containers(pod).filter(|(kind, _)| *kind != ContainerKind::Init).map(|(_, container)| container)
}

fn desired(pod: &Pod) -> Resources {
    resizable(pod).map(|one| (one.name.clone(), one.resources.clone().unwrap_or_default())).collect()
}

/// Resources of the Pod as a whole; empty for none.
fn pod_level(pod: &Pod) -> ResourceRequirements {
    pod.spec.as_ref().and_then(|spec| spec.resources.clone()).unwrap_or_default()
}

/// What a Pod had as a whole under an earlier kubelet, as its status tells.
fn known_pod(pod: &Pod) -> ResourceRequirements {
    let told = pod.status.as_ref().and_then(|status| status.resources.clone());
    told.unwrap_or_else(|| pod_level(pod))
}

/// What a Pod had under an earlier kubelet, as its status tells.
fn known(pod: &Pod) -> Resources {
    let status = pod.status.as_ref();
    let statuses = status.map(|status| {
        status.init_container_statuses.iter().flatten().chain(status.container_statuses.iter().flatten())
    });
    let told: BTreeMap<&str, &ResourceRequirements> =
        statuses.into_iter().flatten().filter_map(|one| Some((one.name.as_str(), one.resources.as_ref()?))).collect();
    resizable(pod)
        .map(|container| {
            let own = container.resources.clone().unwrap_or_default();
            let told = told.get(container.name.as_str());
            let resources =
                told.map_or(own.clone(), |told| ResourceRequirements { claims: own.claims, ..(*told).clone() });
            (container.name.clone(), resources)
        })
        .collect()
}

fn differs(container: &Container, allocated: &Resources) -> bool {
    let own = container.resources.clone().unwrap_or_default();
    allocated.get(&container.name).is_some_and(|allocated| *allocated != own)
}

fn with_resources(pod: &Pod, record: &Record) -> Pod {
    let mut pod = pod.clone();
    let Some(spec) = pod.spec.as_mut() else { return pod };
    if let Some(allocated) = &record.allocated_pod {
        spec.resources = Some(allocated.clone()).filter(|allocated| *allocated != ResourceRequirements::default());
    }
    let sidecars =
        spec.init_containers.iter_mut().flatten().filter(|one| pod::init_kind(one) == ContainerKind::Sidecar);
    for container in spec.containers.iter_mut().chain(sidecars) {
        if let Some(allocated) = record.allocated.get(&container.name) {
            container.resources = Some(allocated.clone());
        }
    }
    pod
}
