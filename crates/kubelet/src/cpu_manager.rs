//! CPUs that containers have for themselves: upstream's CPU manager with the policies `none` and `static`.
//!
//! Flow: the sync loop gives a Pod its CPUs when it lets it in ([`CpuManager::reserve`]) and takes them back when the
//! Pod needs them no more; each container is created with what it may run on ([`CpuManager::of`]); [`reconcile`] follows
//! for those that run already, whose shared pool shrinks and grows.
//!
//! Guarantees: no CPU belongs to two containers at once; who has which is on disk before anybody is told; what is on
//! disk and does not fit this machine any more stops the kubelet from starting, because Pods may be running by it.

mod assign;
mod checkpoint;
mod cpu_set;
mod options;
mod policy;
pub mod reconcile;
#[cfg(test)]
mod tests;
mod topology;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::Pod;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::pod::{self, Uid};
use crate::qos::CPU_PERIOD_US;

pub use cpu_set::CpuSet;
pub use options::{CpuManagerConfig, Policy, PolicyOptions};
pub use policy::AllocationError;
use policy::{Assignments, StateError, StaticPolicy};
use topology::Topology;

/// Why the CPU manager cannot start.
#[derive(Debug, thiserror::Error)]
pub enum CpuManagerError {
    /// The kernel does not say which CPUs there are.
    #[error("cannot find out the machine's CPUs")]
    Topology(#[source] io::Error),
    /// Without reserved CPUs nothing might be left for everybody else.
    #[error("[cpumanager] the static policy requires systemreserved.cpu + kubereserved.cpu to be greater than zero")]
    NothingReserved,
    /// The machine has fewer.
    #[error("[cpumanager] unable to reserve the required amount of CPUs (size of {found} did not equal {wanted})")]
    CannotReserve {
        /// What it has of them.
        found: CpuSet,
        /// How many are to be kept.
        wanted: usize,
    },
    /// What is written down cannot be used.
    #[error(
        "could not restore state from checkpoint: {problem}, please drain this node and delete the CPU manager \
         checkpoint file {path:?} before restarting Kubelet"
    )]
    Checkpoint {
        /// Why.
        problem: String,
        /// The file.
        path: PathBuf,
    },
}

/// The node's CPUs.
pub struct CpuManager {
    policy: Option<StaticPolicy>,
    directory: PathBuf,
    assignments: Mutex<Assignments>,
    /// Counts changes, of the assignments and of what is known of containers.
    changes: watch::Sender<u64>,
    reconciler: reconcile::Known,
}

/// What a container may run on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ContainerCpus {
    /// The CPUs; none for any.
    pub cpus: Option<CpuSet>,
    /// Whether they are its own.
    pub exclusive: bool,
}

impl ContainerCpus {
    /// Puts it into what a container is created with, or gets anew. Time on CPUs of its own is not rationed: nobody
    /// else could use what it leaves.
    pub fn apply_to(&self, resources: &mut cri::LinuxContainerResources) {
        resources.cpuset_cpus = self.cpus.as_ref().map(ToString::to_string).unwrap_or_default();
        if self.exclusive {
            (resources.cpu_quota, resources.cpu_period) = (-1, CPU_PERIOD_US);
        }
    }
}

impl CpuManager {
    /// Begins with what an earlier kubelet wrote below `directory`; `reserved_milli` is what the node keeps of its CPUs.
    ///
    /// # Errors
    /// [`CpuManagerError`].
    pub fn open(config: &CpuManagerConfig, reserved_milli: i64, directory: &Path) -> Result<Self, CpuManagerError> {
        let policy = match config.policy {
            Policy::None => None,
            Policy::Static => {
                let topology = Topology::read(Path::new("/sys/devices/system")).map_err(CpuManagerError::Topology)?;
                Some(static_policy(config, reserved_milli, topology)?)
            }
        };
        Self::with_policy(policy, directory)
    }

    /// A manager that gives nobody CPUs and knows of nothing before.
    pub fn none(directory: &Path) -> Self {
        Self {
            policy: None,
            directory: directory.to_owned(),
            assignments: Mutex::default(),
            changes: watch::channel(0).0,
            reconciler: reconcile::Known::default(),
        }
    }

