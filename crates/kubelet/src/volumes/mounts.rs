//! What is mounted into one container: volumes, `/etc/hosts` and the file of its last words.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::{Container, VolumeMount};

use super::{MountedVolumes, sub_path};
use crate::container_config::ConfigError;
use crate::container_config::command::expand;
use crate::host::Host;

/// What mounting needs besides the container.
#[derive(Clone, Copy)]
pub struct MountContext<'a> {
    /// Bind mounts.
    pub host: &'a dyn Host,
    /// `pods/<uid>`.
    pub pod_dir: &'a Path,
    /// The Pod's volumes.
    pub volumes: &'a MountedVolumes,
    /// Images of the volumes whose content they are.
    pub image_volumes: &'a BTreeMap<String, String>,
    /// Content for `/etc/hosts`, unless the Pod has no address.
    pub etc_hosts: Option<&'a str>,
    /// Whether the runtime can make mounts read-only with all that is mounted below them.
    pub recursive_read_only: bool,
    /// Distinguishes instances of one container.
    pub attempt: u32,
}

/// The mounts of a container; files they need are made.
///
/// # Errors
/// [`ConfigError`] when a mount cannot be what the spec says.
pub fn container_mounts(
    container: &Container,
    env: &[(String, String)],
    context: MountContext<'_>,
) -> Result<Vec<cri::Mount>, ConfigError> {
    let declared = container.volume_mounts.as_deref().unwrap_or_default();
    let mut mounts = Vec::with_capacity(declared.len() + 2);
    for (index, mount) in declared.iter().enumerate() {
        mounts.push(volume_mount(container, index, mount, env, context)?);
    }
    let hosts_is_free = !mounts.iter().any(|mount| mount.container_path == "/etc/hosts");
    if let Some(content) = context.etc_hosts.filter(|_| hosts_is_free) {
        mounts.push(etc_hosts_mount(content, context.pod_dir)?);
    }
    if let Some(path) = container.termination_message_path.as_deref().filter(|path| !path.is_empty()) {
        mounts.push(termination_message_mount(container, path, context)?);
    }
    Ok(mounts)
}

fn volume_mount(
    container: &Container,
    index: usize,
    mount: &VolumeMount,
    env: &[(String, String)],
    context: MountContext<'_>,
) -> Result<cri::Mount, ConfigError> {
    if let Some(image) = context.image_volumes.get(&mount.name) {
        return image_mount(mount, image, env);
    }
    let volume =
        context.volumes.volumes.get(&mount.name).filter(|volume| !volume.is_block).ok_or_else(|| {
            ConfigError::VolumeNotFound { volume: mount.name.clone(), container: container.name.clone() }
        })?;
    let mut host_path = volume.host_path.clone();
    if let Some(sub_path) = sub_path_of(mount, env)? {
        let target = context.pod_dir.join("volume-subpaths").join(&mount.name).join(&container.name);
        let target = target.join(index.to_string());
        sub_path::bind(context.host, &host_path, &sub_path, &target).map_err(|error| ConfigError::SubPath {
            volume: mount.name.clone(),
            container: container.name.clone(),
            problem: error.to_string(),
        })?;
        host_path = target;
    }
    let propagation = match mount.mount_propagation.as_deref() {
        Some("HostToContainer") => cri::MountPropagation::PropagationHostToContainer,
        Some("Bidirectional") => cri::MountPropagation::PropagationBidirectional,
        _ => cri::MountPropagation::PropagationPrivate,
    };
    Ok(cri::Mount {
        container_path: container_path(mount),
        host_path: host_path.to_string_lossy().into_owned(),
        readonly: volume.read_only || mount.read_only.unwrap_or(false),
        propagation: propagation.into(),
        recursive_read_only: is_recursively_read_only(mount, context.recursive_read_only)?,
        ..cri::Mount::default()
    })
}

/// The content of an image is never written to.
fn image_mount(mount: &VolumeMount, image: &str, env: &[(String, String)]) -> Result<cri::Mount, ConfigError> {
    let sub_path = sub_path_of(mount, env)?.unwrap_or_default();
    Ok(cri::Mount {
        container_path: container_path(mount),
        readonly: true,
        image: Some(cri::ImageSpec { image: image.to_owned(), ..cri::ImageSpec::default() }),
        image_sub_path: sub_path.to_string_lossy().into_owned(),
        ..cri::Mount::default()
    })
}

