//! The static policy: who gets CPUs of its own, and which. Pure.
//!
//! All CPUs begin in the shared pool. A container of a Guaranteed Pod that asks for whole CPUs gets them for itself;
//! they leave the pool until its Pod is gone. Reserved CPUs are never given away.

use std::collections::BTreeMap;

use api::core::v1::pod::QosClass;
use api::core::v1::pod::resources::has_pod_level;
use k8s_openapi::api::core::v1::{Container, Pod};

use super::assign::{self, NotEnough};
use super::cpu_set::CpuSet;
use super::options::PolicyOptions;
use super::topology::{Level, Topology};
use crate::pod::{self, ContainerKind, Uid};
use crate::qos;

/// Who has which CPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Assignments {
    /// CPUs of everybody else.
    pub shared: CpuSet,
    /// CPUs that containers have for themselves, by Pod and name.
    pub exclusive: BTreeMap<Uid, BTreeMap<String, CpuSet>>,
}

impl Assignments {
    /// The CPUs that a container has for itself.
    pub fn exclusive(&self, pod: &Uid, container: &str) -> Option<&CpuSet> {
        self.exclusive.get(pod)?.get(container)
    }

    /// The CPUs that a container may run on.
    pub fn of(&self, pod: &Uid, container: &str) -> &CpuSet {
        self.exclusive(pod, container).unwrap_or(&self.shared)
    }

    /// Gives back what these Pods do not have.
    pub fn retain(&mut self, pods: impl Fn(&Uid) -> bool) {
        for (_, containers) in self.exclusive.extract_if(.., |uid, _| !pods(uid)) {
            self.shared = containers.values().fold(std::mem::take(&mut self.shared), |all, cpus| all.union(cpus));
        }
    }
}

/// Why a Pod does not get CPUs of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AllocationError {
    /// Containers shall have whole cores, and this one asks for a part of one.
    #[error("SMT Alignment Error: requested {requested} cpus not multiple cpus per core = {per_core}")]
    PartOfCore {
        /// CPUs asked for.
        requested: usize,
        /// CPUs of a core.
        per_core: usize,
    },
    /// Containers shall have whole cores, and there are not enough.
    #[error(
        "SMT Alignment Error: not enough free physical CPUs: available physical CPUs = {available}, requested CPUs = \
         {requested}, CPUs per core = {per_core}"
    )]
    NotEnoughCores {
        /// CPUs of free cores.
        available: usize,
        /// CPUs asked for.
        requested: usize,
        /// CPUs of a core.
        per_core: usize,
    },
    /// There are not enough.
    #[error(transparent)]
    NotEnough(#[from] NotEnough),
}

/// Why written assignments do not fit this node.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Somebody has CPUs, and nobody else has any.
    #[error("default cpuset cannot be empty")]
    NothingShared,
    /// Reserved CPUs have been given away.
    #[error("not all reserved cpus: \"{reserved}\" are present in defaultCpuSet: \"{shared}\"")]
    ReservedGone {
        /// What is reserved.
        reserved: CpuSet,
        /// What everybody else has.
        shared: CpuSet,
    },
    /// Reserved CPUs are everybody's.
    #[error("some of strictly reserved cpus: \"{reserved}\" are present in defaultCpuSet: \"{shared}\"")]
    ReservedShared {
        /// Those of the reserved ones.
        reserved: CpuSet,
        /// What everybody else has.
        shared: CpuSet,
    },
    /// CPUs belong to one and to everybody.
    #[error("pod: {pod}, container: {container} cpuset: \"{cpus}\" overlaps with default cpuset \"{shared}\"")]
    Overlap {
        /// Whose they are.
        pod: Uid,
        /// The container.
        container: String,
        /// Its CPUs.
        cpus: CpuSet,
        /// What everybody else has.
        shared: CpuSet,
    },
    /// The machine has other CPUs now.
    #[error("current set of available CPUs \"{present}\" doesn't match with CPUs in state \"{known}\"")]
    OtherMachine {
        /// Those it has.
        present: CpuSet,
        /// Those it had.
        known: CpuSet,
    },
}

/// The policy on one machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StaticPolicy {
    topology: Topology,
    options: PolicyOptions,
    reserved: CpuSet,
    /// Reserved CPUs with everything else on their cores.
    reserved_cores: CpuSet,
}

