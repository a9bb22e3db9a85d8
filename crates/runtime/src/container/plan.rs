//! From CRI's description of a container, its image and its sandbox to what the shim runs. Pure.

use std::path::{Path, PathBuf};

use cri::{
    ContainerConfig, LinuxContainerResources, LinuxContainerSecurityContext, MountPropagation, NamespaceMode,
    PodSandboxConfig, ProfileType, SupplementalGroupsPolicy,
};
use linux::capability::CapabilitySet;
use linux::cgroup::Limits;

use crate::image::ImageConfig;
use crate::root_filesystem::RootFilesystem;
use crate::sandbox::plan::{
    HOSTNAME, HOSTS, RESOLV_CONF, cgroup_parent, id_range, namespace_modes, sandbox_users, user_range,
};
use crate::shim::spec::{
    ContainerSpec, DeviceSpec, IdRange, MountSource, MountSpec, PidNamespace, ProcessSpec, Propagation, RootSpec,
    SandboxFileMount,
};

const DEFAULT_PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a container is planned from.
pub struct Given<'a> {
    /// CRI id of the container.
    pub id: &'a str,
    /// The container as the kubelet describes it.
    pub config: &'a ContainerConfig,
    /// The sandbox as the kubelet described it.
    pub sandbox: &'a PodSandboxConfig,
    /// Mount points an image may lack: the lowest layer.
    pub skeleton: &'a Path,
    /// Its root file system and image.
    pub root: &'a RootFilesystem,
    /// Layers of the images it mounts, in the order of its mounts.
    pub image_volumes: Vec<Vec<PathBuf>>,
    /// Where cgroups go that have no parent.
    pub cgroup_root: &'a str,
    /// Capabilities this machine can give at all.
    pub capabilities: CapabilitySet,
}

/// A planned container.
#[derive(Debug, PartialEq)]
pub struct Plan {
    /// What the shim runs; the filter's file is still to be named.
    pub spec: ContainerSpec,
    /// Limits of its cgroup.
    pub limits: Limits,
    /// Which system calls it may make.
    pub seccomp: SeccompChoice,
    /// Asks its process to end.
    pub stop_signal: i32,
}

/// Which system calls a container may make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeccompChoice {
    /// All.
    Unconfined,
    /// The runtime's own choice.
    RuntimeDefault,
    /// What a file says.
    Localhost(PathBuf),
}

/// Plans a container.
///
/// # Errors
/// [`cri::Error::InvalidArgument`] for what cannot be run.
pub fn plan_container(given: &Given<'_>) -> cri::Result<Plan> {
    let linux = given.config.linux.clone().unwrap_or_default();
    let security = linux.security_context.unwrap_or_default();
    let resources = linux.resources.unwrap_or_default();
    let capabilities = capabilities(&security, given.capabilities)?;
    let users = sandbox_users(given.sandbox)?;
    if user_range(security.namespace_options.as_ref())? != users {
        return Err(invalid("a container has its sandbox's user namespace"));
    }
    let image = &given.root.config;
    let spec = ContainerSpec {
        id: given.id.to_owned(),
        root: RootSpec {
            lower: given.root.lower.iter().cloned().chain([given.skeleton.to_owned()]).collect(),
            upper: given.root.upper.clone(),
            work: given.root.work.clone(),
            read_only: security.readonly_rootfs,
        },
        process: ProcessSpec {
            argv: command(given.config, image)?,
            env: environment(given.config, given.sandbox, image),
            cwd: working_directory(given.config, image),
            user: user(&security, image)?,
            supplemental_groups: groups(&security)?,
            strict_groups: security.supplemental_groups_policy == SupplementalGroupsPolicy::Strict as i32,
            capabilities: capabilities.bits(),
            no_new_privileges: security.no_new_privs,
            seccomp: None,
            tty: given.config.tty,
        },
        pid: pid_namespace(&security),
        mounts: mounts(given.config, &given.image_volumes, users)?,
        sandbox_files: sandbox_files(given.config, security.readonly_rootfs),
        devices: devices(given.config),
        masked_paths: security.masked_paths.clone(),
        read_only_paths: security.readonly_paths.clone(),
        privileged: security.privileged,
        cgroup: format!("{}/{}", cgroup_parent(given.sandbox, given.cgroup_root), given.id),
        oom_score_adj: i32::try_from(resources.oom_score_adj).unwrap_or(0).clamp(-1000, 1000),
        log_path: log_path(given),
        stdin: given.config.stdin,
        stdin_once: given.config.stdin_once,
    };
    Ok(Plan {
        spec,
        limits: limits(&resources),
        seccomp: seccomp(&security),
        stop_signal: stop_signal(given.config, image)?,
    })
}