/// Where a volume is in the container.
pub fn container_path(mount: &VolumeMount) -> String {
    Path::new("/").join(&mount.mount_path).to_string_lossy().into_owned()
}

/// Whether a mount is to be read-only with all that is mounted below it, if that can be.
pub fn asks_for_recursion(mount: &VolumeMount) -> bool {
    mount.read_only == Some(true) && matches!(mount.recursive_read_only.as_deref(), Some("Enabled" | "IfPossible"))
}

pub(super) fn is_recursively_read_only(mount: &VolumeMount, supported: bool) -> Result<bool, ConfigError> {
    match mount.recursive_read_only.as_deref() {
        Some("Enabled") if asks_for_recursion(mount) && !supported => {
            Err(ConfigError::NoRecursiveReadOnly(mount.name.clone()))
        }
        _ => Ok(supported && asks_for_recursion(mount)),
    }
}

fn sub_path_of(mount: &VolumeMount, env: &[(String, String)]) -> Result<Option<PathBuf>, ConfigError> {
    let not_empty = |path: &&String| !path.is_empty();
    if let Some(path) = mount.sub_path.as_ref().filter(not_empty) {
        return Ok(Some(PathBuf::from(path)));
    }
    let Some(expression) = mount.sub_path_expr.as_ref().filter(not_empty) else { return Ok(None) };
    let missing = RefCell::new(BTreeSet::new());
    let expanded = expand(expression, |name| {
        let value = env.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
        if value.as_ref().is_none_or(String::is_empty) {
            missing.borrow_mut().insert(name.to_owned());
        }
        value
    });
    let missing = Vec::from_iter(missing.into_inner());
    match missing.as_slice() {
        [_, ..] => Err(ConfigError::SubPathExpansion(missing)),
        [] if expanded.starts_with('/') => Err(ConfigError::AbsoluteSubPath(expanded)),
        [] if expanded.split('/').any(|part| part == "..") => Err(ConfigError::BackstepInSubPath(expanded)),
        [] => Ok(Some(expanded).filter(|path| !path.is_empty()).map(PathBuf::from)),
    }
}

fn etc_hosts_mount(content: &str, pod_dir: &Path) -> Result<cri::Mount, ConfigError> {
    let path = pod_dir.join("etc-hosts");
    write(&path, content, 0o644)?;
    Ok(bind("/etc/hosts", &path))
}

/// An empty file for each instance; anybody in the container may write to it.
fn termination_message_mount(
    container: &Container,
    path: &str,
    context: MountContext<'_>,
) -> Result<cri::Mount, ConfigError> {
    let directory = context.pod_dir.join("containers").join(&container.name);
    fs::create_dir_all(&directory)
        .map_err(|error| ConfigError::Write(format!("create {}: {error}", directory.display())))?;
    let file = directory.join(format!("termination-{}", context.attempt));
    write(&file, "", 0o666)?;
    Ok(bind(path, &file))
}

fn write(path: &Path, content: &str, mode: u32) -> Result<(), ConfigError> {
    let outcome = fs::write(path, content).and_then(|()| fs::set_permissions(path, fs::Permissions::from_mode(mode)));
    outcome.map_err(|error| ConfigError::Write(format!("write {}: {error}", path.display())))
}

fn bind(container_path: &str, host_path: &Path) -> cri::Mount {
    cri::Mount {
        container_path: container_path.to_owned(),
        host_path: host_path.to_string_lossy().into_owned(),
        ..cri::Mount::default()
    }
}

/// Whether a path shows the very file that is open.
pub(super) fn is_bound(path: &Path, open: &OwnedFd) -> bool {
    let opened = open.try_clone().and_then(|descriptor| fs::File::from(descriptor).metadata());
    match (fs::metadata(path), opened) {
        (Ok(there), Ok(opened)) => (there.dev(), there.ino()) == (opened.dev(), opened.ino()),
        _ => false,
    }
}
