//! From a container's spec to what the runtime is asked to create. Pure: what has to be read or mounted first comes in.

pub mod command;
pub mod dns;
pub mod env;
pub mod env_file;
pub mod etc_hosts;
pub mod field_ref;
mod resources;
pub mod sandbox;
mod security;
pub mod service_env;
#[cfg(test)]
mod tests;

use std::path::Path;

use api::core::v1::pod::downward::FieldError;
use k8s_openapi::api::core::v1::{Container, Pod};

use crate::images::PresentImage;
use crate::labels;
use crate::plan_pod::Epoch;
use crate::pod;
use crate::user_namespaces::IdRange;

pub use resources::{container_resources, pod_limits};
pub use security::{container_security, run_as_user, sandbox_security};

/// Why a container cannot be created as it is written: the message of `CreateContainerConfigError`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The API has not told of its Services yet.
    #[error("services have not yet been read at least once, cannot construct envvars")]
    ServicesUnread,
    /// `configMapKeyRef` or `configMapRef` to nothing.
    #[error("configmap \"{0}\" not found")]
    ConfigMapNotFound(String),
    /// `secretKeyRef` or `secretRef` to nothing.
    #[error("secret \"{0}\" not found")]
    SecretNotFound(String),
    /// A key that a ConfigMap does not have.
    #[error("couldn't find key {key} in ConfigMap {namespace}/{name}")]
    ConfigMapKeyNotFound {
        /// The key.
        key: String,
        /// The ConfigMap's namespace.
        namespace: String,
        /// The ConfigMap's name.
        name: String,
    },
    /// A key that a Secret does not have.
    #[error("couldn't find key {key} in Secret {namespace}/{name}")]
    SecretKeyNotFound {
        /// The key.
        key: String,
        /// The Secret's namespace.
        namespace: String,
        /// The Secret's name.
        name: String,
    },
    /// A file that does not say what its variables are.
    #[error("couldn't parse env file")]
    EnvFile,
    /// A key that such a file does not have.
    #[error("environment variable key {key:?} not found in file {path:?}")]
    EnvFileKeyNotFound {
        /// The key.
        key: String,
        /// The file in its volume.
        path: String,
    },
    /// A file of a volume that the Pod does not have.
    #[error("cannot find the volume {0:?} referenced by FileKeyRef")]
    EnvFileVolumeNotFound(String),
    /// A field or resource the downward API does not offer.
    #[error(transparent)]
    Downward(#[from] FieldError),
    /// An ephemeral container's target that does not run.
    #[error("unable to find target container \"{0}\"")]
    TargetNotFound(String),
    /// A resource of a container that is not there.
    #[error("container {0} not found")]
    ContainerNotFound(String),
    /// `runAsNonRoot` and the user is root.
    #[error("container's runAsUser breaks non-root policy (pod: \"{pod}\", container: {container})")]
    RunAsRoot {
        /// The Pod, as messages name it.
        pod: String,
        /// The container.
        container: String,
    },
    /// `runAsNonRoot` and the image says root.
    #[error("container has runAsNonRoot and image will run as root (pod: \"{pod}\", container: {container})")]
    ImageRunsAsRoot {
        /// The Pod, as messages name it.
        pod: String,
        /// The container.
        container: String,
    },
    /// `runAsNonRoot` and nobody can say whether that name is root.
    #[error(
        "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root (pod: \
         \"{pod}\", container: {container})"
    )]
    NonNumericUser {
        /// The user.
        user: String,
        /// The Pod, as messages name it.
        pod: String,
        /// The container.
        container: String,
    },
    /// `subPathExpr` with something that is not set.
    #[error("missing value for {}", .0.join(", "))]
    SubPathExpansion(Vec<String>),
    /// `subPathExpr` that becomes an absolute path.
    #[error("error SubPath `{0}` must not be an absolute path")]
    AbsoluteSubPath(String),
    /// `subPathExpr` that becomes a path upwards.
    #[error("unable to provision SubPath `{0}`: must not contain '..'")]
    BackstepInSubPath(String),
    /// A mount of a volume the Pod does not have.
    #[error("cannot find volume \"{volume}\" to mount into container \"{container}\"")]
    VolumeNotFound {
        /// The volume.
        volume: String,
        /// The container.
        container: String,
    },
    /// A mount that is to be read-only with all that is mounted below it, on a runtime that cannot do that.
    #[error("volume {0:?} requested recursive read-only mode, but it is not supported by the runtime")]
    NoRecursiveReadOnly(String),
    /// A sub path that cannot be used.
    #[error("failed to prepare subPath for volumeMount \"{volume}\" of container \"{container}\": {problem}")]
    SubPath {
        /// The volume.
        volume: String,
        /// The container.
        container: String,
        /// Why.
        problem: String,
    },
    /// A device plugin did not prepare the container's devices.
    #[error("device plugin PreStartContainer rpc failed with err: {0}")]
    PreStart(String),
    /// What had to be read could not be.
    #[error("{0}")]
    Read(String),
    /// A file of the Pod could not be written.
    #[error("{0}")]
    Write(String),
}