fn invalid(words: impl Into<String>) -> cri::Error {
    cri::Error::InvalidArgument(words.into())
}

/// CRI's `command` replaces the image's entry point and, as it does, the image's arguments.
fn command(config: &ContainerConfig, image: &ImageConfig) -> cri::Result<Vec<String>> {
    let argv: Vec<String> = match (config.command.as_slice(), config.args.as_slice()) {
        ([], []) => [image.entrypoint.as_slice(), &image.cmd].concat(),
        ([], args) => [image.entrypoint.as_slice(), args].concat(),
        (command, args) => [command, args].concat(),
    };
    if argv.is_empty() { Err(invalid("no command specified")) } else { Ok(argv) }
}

/// Later entries win: what the image says, then the host name, then what the Pod says.
fn environment(config: &ContainerConfig, sandbox: &PodSandboxConfig, image: &ImageConfig) -> Vec<String> {
    let mut environment = vec![DEFAULT_PATH.to_owned()];
    let mut set = |entry: String| {
        let name = entry.split('=').next().unwrap_or_default().to_owned();
        environment.retain(|known: &String| known.split('=').next() != Some(&name));
        environment.push(entry);
    };
    if !sandbox.hostname.is_empty() {
        set(format!("HOSTNAME={}", sandbox.hostname));
    }
    image.env.iter().cloned().for_each(&mut set);
    config.envs.iter().for_each(|entry| set(format!("{}={}", entry.key, entry.value)));
    environment
}

fn working_directory(config: &ContainerConfig, image: &ImageConfig) -> String {
    let given = [&config.working_dir, &image.working_dir].into_iter().find(|directory| !directory.is_empty());
    given.cloned().unwrap_or_else(|| "/".into())
}

fn user(security: &LinuxContainerSecurityContext, image: &ImageConfig) -> cri::Result<String> {
    let id = |id: i64| u32::try_from(id).map_err(|_| invalid(format!("{id} is not a user or group id")));
    let user = match &security.run_as_user {
        Some(user) => id(user.value)?.to_string(),
        None => security.run_as_username.clone(),
    };
    match (user.as_str(), &security.run_as_group) {
        ("", None) => Ok(image.user.clone()),
        // A group alone leaves the user to the image.
        ("", Some(group)) => {
            let user = image.user.split(':').next().unwrap_or_default();
            Ok(format!("{}:{}", if user.is_empty() { "0" } else { user }, id(group.value)?))
        }
        (user, None) => Ok(user.to_owned()),
        (user, Some(group)) => Ok(format!("{user}:{}", id(group.value)?)),
    }
}

fn groups(security: &LinuxContainerSecurityContext) -> cri::Result<Vec<u32>> {
    let group = |group: &i64| u32::try_from(*group).map_err(|_| invalid(format!("{group} is not a group id")));
    security.supplemental_groups.iter().map(group).collect()
}

fn capabilities(security: &LinuxContainerSecurityContext, available: CapabilitySet) -> cri::Result<CapabilitySet> {
    if security.privileged {
        return Ok(available);
    }
    let changes = security.capabilities.clone().unwrap_or_default();
    CapabilitySet::container_default()
        .adjusted(&changes.add_capabilities, &changes.drop_capabilities)
        .map(|set| set.intersection(available))
        .map_err(|error| invalid(error.to_string()))
}

fn pid_namespace(security: &LinuxContainerSecurityContext) -> PidNamespace {
    let options = security.namespace_options.as_ref();
    match namespace_modes(options).pid {
        NamespaceMode::Pod => PidNamespace::Sandbox,
        NamespaceMode::Container => PidNamespace::Own,
        NamespaceMode::Node => PidNamespace::Host,
        NamespaceMode::Target => {
            PidNamespace::Container(options.map(|options| options.target_id.clone()).unwrap_or_default())
        }
    }
}

fn seccomp(security: &LinuxContainerSecurityContext) -> SeccompChoice {
    let profile = security.seccomp.as_ref().filter(|_| !security.privileged);
    match profile.map(|profile| (ProfileType::try_from(profile.profile_type), &profile.localhost_ref)) {
        Some((Ok(ProfileType::RuntimeDefault), _)) => SeccompChoice::RuntimeDefault,
        Some((Ok(ProfileType::Localhost), path)) => {
            SeccompChoice::Localhost(path.strip_prefix("localhost/").unwrap_or(path).into())
        }
        _ => SeccompChoice::Unconfined,
    }
}

