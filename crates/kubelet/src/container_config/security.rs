//! Who a container runs as and what it may do.
//!
//! One default is stricter than upstream's: a container that names no seccomp profile gets the runtime's
//! (`RuntimeDefault`) instead of none. `Unconfined` has to be asked for; a privileged container is unconfined anyway.

use std::path::Path;

use k8s_openapi::api::core::v1::{Container, Pod, PodSecurityContext, SeccompProfile, SecurityContext};

use super::{ConfigError, ContainerInputs};
use crate::images::PresentImage;
use crate::pod;
use crate::user_namespaces::IdRange;

/// Paths in `/proc` and `/sys` that a container with `procMount: Default` does not see.
const MASKED_PATHS: [&str; 12] = [
    "/proc/asound",
    "/proc/acpi",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/firmware",
    "/sys/devices/virtual/powercap",
];
/// Paths in `/proc` that it cannot write to.
const READ_ONLY_PATHS: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// The security context of a container.
///
/// # Errors
/// When `runAsNonRoot` cannot be kept.
pub fn container_security(
    pod: &Pod,
    container: &Container,
    inputs: &ContainerInputs<'_>,
) -> Result<cri::LinuxContainerSecurityContext, ConfigError> {
    let image = inputs.image;
    verify_non_root(pod, container, image)?;
    let (own, shared) = contexts(pod, container);
    let privileged = own.privileged.unwrap_or(false);
    let user = own.run_as_user.or(shared.run_as_user);
    let default_proc_mount = own.proc_mount.as_deref() != Some("Unmasked") && !privileged;
    let paths = |paths: &[&str]| match default_proc_mount {
        true => paths.iter().map(|path| (*path).to_owned()).collect(),
        false => Vec::new(),
    };
    Ok(cri::LinuxContainerSecurityContext {
        capabilities: Some(capabilities(&own)),
        privileged,
        namespace_options: Some(namespace_options(pod, inputs.users)),
        run_as_user: user.or(image.uid).map(|value| cri::Int64Value { value }),
        run_as_username: if user.is_none() && image.uid.is_none() { image.username.clone() } else { String::new() },
        run_as_group: own.run_as_group.or(shared.run_as_group).map(|value| cri::Int64Value { value }),
        readonly_rootfs: own.read_only_root_filesystem.unwrap_or(false),
        supplemental_groups: supplemental_groups(&shared, inputs.volume_groups),
        supplemental_groups_policy: groups_policy(&shared),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: paths(&MASKED_PATHS),
        readonly_paths: paths(&READ_ONLY_PATHS),
        seccomp: Some(seccomp(
            own.seccomp_profile.as_ref().or(shared.seccomp_profile.as_ref()),
            privileged,
            inputs.seccomp_dir,
        )),
        ..cri::LinuxContainerSecurityContext::default()
    })
}

/// The security context of the sandbox.
pub fn sandbox_security(pod: &Pod, users: Option<IdRange>) -> cri::LinuxSandboxSecurityContext {
    let shared = pod_context(pod);
    let privileged = pod::all_containers(pod).any(|(_, container)| {
        container.security_context.as_ref().and_then(|context| context.privileged).unwrap_or(false)
    });
    cri::LinuxSandboxSecurityContext {
        namespace_options: Some(namespace_options(pod, users)),
        run_as_user: shared.run_as_user.map(|value| cri::Int64Value { value }),
        run_as_group: shared.run_as_group.map(|value| cri::Int64Value { value }),
        supplemental_groups: supplemental_groups(&shared, &[]),
        supplemental_groups_policy: groups_policy(&shared),
        privileged,
        seccomp: Some(seccomp(None, false, Path::new(""))),
        ..cri::LinuxSandboxSecurityContext::default()
    }
}

