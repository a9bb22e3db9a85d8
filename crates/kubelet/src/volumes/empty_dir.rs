//! `emptyDir`: a directory that lives as long as its Pod, on disk, in memory or in huge pages.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use api::quantity::Quantity;
use k8s_openapi::api::core::v1::{EmptyDirVolumeSource, Pod};

use super::{VolumeProblem, is_mount_point, ownership, prepare_directory};
use crate::host::Host;
use crate::pod;
use crate::qos::PodTotals;

/// What to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct EmptyDir {
    pub directory: PathBuf,
    pub medium: Medium,
}

/// Where its content is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Medium {
    /// On the node's disk.
    Disk,
    /// In memory, and if so of at most how many bytes.
    Memory(Option<u64>),
    /// In huge pages of a size, as resources name it: `2Mi`.
    HugePages(String),
}

pub(super) fn plan(pod: &Pod, source: &EmptyDirVolumeSource, directory: PathBuf) -> Result<EmptyDir, VolumeProblem> {
    let medium = match source.medium.as_deref() {
        None | Some("") => Medium::Disk,
        Some("Memory") => {
            // What a Pod may not use as memory it cannot use as files in memory either.
            let limit = source.size_limit.as_ref().map(|limit| Quantity::of(limit).value()).filter(|limit| *limit > 0);
            let bounds = limit.into_iter().chain(PodTotals::of(pod).memory_limit_bytes);
            Medium::Memory(bounds.min().and_then(|bytes| u64::try_from(bytes).ok()))
        }
        Some(medium) if medium.starts_with("HugePages") => Medium::HugePages(page_size(pod, medium)?),
        Some(_) => return Err(VolumeProblem::Unsupported("emptyDir of an unknown medium")),
    };
    Ok(EmptyDir { directory, medium })
}

/// The size of page that a medium stands for: `HugePages` for the only one that the Pod requests, `HugePages-2Mi` for
/// that one if the Pod requests it.
fn page_size(pod: &Pod, medium: &str) -> Result<String, VolumeProblem> {
    let requests = pod::all_containers(pod).filter_map(|(_, one)| one.resources.as_ref()?.requests.as_ref());
    let requested: BTreeSet<&str> =
        requests.flat_map(|requests| requests.keys()).filter_map(|name| name.strip_prefix("hugepages-")).collect();
    let wanted = medium.strip_prefix("HugePages-");
    let mut fitting = requested.into_iter().filter(|size| wanted.is_none_or(|wanted| wanted == *size));
    match (fitting.next(), fitting.next()) {
        (Some(size), None) => Ok(size.to_owned()),
        (None, _) => Err(VolumeProblem::NoHugePages(medium.to_owned())),
        (Some(_), Some(_)) => Err(VolumeProblem::ManyHugePages(medium.to_owned())),
    }
}

pub(super) fn set_up(plan: &EmptyDir, fs_group: Option<i64>, host: &dyn Host) -> Result<(), VolumeProblem> {
    let directory = &plan.directory;
    let ready = directory.is_dir() && (plan.medium == Medium::Disk || is_mount_point(directory));
    match &plan.medium {
        Medium::Disk => prepare_directory(directory, None, host)?,
        Medium::Memory(size_bytes) => prepare_directory(directory, Some(*size_bytes), host)?,
        Medium::HugePages(size) if !ready => mount_huge_pages(directory, size, host)?,
        Medium::HugePages(_) => {}
    }
    if ready {
        return Ok(());
    }
    // Nothing is in it yet: giving it to the group is one call.
    fs_group.map_or(Ok(()), |group| {
        ownership::give_to_group(directory, group, ownership::Access::ReadWrite)
            .map_err(VolumeProblem::io("set the group of", directory))
    })
}

fn mount_huge_pages(directory: &Path, size: &str, host: &dyn Host) -> Result<(), VolumeProblem> {
    std::fs::create_dir_all(directory).map_err(VolumeProblem::io("create", directory))?;
    let options = format!("pagesize={size},mode=0777");
    host.mount_remote(Path::new("nodev"), directory, "hugetlbfs", &options, false)
        .map_err(VolumeProblem::io("mount hugetlbfs on", directory))
}
