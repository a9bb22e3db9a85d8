//! A Pod's volumes: from what its spec says to directories that containers mount.
//!
//! Each type has its file with its part of the plan ([`VolumePlan`]) and the carrying out. Everything is below
//! `pods/<uid>`, in the places upstream uses, and set-up is idempotent: a restarted kubelet finds what is mounted and
//! leaves it alone. Files made from API objects are written as a value ([`payload::Payload`]) that replaces its
//! predecessor atomically. Nothing here survives [`tear_down`].

mod description;
pub mod devices;
mod downward_api;
mod empty_dir;
mod host_path;
mod keyed;
pub mod mounts;
mod nfs;
mod ownership;
pub mod payload;
pub mod persistent;
mod projected;
pub mod sub_path;
mod teardown;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use futures::future;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, Volume};

use crate::container_config::field_ref::Allocatable;
use crate::host::Host;
use crate::objects::for_pod::PodObjects;
use crate::pod;
use crate::under_way::UnderWay;

use payload::{Payload, PayloadError};

pub use teardown::tear_down;

/// How long content that could not be updated stays as it is, unless an event says earlier that it changed.
const UPDATE_RETRY: SignedDuration = SignedDuration::from_secs(60);

/// What setting up volumes needs besides the Pod.
#[derive(Clone, Copy)]
pub struct VolumeContext<'a> {
    /// Mounts.
    pub host: &'a dyn Host,
    /// ConfigMaps, Secrets, tokens.
    pub objects: &'a PodObjects,
    /// `pods/<uid>`.
    pub pod_dir: &'a Path,
    /// The node's addresses, for the downward API.
    pub host_ips: &'a [String],
    /// What the node can give, for the downward API.
    pub allocatable: &'a Allocatable,
    /// Where it is told what takes its time.
    pub under_way: &'a UnderWay,
    /// The present moment.
    pub now: Timestamp,
}

/// A Pod's volumes, ready to be mounted into containers.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MountedVolumes {
    /// By the name in the spec.
    pub volumes: BTreeMap<String, MountedVolume>,
    /// When a token in them has to be replaced.
    pub refresh_at: Option<Timestamp>,
    /// The Pod whose fields they show, if they show any.
    shown: Option<Box<downward_api::ShownFields>>,
}

impl MountedVolumes {
    /// The groups they give to every process of the Pod.
    pub fn groups(&self) -> Vec<i64> {
        self.volumes.values().filter_map(|volume| volume.group).collect()
    }

    /// Whether they show what they should, as far as the Pod and time can tell.
    pub fn are_current(&self, pod: &Pod, now: Timestamp) -> bool {
        self.refresh_at.is_none_or(|refresh_at| now < refresh_at)
            && self.shown.as_ref().is_none_or(|shown| shown.are_of(pod))
    }

    /// The same, to be tried again after a while: they could not be brought up to date.
    #[must_use]
    pub fn until(mut self, now: Timestamp) -> Self {
        let retry_at = now.checked_add(UPDATE_RETRY).ok();
        self.refresh_at = self.refresh_at.filter(|refresh_at| *refresh_at > now).into_iter().chain(retry_at).min();
        self
    }
}

/// One volume.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountedVolume {
    /// The directory (or file, for host paths) on the host.
    pub host_path: PathBuf,
    /// Containers never write to it, whatever their mount says.
    pub read_only: bool,
    /// It is a block device, not a directory.
    pub is_block: bool,
    /// The group it gives to every process of the Pod.
    pub group: Option<i64>,
}

impl MountedVolume {
    /// A directory, or a file, of the host.
    fn at(host_path: PathBuf, read_only: bool) -> Self {
        Self { host_path, read_only, is_block: false, group: None }
    }
}

/// Why a volume cannot be used, in the words of a `FailedMount` event.
#[derive(Debug, thiserror::Error)]
pub struct VolumeError {
    volume: String,
    problem: VolumeProblem,
}

impl VolumeError {
    /// Whether all it takes is that somebody binds a claim, which may be at any moment.
    pub fn awaits_binding(&self) -> bool {
        matches!(self.problem, VolumeProblem::Claim { problem: persistent::ClaimProblem::NotBound, .. })
    }
}

