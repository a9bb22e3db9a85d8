//! Changing the limits of a container that lives.

use std::sync::Arc;

use cri::LinuxContainerResources;

use super::create::Chain;
use super::{Container, plan};
use crate::layout;
use crate::runtime::Shared;
use crate::shim::spec::ContainerPhase;

/// Applies what is set in `change` and remembers it; the rest stays. A container that has ended has no limits.
///
/// # Errors
/// When the kernel refuses, for instance less memory than is in use, or the disk does.
pub fn update(shared: &Shared, container: &Arc<Container>, change: &LinuxContainerResources) -> cri::Result<()> {
    let failed = |error: &dyn std::fmt::Display| cri::Error::Failed(format!("failed to update resources: {error}"));
    if matches!(container.phase(), Some(ContainerPhase::Exited(_))) {
        return Ok(());
    }
    let mut resources = container.resources();
    let updated = merge(&resources, change);
    let cgroup = &container.record.spec.cgroup;
    shared.cgroups.apply(cgroup, &plan::limits(change)).map_err(|error| failed(&Chain(&error)))?;
    let mut record = container.record.clone();
    record.config.linux.get_or_insert_default().resources = Some(updated.clone());
    let path = container.sandbox.directory.container_file(container.id());
    layout::write_json(&path, &record).map_err(|error| failed(&error))?;
    *resources = updated;
    Ok(())
}

/// What is set in `change` over what was there. Zero and empty mean "not set" in CRI.
pub(super) fn merge(present: &LinuxContainerResources, change: &LinuxContainerResources) -> LinuxContainerResources {
    let number = |new: i64, old: i64| if new == 0 { old } else { new };
    let text = |new: &String, old: &String| if new.is_empty() { old.clone() } else { new.clone() };
    let mut unified = present.unified.clone();
    unified.extend(change.unified.clone());
    LinuxContainerResources {
        cpu_period: number(change.cpu_period, present.cpu_period),
        cpu_quota: number(change.cpu_quota, present.cpu_quota),
        cpu_shares: number(change.cpu_shares, present.cpu_shares),
        memory_limit_in_bytes: number(change.memory_limit_in_bytes, present.memory_limit_in_bytes),
        memory_swap_limit_in_bytes: number(change.memory_swap_limit_in_bytes, present.memory_swap_limit_in_bytes),
        // Fixed when the process starts.
        oom_score_adj: present.oom_score_adj,
        cpuset_cpus: text(&change.cpuset_cpus, &present.cpuset_cpus),
        cpuset_mems: text(&change.cpuset_mems, &present.cpuset_mems),
        hugepage_limits: match change.hugepage_limits.is_empty() {
            true => present.hugepage_limits.clone(),
            false => change.hugepage_limits.clone(),
        },
        unified,
    }
}