/// What a container's configuration depends on besides its Pod.
#[derive(Debug, Clone)]
pub struct ContainerInputs<'a> {
    /// How many instances came before.
    pub attempt: u32,
    /// How often the Pod started over before.
    pub epoch: Epoch,
    /// Its image.
    pub image: &'a PresentImage,
    /// Its environment, expanded.
    pub env: Vec<(String, String)>,
    /// Its Pod's users, if they are not the host's.
    pub users: Option<IdRange>,
    /// What is mounted into it.
    pub mounts: Vec<cri::Mount>,
    /// Its volumes that are devices.
    pub devices: Vec<cri::Device>,
    /// Groups that the Pod's volumes give to every process.
    pub volume_groups: &'a [i64],
    /// Where the node's seccomp profiles are.
    pub seccomp_dir: &'a Path,
    /// The node's memory, for the OOM score.
    pub node_memory_bytes: i64,
    /// The container whose process namespace it joins.
    pub target_id: Option<String>,
}

/// The container as the runtime is asked to create it.
///
/// # Errors
/// [`ConfigError`] when the spec and the image contradict each other.
pub fn container_config(
    pod: &Pod,
    container: &Container,
    inputs: ContainerInputs<'_>,
) -> Result<cri::ContainerConfig, ConfigError> {
    let mut security = container_security(pod, container, &inputs)?;
    if let (Some(target_id), Some(options)) = (inputs.target_id, &mut security.namespace_options) {
        options.set_pid(cri::NamespaceMode::Target);
        options.target_id = target_id;
    }
    let (command, args) = command::command_and_args(container, &inputs.env);
    Ok(cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: container.name.clone(), attempt: inputs.attempt }),
        image: Some(cri::ImageSpec {
            image: inputs.image.image_ref.clone(),
            user_specified_image: container.image.clone().unwrap_or_default(),
            ..cri::ImageSpec::default()
        }),
        command,
        args,
        working_dir: container.working_dir.clone().unwrap_or_default(),
        envs: inputs.env.into_iter().map(|(key, value)| cri::KeyValue { key, value }).collect(),
        mounts: inputs.mounts.into_iter().map(|mount| with_users(mount, inputs.users)).collect(),
        devices: inputs.devices,
        labels: labels::container_labels(pod, container),
        annotations: labels::container_annotations(pod, container, inputs.attempt, inputs.epoch),
        log_path: log_path(container, inputs.attempt),
        stdin: container.stdin.unwrap_or(false),
        stdin_once: container.stdin_once.unwrap_or(false),
        tty: container.tty.unwrap_or(false),
        stop_signal: stop_signal(container).unwrap_or_default().into(),
        linux: Some(cri::LinuxContainerConfig {
            resources: Some(container_resources(pod, container, inputs.node_memory_bytes)),
            security_context: Some(security),
        }),
        ..cri::ContainerConfig::default()
    })
}

/// Owners of what is mounted are the Pod's users; images follow the root file system, which the runtime sees to.
fn with_users(mount: cri::Mount, users: Option<IdRange>) -> cri::Mount {
    match users {
        Some(users) if mount.image.is_none() => {
            cri::Mount { uid_mappings: users.mappings(), gid_mappings: users.mappings(), ..mount }
        }
        _ => mount,
    }
}

/// The signal that asks a container to stop, where its spec chooses one.
fn stop_signal(container: &Container) -> Option<cri::Signal> {
    cri::Signal::from_name(container.lifecycle.as_ref()?.stop_signal.as_deref()?)
}

/// The log file, relative to the Pod's log directory.
pub fn log_path(container: &Container, attempt: u32) -> String {
    format!("{}/{attempt}.log", container.name)
}

/// The Pod's log directory, relative to that of all Pods.
pub fn log_directory(pod: &Pod) -> String {
    format!("{}_{}_{}", pod::namespace(pod), pod::name(pod), pod::uid(pod))
}