impl std::fmt::Display for VolumeError {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { volume, problem } = self;
        match problem {
            // Nothing was mounted yet: it is not known what.
            VolumeProblem::Claim { .. } | VolumeProblem::Mode(_) => write!(
                formatter,
                "Unable to attach or mount volumes: unmounted volumes=[{volume}], unattached volumes=[], failed to \
                 process volumes=[{volume}]: {problem}"
            ),
            VolumeProblem::LocalPath(_) => {
                write!(formatter, "MountVolume.NewMounter initialization failed for volume \"{volume}\" : {problem}")
            }
            VolumeProblem::NoDevice(_) => {
                write!(formatter, "MapVolume.MapPodDevice failed for volume \"{volume}\" : {problem}")
            }
            _ => write!(formatter, "MountVolume.SetUp failed for volume \"{volume}\" : {problem}"),
        }
    }
}

/// What is wrong with a volume.
#[derive(Debug, thiserror::Error)]
pub enum VolumeProblem {
    /// A type this kubelet does not have.
    #[error("volume type {0} is not supported on this node")]
    Unsupported(&'static str),
    /// Huge pages as files, and no container has any.
    #[error("medium {0}: hugePages storage requested, but there is no resource request for huge pages")]
    NoHugePages(String),
    /// Huge pages of which size?
    #[error("medium: {0} can't be used if container requests multiple huge page sizes")]
    ManyHugePages(String),
    /// Its content could not be put together.
    #[error(transparent)]
    Payload(#[from] PayloadError),
    /// Its claim cannot be used.
    #[error("error processing PVC {claim}: {problem}")]
    Claim {
        /// Namespace and name.
        claim: String,
        /// Why.
        problem: persistent::ClaimProblem,
    },
    /// It is a device and used as a directory, or the other way round.
    #[error("{0}")]
    Mode(String),
    /// A local volume is no device, but says so.
    #[error("path \"{}\" is not a block device", .0.display())]
    NoDevice(PathBuf),
    /// A local volume's directory is missing.
    #[error("path \"{}\" does not exist", .0.display())]
    LocalPath(PathBuf),
    /// The host path is not what it must be.
    #[error("hostPath type check failed: {path} is not {expected}")]
    HostPathType {
        /// The path.
        path: PathBuf,
        /// What it must be.
        expected: &'static str,
    },
    /// The file system said no.
    #[error("{act} {path}: {source}")]
    Io {
        /// What was tried.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
}

impl VolumeProblem {
    fn io(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { act, path, source }
    }
}

/// What to do for one volume.
#[derive(Debug, Clone, PartialEq)]
enum VolumePlan<'a> {
    /// A directory of the Pod's own.
    EmptyDir(empty_dir::EmptyDir),
    /// A path of the host.
    HostPath(host_path::HostPath),
    /// A directory of a server.
    Nfs(nfs::NfsPlan),
    /// Files made from API objects.
    Files(FilesPlan<'a>),
}

/// Files made from API objects: where, and from what.
#[derive(Debug, Clone, PartialEq)]
struct FilesPlan<'a> {
    directory: PathBuf,
    /// Secrets never reach a disk.
    in_memory: bool,
    source: FilesSource<'a>,
}

#[derive(Debug, Clone, PartialEq)]
enum FilesSource<'a> {
    Keyed(keyed::KeyedSource<'a>, i32),
    DownwardApi(&'a k8s_openapi::api::core::v1::DownwardAPIVolumeSource),
    Projected(&'a k8s_openapi::api::core::v1::ProjectedVolumeSource),
}

/// Sets up every volume of a Pod; those that are already are left as they are, but for content that changed.
///
/// # Errors
/// One for each volume that cannot be set up; the others are ready when it returns.
pub async fn set_up(pod: &Pod, context: VolumeContext<'_>) -> Result<MountedVolumes, Vec<VolumeError>> {
    let volumes = pod.spec.as_ref().and_then(|spec| spec.volumes.as_deref()).unwrap_or_default();
    // Images are fetched and mounted with the containers that use them.
    let volumes = || volumes.iter().filter(|volume| volume.image.is_none());
    context.objects.begin();
    let outcomes = future::join_all(volumes().map(|volume| set_up_told(pod, volume, context))).await;
    let shown = downward_api::ShownFields::of(pod).map(Box::new);
    let (mut mounted, mut errors) = (MountedVolumes { shown, ..MountedVolumes::default() }, Vec::new());
    for (volume, outcome) in volumes().zip(outcomes) {
        match outcome {
            Ok((one, refresh_at)) => {
                mounted.refresh_at = mounted.refresh_at.into_iter().chain(refresh_at).min();
                mounted.volumes.insert(volume.name.clone(), one);
            }
            Err(problem) => errors.push(VolumeError { volume: volume.name.clone(), problem }),
        }
    }
    if errors.is_empty() { Ok(mounted) } else { Err(errors) }
}

/// As [`set_up_volume`], and whoever asks meanwhile hears of it.
async fn set_up_told(
    pod: &Pod,
    volume: &Volume,
    context: VolumeContext<'_>,
) -> Result<(MountedVolume, Option<Timestamp>), VolumeProblem> {
    let what = format!("volume \"{}\" is being set up ({})", volume.name, description::describe(volume));
    let _act = context.under_way.begin(pod::uid(pod), what, context.now);
    set_up_volume(pod, volume, context).await
}

async fn set_up_volume(
    pod: &Pod,
    volume: &Volume,
    context: VolumeContext<'_>,
) -> Result<(MountedVolume, Option<Timestamp>), VolumeProblem> {
    if let Some(wanted) = persistent::claim_use(pod, volume) {
        return Ok((set_up_claim(pod, volume, &wanted, context).await?, None));
    }
    let fs_group = ownership::fs_group(pod);
    match plan_volume(pod, volume, context.pod_dir)? {
        VolumePlan::Nfs(plan) => {
            nfs::set_up(&plan, context.host).await?;
            Ok((MountedVolume::at(plan.directory, plan.read_only), None))
        }
        VolumePlan::EmptyDir(plan) => {
            empty_dir::set_up(&plan, fs_group, context.host)?;
            Ok((MountedVolume::at(plan.directory, false), None))
        }
        VolumePlan::HostPath(plan) => {
            host_path::set_up(&plan)?;
            Ok((MountedVolume::at(plan.path, false), None))
        }
        VolumePlan::Files(plan) => {
            let files = files(pod, &plan.source, context).await?;
            prepare_directory(&plan.directory, plan.in_memory.then_some(None), context.host)?;
            payload::write(&plan.directory, &files, fs_group, context.now)?;
            Ok((MountedVolume::at(plan.directory, true), files.refresh_at))
        }
    }
}

/// Where a Pod's files of one volume are, by the plugin's name in upstream's layout.
fn volume_dir(pod_dir: &Path, plugin: &str, volume: &Volume) -> PathBuf {
    pod_dir.join("volumes").join(plugin).join(&volume.name)
}

async fn set_up_claim(
    pod: &Pod,
    volume: &Volume,
    wanted: &persistent::ClaimUse,
    context: VolumeContext<'_>,
) -> Result<MountedVolume, VolumeProblem> {
    let failed = |problem| VolumeProblem::Claim { claim: persistent::full_name(pod, wanted), problem };
    let bound = persistent::resolve(pod, wanted, context).await.map_err(failed)?;
    let is_block = persistent::is_block(&bound);
    if let Some(problem) = devices::contradiction(pod, &volume.name, is_block) {
        return Err(VolumeProblem::Mode(problem));
    }
    let read_only = wanted.read_only;
    let mounted = match persistent::source_of(&bound)? {
        persistent::Source::Local(path) if is_block => {
            persistent::check_device(&path)?;
            MountedVolume { is_block, ..MountedVolume::at(path, read_only) }
        }
        _ if is_block => return Err(VolumeProblem::Unsupported("of the persistent volume, as a block device,")),
        persistent::Source::HostPath(source) => {
            let plan = host_path::plan(&source);
            host_path::set_up(&plan)?;
            MountedVolume::at(plan.path, read_only)
        }
        persistent::Source::Local(path) => {
            persistent::check_local(&path)?;
            if !read_only {
                ownership::give_tree(pod, &path).await.map_err(VolumeProblem::io("set the group of", &path))?;
            }
            MountedVolume::at(path, read_only)
        }
        persistent::Source::Nfs(source, options) => {
            let plan = nfs::plan(&source, &options, volume_dir(context.pod_dir, "kubernetes.io~nfs", volume));
            nfs::set_up(&plan, context.host).await?;
            MountedVolume::at(plan.directory, read_only || plan.read_only)
        }
    };
    Ok(MountedVolume { group: persistent::group_of(&bound), ..mounted })
}

/// What the spec asks for. Pure.
fn plan_volume<'a>(pod: &Pod, volume: &'a Volume, pod_dir: &Path) -> Result<VolumePlan<'a>, VolumeProblem> {
    let directory = |plugin: &str| volume_dir(pod_dir, plugin, volume);
    let files =
        |plugin, in_memory, source| VolumePlan::Files(FilesPlan { directory: directory(plugin), in_memory, source });
    let mode = |default_mode: Option<i32>| default_mode.unwrap_or(payload::DEFAULT_MODE);
    if let Some(source) = &volume.empty_dir {
        let plan = empty_dir::plan(pod, source, directory("kubernetes.io~empty-dir"))?;
        return Ok(VolumePlan::EmptyDir(plan));
    }
    if let Some(source) = &volume.host_path {
        return Ok(VolumePlan::HostPath(host_path::plan(source)));
    }
    if let Some(source) = &volume.nfs {
        return Ok(VolumePlan::Nfs(nfs::plan(source, &[], directory("kubernetes.io~nfs"))));
    }
    if let Some(source) = &volume.config_map {
        return Ok(files(
            "kubernetes.io~configmap",
            false,
            FilesSource::Keyed(source.into(), mode(source.default_mode)),
        ));
    }
    if let Some(source) = &volume.secret {
        return Ok(files("kubernetes.io~secret", true, FilesSource::Keyed(source.into(), mode(source.default_mode))));
    }
    if let Some(source) = &volume.downward_api {
        return Ok(files("kubernetes.io~downward-api", true, FilesSource::DownwardApi(source)));
    }
    if let Some(source) = &volume.projected {
        return Ok(files("kubernetes.io~projected", true, FilesSource::Projected(source)));
    }
    Err(VolumeProblem::Unsupported(type_name(volume)))
}

async fn files(pod: &Pod, source: &FilesSource<'_>, context: VolumeContext<'_>) -> Result<Payload, PayloadError> {
    match source {
        FilesSource::Keyed(source, mode) => keyed::payload(pod, *source, *mode, context).await,
        FilesSource::DownwardApi(source) => downward_api::volume(pod, source, context),
        FilesSource::Projected(source) => projected::volume(pod, source, context).await,
    }
}

/// Makes a directory that everybody may use, on a file system of its own in memory if `memory` says so (and how large).
fn prepare_directory(directory: &Path, memory: Option<Option<u64>>, host: &dyn Host) -> Result<(), VolumeProblem> {
    use std::os::unix::fs::PermissionsExt as _;
    let existed = directory.is_dir();
    std::fs::create_dir_all(directory).map_err(VolumeProblem::io("create", directory))?;
    match memory {
        Some(_) if existed && is_mount_point(directory) => Ok(()),
        Some(size_bytes) => {
            host.mount_tmpfs(directory, size_bytes).map_err(VolumeProblem::io("mount tmpfs on", directory))
        }
        None if existed => Ok(()),
        None => std::fs::set_permissions(directory, std::fs::Permissions::from_mode(0o777))
            .map_err(VolumeProblem::io("set the mode of", directory)),
    }
}

/// Whether another file system begins at a directory.
fn is_mount_point(directory: &Path) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    let device = |path: &Path| std::fs::symlink_metadata(path).map(|metadata| metadata.dev()).ok();
    let parent = directory.parent().unwrap_or(Path::new("/"));
    matches!((device(directory), device(parent)), (Some(own), Some(outer)) if own != outer)
}

/// The type of a volume that is not supported, for its message.
fn type_name(volume: &Volume) -> &'static str {
    let types = [
        (volume.csi.is_some(), "csi"),
        (volume.iscsi.is_some(), "iscsi"),
        (volume.fc.is_some(), "fc"),
        (volume.git_repo.is_some(), "gitRepo"),
        (volume.flex_volume.is_some(), "flexVolume"),
        (volume.cephfs.is_some(), "cephfs"),
        (volume.rbd.is_some(), "rbd"),
    ];
    types.into_iter().find(|(present, _)| *present).map_or("of a cloud provider", |(_, name)| name)
}

/// The user all of a Pod's containers run as, if it is one: owns the Pod's tokens.
fn common_user(pod: &Pod) -> Option<i64> {
    let mut users = pod::all_containers(pod).map(|(_, container)| crate::container_config::run_as_user(pod, container));
    let first = users.next()??;
    users.all(|user| user == Some(first)).then_some(first)
}
