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

/// Gives a volume that outlives its Pods to the Pod's group: everything in it, unless the policy is satisfied with a
/// root that is right already.
pub(super) async fn give_tree(pod: &Pod, root: &Path) -> io::Result<()> {
    let Some(group) = fs_group(pod) else { return Ok(()) };
    let security = pod.spec.as_ref().and_then(|spec| spec.security_context.as_ref());
    let on_mismatch =
        security.and_then(|security| security.fs_group_change_policy.as_deref()) == Some("OnRootMismatch");
    if on_mismatch && is_given(&fs::symlink_metadata(root)?, group) {
        return Ok(());
    }
    let root = root.to_owned();
    // A volume may hold very many files: that is done where it may block.
    tokio::task::spawn_blocking(move || give_all(&root, group)).await.map_err(io::Error::other)?
}

/// Whether a directory is as [`give_to_group`] leaves it.
fn is_given(root: &fs::Metadata, group: i64) -> bool {
    const GROUP_BITS: u32 = 0o2070;
    i64::from(root.gid()) == group && root.mode() & GROUP_BITS == GROUP_BITS
}

fn give_all(path: &Path, group: i64) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_dir() {
        for entry in fs::read_dir(path)? {
            give_all(&entry?.path(), group)?;
        }
    }
    give_to_group(path, group, Access::ReadWrite)
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