    fn with_policy(policy: Option<StaticPolicy>, directory: &Path) -> Result<Self, CpuManagerError> {
        let unusable =
            |problem: String| CpuManagerError::Checkpoint { problem, path: directory.join(checkpoint::FILE) };
        let assignments = match &policy {
            Some(policy) => {
                info!(reserved = %policy.reserved(), "static CPU manager policy");
                let written = checkpoint::read(directory, Policy::Static.as_str());
                let written = written.map_err(|error| unusable(error.to_string()))?;
                policy.begin(written).map_err(|error: StateError| unusable(error.to_string()))?
            }
            None => match checkpoint::read(directory, Policy::None.as_str()) {
                // Containers may still run on CPUs of their own.
                Err(error @ checkpoint::CheckpointError::Policy { .. }) => return Err(unusable(error.to_string())),
                // There is nothing in it that anybody needs.
                _ => Assignments::default(),
            },
        };
        let manager = Self { policy, assignments: Mutex::new(assignments), ..Self::none(directory) };
        manager.write(&manager.assignments());
        Ok(manager)
    }

    /// Who gets CPUs for itself.
    pub fn policy(&self) -> Policy {
        if self.policy.is_some() { Policy::Static } else { Policy::None }
    }

    /// Gives a Pod that is let in its CPUs.
    ///
    /// # Errors
    /// [`AllocationError`]; the Pod has none then.
    pub fn reserve(&self, pod: &Pod) -> Result<(), AllocationError> {
        let Some(policy) = &self.policy else { return Ok(()) };
        let mut assignments = self.assignments();
        if policy.allocate(&mut assignments, pod)? {
            if let Some(containers) = assignments.exclusive.get(&pod::uid(pod)) {
                let cpus = containers.iter().map(|(name, cpus)| format!("{name}: {cpus}")).collect::<Vec<_>>();
                info!(pod = pod::full_name(pod), ?cpus, shared = %assignments.shared, "allocated exclusive CPUs");
            }
            self.changed(&assignments);
        }
        Ok(())
    }

    /// The Pod has no use for CPUs any more.
    pub fn release(&self, uid: &Uid) {
        self.keep(|other| other != uid);
    }

    /// These Pods are all there are.
    pub fn retain(&self, pods: &HashSet<Uid>) {
        self.keep(|uid| pods.contains(uid));
    }

    fn keep(&self, pods: impl Fn(&Uid) -> bool) {
        let mut assignments = self.assignments();
        let before = assignments.exclusive.len();
        assignments.retain(pods);
        if assignments.exclusive.len() != before {
            self.changed(&assignments);
        }
    }

    /// What a container may run on.
    pub fn of(&self, uid: &Uid, container: &str) -> ContainerCpus {
        if self.policy.is_none() {
            return ContainerCpus::default();
        }
        let assignments = self.assignments();
        let exclusive = assignments.exclusive(uid, container).is_some();
        ContainerCpus { cpus: Some(assignments.of(uid, container).clone()), exclusive }
    }

    /// Whether any container of the Pod has CPUs for itself.
    pub fn has_exclusive(&self, uid: &Uid) -> bool {
        self.assignments().exclusive.contains_key(uid)
    }

    fn assignments(&self) -> MutexGuard<'_, Assignments> {
        self.assignments.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn changed(&self, assignments: &Assignments) {
        self.write(assignments);
        self.changes.send_modify(|count| *count = count.wrapping_add(1));
    }

    fn write(&self, assignments: &Assignments) {
        if let Err(error) = checkpoint::write(&self.directory, self.policy().as_str(), assignments) {
            let path = self.directory.join(checkpoint::FILE);
            warn!(path = %path.display(), %error, "CPU assignments not written, a restart forgets them");
        }
    }
}

/// The static policy with its reserved CPUs: those that are named, else as many as the node keeps, rounded up.
fn static_policy(
    config: &CpuManagerConfig,
    reserved_milli: i64,
    topology: Topology,
) -> Result<StaticPolicy, CpuManagerError> {
    let wanted = usize::try_from(reserved_milli).unwrap_or(0).div_ceil(1000);
    if wanted == 0 {
        return Err(CpuManagerError::NothingReserved);
    }
    let found = match config.reserved.is_empty() {
        false => config.reserved.intersection(&topology.cpus()),
        true => policy::first_cpus(&topology, wanted).unwrap_or_default(),
    };
    if found.len() != wanted {
        return Err(CpuManagerError::CannotReserve { found, wanted });
    }
    Ok(StaticPolicy::new(topology, found, config.options))
}