impl StaticPolicy {
    /// A policy that keeps these CPUs.
    pub fn new(topology: Topology, reserved: CpuSet, options: PolicyOptions) -> Self {
        let reserved_cores = topology.widen(Level::Core, &reserved);
        Self { topology, options, reserved, reserved_cores }
    }

    /// The CPUs it keeps.
    pub fn reserved(&self) -> &CpuSet {
        &self.reserved
    }

    /// All CPUs that somebody may have.
    fn all(&self) -> CpuSet {
        let all = self.topology.cpus();
        if self.options.strict_cpu_reservation { all.difference(&self.reserved) } else { all }
    }

    /// The assignments to begin with: those written down, if they fit.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn begin(&self, written: Option<Assignments>) -> Result<Assignments, StateError> {
        let all = self.all();
        let Some(written) = written.filter(|written| *written != Assignments::default()) else {
            return Ok(Assignments { shared: all, ..Assignments::default() });
        };
        let shared = &written.shared;
        if shared.is_empty() {
            return Err(StateError::NothingShared);
        }
        let kept = self.reserved.intersection(shared);
        if self.options.strict_cpu_reservation && !kept.is_empty() {
            return Err(StateError::ReservedShared { reserved: kept, shared: shared.clone() });
        }
        if !self.options.strict_cpu_reservation && kept != self.reserved {
            return Err(StateError::ReservedGone { reserved: self.reserved.clone(), shared: shared.clone() });
        }
        let mut known = shared.clone();
        for (pod, containers) in &written.exclusive {
            for (container, cpus) in containers {
                if !shared.intersection(cpus).is_empty() {
                    let (pod, container) = (pod.clone(), container.clone());
                    return Err(StateError::Overlap { pod, container, cpus: cpus.clone(), shared: shared.clone() });
                }
                known = known.union(cpus);
            }
        }
        if known != all {
            return Err(StateError::OtherMachine { present: all, known });
        }
        Ok(written)
    }

    /// Gives the containers of a Pod their CPUs; what they have already they keep. Answers whether anything changed.
    ///
    /// # Errors
    /// [`AllocationError`]; nothing is given then.
    pub fn allocate(&self, assignments: &mut Assignments, pod: &Pod) -> Result<bool, AllocationError> {
        let uid = pod::uid(pod);
        let mut after = assignments.clone();
        let mut reusable = CpuSet::default();
        for (kind, container) in pod::all_containers(pod) {
            let count = exclusive_cpus(pod, container);
            if count == 0 {
                continue;
            }
            let cpus = match after.exclusive(&uid, &container.name) {
                Some(cpus) => cpus.clone(),
                None => self.choose(&after, &reusable, count)?,
            };
            after.shared = after.shared.difference(&cpus);
            // Who runs later takes over what init containers had.
            reusable = match kind {
                ContainerKind::Init => reusable.union(&cpus),
                _ => reusable.difference(&cpus),
            };
            after.exclusive.entry(uid.clone()).or_default().insert(container.name.clone(), cpus);
        }
        let changed = *assignments != after;
        *assignments = after;
        Ok(changed)
    }

    fn choose(&self, assignments: &Assignments, reusable: &CpuSet, count: usize) -> Result<CpuSet, AllocationError> {
        let per_core = self.topology.cpus_per_core();
        if self.options.full_pcpus_only {
            if !count.is_multiple_of(per_core) {
                return Err(AllocationError::PartOfCore { requested: count, per_core });
            }
            let available = assignments.shared.union(reusable).difference(&self.reserved_cores).len();
            if count > available {
                return Err(AllocationError::NotEnoughCores { available, requested: count, per_core });
            }
        }
        let free = assignments.shared.difference(&self.reserved).union(reusable);
        Ok(assign::take(&self.topology, &free, count)?)
    }
}

/// How many CPUs a container gets for itself.
fn exclusive_cpus(pod: &Pod, container: &Container) -> usize {
    // What containers share as a Pod cannot be divided among them.
    if qos::class_of(pod) != QosClass::Guaranteed || has_pod_level(pod) {
        return 0;
    }
    let milli = qos::request(container, "cpu").map_or(0, |cpu| cpu.milli_value());
    if milli % 1000 == 0 { usize::try_from(milli / 1000).unwrap_or(0) } else { 0 }
}

/// The reserved CPUs where only their number is given: those of the first cores.
///
/// # Errors
/// [`NotEnough`].
pub fn first_cpus(topology: &Topology, count: usize) -> Result<CpuSet, NotEnough> {
    assign::take(topology, &topology.cpus(), count)
}

#[cfg(test)]
mod tests;
