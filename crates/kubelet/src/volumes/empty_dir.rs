//! `emptyDir`: a directory that lives as long as its Pod, on disk or in memory.

use std::path::PathBuf;

use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod};

use super::{VolumeProblem, is_mount_point, ownership, prepare_directory};
use crate::host::Host;
use crate::qos::PodTotals;

/// What to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EmptyDir {
    pub directory: PathBuf,
    /// In memory, and if so of at most how many bytes.
    pub memory: Option<Option<u64>>,
}

pub(super) fn plan(pod: &Pod, source: &EmptyDirVolumeSource, directory: PathBuf) -> Result<EmptyDir, VolumeProblem> {
    let memory = match source.medium.as_deref() {
        None | Some("") => None,
        Some("Memory") => {
            // What a Pod may not use as memory it cannot use as files in memory either.
            let limit = source.size_limit.as_ref().map(|limit| Quantity::of(limit).value()).filter(|limit| *limit > 0);
            let bounds = limit.into_iter().chain(PodTotals::of(pod).memory_limit_bytes);
            Some(bounds.min().and_then(|bytes| u64::try_from(bytes).ok()))
        }
        Some(_) => return Err(VolumeProblem::Unsupported("emptyDir with huge pages")),
    };
    Ok(EmptyDir { directory, memory })
}

pub(super) fn set_up(plan: &EmptyDir, fs_group: Option<i64>, host: &dyn Host) -> Result<(), VolumeProblem> {
    let ready = plan.directory.is_dir() && (plan.memory.is_none() || is_mount_point(&plan.directory));
    prepare_directory(&plan.directory, plan.memory, host)?;
    if ready {
        return Ok(());
    }
    // Nothing is in it yet: giving it to the group is one call.
    fs_group.map_or(Ok(()), |group| {
        ownership::give_to_group(&plan.directory, group, ownership::Access::ReadWrite)
            .map_err(VolumeProblem::io("set the group of", &plan.directory))
    })
}