/// Which namespaces a Pod's containers share with each other and with the host.
fn namespace_options(pod: &Pod, users: Option<IdRange>) -> cri::NamespaceOption {
    let spec = pod.spec.as_ref();
    let host = |flag: Option<bool>| flag.unwrap_or(false);
    let pid = if host(spec.and_then(|spec| spec.host_pid)) {
        cri::NamespaceMode::Node
    } else if host(spec.and_then(|spec| spec.share_process_namespace)) {
        cri::NamespaceMode::Pod
    } else {
        cri::NamespaceMode::Container
    };
    let mode = |host: bool| if host { cri::NamespaceMode::Node } else { cri::NamespaceMode::Pod };
    cri::NamespaceOption {
        network: mode(pod::is_host_network(pod)).into(),
        pid: pid.into(),
        ipc: mode(host(spec.and_then(|spec| spec.host_ipc))).into(),
        userns_options: users.map(|users| cri::UserNamespace {
            mode: cri::NamespaceMode::Pod.into(),
            uids: users.mappings(),
            gids: users.mappings(),
        }),
        ..cri::NamespaceOption::default()
    }
}

/// The numeric user the spec chooses for a container.
pub fn run_as_user(pod: &Pod, container: &Container) -> Option<i64> {
    let (own, shared) = contexts(pod, container);
    own.run_as_user.or(shared.run_as_user)
}

fn contexts(pod: &Pod, container: &Container) -> (SecurityContext, PodSecurityContext) {
    (container.security_context.clone().unwrap_or_default(), pod_context(pod))
}

fn pod_context(pod: &Pod) -> PodSecurityContext {
    pod.spec.as_ref().and_then(|spec| spec.security_context.clone()).unwrap_or_default()
}

fn verify_non_root(pod: &Pod, container: &Container, image: &PresentImage) -> Result<(), ConfigError> {
    let (own, shared) = contexts(pod, container);
    if own.run_as_non_root.or(shared.run_as_non_root) != Some(true) {
        return Ok(());
    }
    let (pod, container) = (pod::full_name(pod), container.name.clone());
    match (own.run_as_user.or(shared.run_as_user), image.uid) {
        (Some(0), _) => Err(ConfigError::RunAsRoot { pod, container }),
        (None, Some(0)) => Err(ConfigError::ImageRunsAsRoot { pod, container }),
        (None, None) if !image.username.is_empty() => {
            Err(ConfigError::NonNumericUser { user: image.username.clone(), pod, container })
        }
        (None, None) => Err(ConfigError::ImageRunsAsRoot { pod, container }),
        _ => Ok(()),
    }
}

fn capabilities(context: &SecurityContext) -> cri::Capability {
    let capabilities = context.capabilities.clone().unwrap_or_default();
    cri::Capability {
        add_capabilities: capabilities.add.unwrap_or_default(),
        drop_capabilities: capabilities.drop.unwrap_or_default(),
        ..cri::Capability::default()
    }
}

fn supplemental_groups(shared: &PodSecurityContext, volume_groups: &[i64]) -> Vec<i64> {
    let mut groups = shared.supplemental_groups.clone().unwrap_or_default();
    for group in shared.fs_group.iter().chain(volume_groups) {
        if !groups.contains(group) {
            groups.push(*group);
        }
    }
    groups
}

fn groups_policy(shared: &PodSecurityContext) -> i32 {
    match shared.supplemental_groups_policy.as_deref() {
        Some("Strict") => cri::SupplementalGroupsPolicy::Strict.into(),
        _ => cri::SupplementalGroupsPolicy::Merge.into(),
    }
}

/// Profiles of the node are named by their path below one directory.
fn seccomp(profile: Option<&SeccompProfile>, privileged: bool, directory: &Path) -> cri::SecurityProfile {
    let (profile_type, localhost_ref) = match profile.map(|profile| profile.type_.as_str()) {
        _ if privileged => (cri::ProfileType::Unconfined, String::new()),
        Some("Unconfined") => (cri::ProfileType::Unconfined, String::new()),
        Some("Localhost") => {
            let path = profile.and_then(|profile| profile.localhost_profile.clone()).unwrap_or_default();
            (cri::ProfileType::Localhost, directory.join(path).to_string_lossy().into_owned())
        }
        _ => (cri::ProfileType::RuntimeDefault, String::new()),
    };
    cri::SecurityProfile { profile_type: profile_type.into(), localhost_ref }
}
