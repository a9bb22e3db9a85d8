//! `fsGroup`: giving a volume to a group.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, lchown};
use std::path::Path;

use k8s_openapi::api::core::v1::Pod;

/// What the group may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    ReadWrite,
    ReadOnly,
}

impl Access {
    fn bits(self) -> u32 {
        match self {
            Self::ReadWrite => 0o660,
            Self::ReadOnly => 0o440,
        }
    }
}

/// The group that owns the Pod's volumes, if it asks for one.
pub(super) fn fs_group(pod: &Pod) -> Option<i64> {
    pod.spec.as_ref()?.security_context.as_ref()?.fs_group
}

/// Gives one file or directory to a group. What is made in a directory later belongs to the group as well (setgid).
pub(super) fn give_to_group(path: &Path, group: i64, access: Access) -> io::Result<()> {
    let metadata = fs::symlink_metadata(path)?;
    let group = u32::try_from(group).map_err(io::Error::other)?;
    lchown(path, Some(metadata.uid()), Some(group))?;
    if metadata.is_symlink() {
        return Ok(());
    }
    let directory_bits = if metadata.is_dir() { 0o2110 } else { 0 };
    let mode = metadata.mode() & 0o7777 | access.bits() | directory_bits;
    fs::set_permissions(path, Permissions::from_mode(mode))
}