/// The Pod's choice, else the image's, else SIGTERM.
fn stop_signal(config: &ContainerConfig, image: &ImageConfig) -> cri::Result<i32> {
    match config.stop_signal().name().unwrap_or(&image.stop_signal) {
        "" => Ok(libc::SIGTERM),
        text => linux::signal::number(text).ok_or_else(|| invalid(format!("unknown stop signal {text:?}"))),
    }
}

/// The sandbox's files, as far as the kubelet does not mount its own there.
fn sandbox_files(config: &ContainerConfig, read_only: bool) -> Vec<SandboxFileMount> {
    [(HOSTNAME, "/etc/hostname"), (HOSTS, "/etc/hosts"), (RESOLV_CONF, "/etc/resolv.conf")]
        .into_iter()
        .filter(|(_, target)| !config.mounts.iter().any(|mount| mount.container_path == *target))
        .map(|(name, target)| SandboxFileMount { name: name.into(), target: target.into(), read_only })
        .collect()
}

/// The kubelet's mounts, parents before children.
fn mounts(
    config: &ContainerConfig,
    image_volumes: &[Vec<PathBuf>],
    users: Option<IdRange>,
) -> cri::Result<Vec<MountSpec>> {
    let mut image_volumes = image_volumes.iter();
    let source = |mount: &cri::Mount| match &mount.image {
        None => MountSource::Host(PathBuf::from(&mount.host_path)),
        Some(_) => MountSource::Image {
            layers: image_volumes.next().cloned().unwrap_or_default(),
            sub_path: PathBuf::from(&mount.image_sub_path),
        },
    };
    let sources: Vec<MountSource> = config.mounts.iter().map(source).collect();
    let planned = config.mounts.iter().zip(sources).map(|(mount, source)| plan_mount(mount, source, users));
    let mut mounts = planned.collect::<cri::Result<Vec<_>>>()?;
    mounts.sort_by_key(|mount| mount.target.split('/').filter(|part| !part.is_empty()).count());
    Ok(mounts)
}

fn plan_mount(mount: &cri::Mount, source: MountSource, users: Option<IdRange>) -> cri::Result<MountSpec> {
    if mount.recursive_read_only && !mount.readonly {
        return Err(invalid(format!("mount {}: recursive read-only needs read-only", mount.container_path)));
    }
    let target = match mount.container_path.as_str() {
        path if path.starts_with('/') => path.to_owned(),
        path => format!("/{path}"),
    };
    let own_users = !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty();
    if own_users
        && (users.is_none() || id_range(&mount.uid_mappings).ok() != users || mount.uid_mappings != mount.gid_mappings)
    {
        return Err(invalid(format!("mount {}: its ids are not those of the sandbox", mount.container_path)));
    }
    Ok(MountSpec {
        source,
        target,
        read_only: mount.readonly || mount.image.is_some(),
        recursive_read_only: mount.recursive_read_only,
        propagation: match MountPropagation::try_from(mount.propagation) {
            Ok(MountPropagation::PropagationHostToContainer) => Propagation::HostToContainer,
            Ok(MountPropagation::PropagationBidirectional) => Propagation::Bidirectional,
            _ => Propagation::Private,
        },
        own_users,
    })
}

fn devices(config: &ContainerConfig) -> Vec<DeviceSpec> {
    let device = |device: &cri::Device| DeviceSpec {
        source: PathBuf::from(&device.host_path),
        target: device.container_path.clone(),
    };
    config.devices.iter().map(device).collect()
}

fn log_path(given: &Given<'_>) -> Option<PathBuf> {
    let (directory, file) = (&given.sandbox.log_directory, &given.config.log_path);
    (!directory.is_empty() && !file.is_empty()).then(|| PathBuf::from(directory).join(file))
}

/// CRI's resources as limits; zero means "not set" there.
pub fn limits(resources: &LinuxContainerResources) -> Limits {
    let set = |value: i64| (value != 0).then_some(value);
    let text = |value: &String| (!value.is_empty()).then(|| value.clone());
    Limits {
        cpu_shares: set(resources.cpu_shares).and_then(|shares| u64::try_from(shares).ok()),
        cpu_quota_us: set(resources.cpu_quota),
        cpu_period_us: set(resources.cpu_period).and_then(|period| u64::try_from(period).ok()),
        memory_bytes: set(resources.memory_limit_in_bytes),
        memory_swap_bytes: set(resources.memory_swap_limit_in_bytes),
        pids: None,
        device_denials: Vec::new(),
        cpuset_cpus: text(&resources.cpuset_cpus),
        cpuset_mems: text(&resources.cpuset_mems),
        hugepages: resources.hugepage_limits.iter().map(|limit| (limit.page_size.clone(), limit.limit)).collect(),
        unified: resources.unified.clone(),
    }
}
