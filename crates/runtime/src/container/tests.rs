use std::path::{Path, PathBuf};

use cri::{
    Capability, ContainerConfig, Int64Value, KeyValue, LinuxContainerConfig, LinuxContainerResources,
    LinuxContainerSecurityContext, LinuxPodSandboxConfig, Mount, NamespaceMode, NamespaceOption, PodSandboxConfig,
    ProfileType, SecurityProfile,
};
use linux::capability::CapabilitySet;

use super::plan::{Given, Plan, SeccompChoice, plan_container};
use super::*;
use crate::image::ImageConfig;
use crate::root_filesystem::RootFilesystem;
use crate::shim::spec::{MountSource, PidNamespace, Propagation};

fn image() -> ImageConfig {
    let strings = |values: &[&str]| values.iter().map(ToString::to_string).collect();
    ImageConfig {
        env: strings(&["PATH=/image/bin", "COLOUR=red"]),
        entrypoint: strings(&["/entry"]),
        cmd: strings(&["default"]),
        working_dir: "/image".into(),
        user: "app:staff".into(),
        stop_signal: "SIGQUIT".into(),
        volumes: Vec::new(),
        labels: Default::default(),
    }
}

fn try_plan(config: ContainerConfig, image: ImageConfig) -> cri::Result<Plan> {
    let root = RootFilesystem {
        lower: vec!["/layer".into()],
        upper: "/upper".into(),
        work: "/work".into(),
        image_id: "sha256:1".into(),
        image_name: "busybox:latest".into(),
        image_ref: "busybox@sha256:2".into(),
        config: image,
    };
    let sandbox = PodSandboxConfig {
        hostname: "pod".into(),
        log_directory: "/logs".into(),
        linux: Some(LinuxPodSandboxConfig { cgroup_parent: "/parent".into(), ..Default::default() }),
        ..Default::default()
    };
    plan_container(&Given {
        id: "id",
        config: &config,
        sandbox: &sandbox,
        skeleton: Path::new("/skeleton"),
        root: &root,
        image_volumes: vec![vec!["/top".into(), "/model".into()]],
        cgroup_root: "isopod-1",
        capabilities: CapabilitySet::all(),
    })
}

fn plan(config: ContainerConfig) -> Plan {
    try_plan(config, image()).unwrap()
}

fn secured(security: LinuxContainerSecurityContext) -> ContainerConfig {
    ContainerConfig {
        linux: Some(LinuxContainerConfig { security_context: Some(security), ..Default::default() }),
        ..Default::default()
    }
}

#[test]
fn command_and_arguments_replace_the_images() {
    for (command, args, expected) in [
        (&[][..], &[][..], &["/entry", "default"][..]),
        (&[], &["a", "b"], &["/entry", "a", "b"]),
        (&["/c"], &[], &["/c"]),
        (&["/c"], &["a"], &["/c", "a"]),
    ] {
        let strings = |values: &[&str]| values.iter().map(ToString::to_string).collect();
        let config = ContainerConfig { command: strings(command), args: strings(args), ..Default::default() };
        assert_eq!(plan(config).spec.process.argv, expected);
    }
    let nothing = ImageConfig { entrypoint: Vec::new(), cmd: Vec::new(), ..image() };
    let error = try_plan(ContainerConfig::default(), nothing).unwrap_err();
    assert_eq!(error.to_string(), "no command specified");
}

#[test]
fn the_pods_environment_wins_over_the_images() {
    let config = ContainerConfig {
        envs: vec![KeyValue { key: "COLOUR".into(), value: "blue=dark".into() }],
        ..Default::default()
    };
    let process = plan(config).spec.process;
    assert_eq!(process.env, ["HOSTNAME=pod", "PATH=/image/bin", "COLOUR=blue=dark"]);
    assert_eq!(process.cwd, "/image");
    assert_eq!(plan(ContainerConfig::default()).spec.root.lower, [Path::new("/layer"), Path::new("/skeleton")]);
}

#[test]
fn users_come_from_the_pod_or_the_image() {
    let number = |value| Some(Int64Value { value });
    for (user, group, name, expected) in [
        (None, None, "", "app:staff"),
        (number(5), None, "", "5"),
        (number(5), number(6), "", "5:6"),
        (None, None, "redis", "redis"),
        (None, number(6), "redis", "redis:6"),
        (None, number(6), "", "app:6"),
    ] {
        let security = LinuxContainerSecurityContext {
            run_as_user: user,
            run_as_group: group,
            run_as_username: name.into(),
            ..Default::default()
        };
        assert_eq!(plan(secured(security)).spec.process.user, expected);
    }
    let negative = LinuxContainerSecurityContext { run_as_user: number(-1), ..Default::default() };
    assert!(matches!(try_plan(secured(negative), image()), Err(cri::Error::InvalidArgument(_))));
}

#[test]
fn privileged_containers_get_everything_and_no_filter() {
    let security = LinuxContainerSecurityContext {
        privileged: true,
        seccomp: Some(SecurityProfile { profile_type: ProfileType::RuntimeDefault as i32, ..Default::default() }),
        ..Default::default()
    };
    let plan = plan(secured(security));
    assert_eq!(plan.spec.process.capabilities, CapabilitySet::all().bits());
    assert_eq!(plan.seccomp, SeccompChoice::Unconfined);
}

#[test]
fn security_choices_are_read() {
    let profile =
        |kind: ProfileType, path: &str| SecurityProfile { profile_type: kind as i32, localhost_ref: path.into() };
    for (profile, expected) in [
        (None, SeccompChoice::Unconfined),
        (Some(profile(ProfileType::Unconfined, "")), SeccompChoice::Unconfined),
        (Some(profile(ProfileType::RuntimeDefault, "")), SeccompChoice::RuntimeDefault),
        (Some(profile(ProfileType::Localhost, "localhost//p.json")), SeccompChoice::Localhost("/p.json".into())),
    ] {
        let security = LinuxContainerSecurityContext { seccomp: profile, ..Default::default() };
        assert_eq!(plan(secured(security)).seccomp, expected);
    }
    let unknown = Capability { add_capabilities: vec!["FLY".into()], ..Default::default() };
    let security = LinuxContainerSecurityContext { capabilities: Some(unknown), ..Default::default() };
    let error = try_plan(secured(security), image()).unwrap_err();
    assert_eq!(error.to_string(), "unknown capability \"FLY\"");
}

#[test]
fn process_namespaces_follow_the_options() {
    for (mode, expected) in [
        (NamespaceMode::Container, PidNamespace::Own),
        (NamespaceMode::Pod, PidNamespace::Sandbox),
        (NamespaceMode::Node, PidNamespace::Host),
        (NamespaceMode::Target, PidNamespace::Container("other".into())),
    ] {
        let options = NamespaceOption { pid: mode as i32, target_id: "other".into(), ..Default::default() };
        let security = LinuxContainerSecurityContext { namespace_options: Some(options), ..Default::default() };
        assert_eq!(plan(secured(security)).spec.pid, expected);
    }
    assert_eq!(plan(ContainerConfig::default()).spec.pid, PidNamespace::Own);
}

#[test]
fn mounts_are_ordered_and_the_sandboxes_files_give_way() {
    let mount = |target: &str| Mount { container_path: target.into(), host_path: "/h".into(), ..Default::default() };
    let config = ContainerConfig {
        mounts: vec![mount("/a/b/c"), mount("data"), Mount { propagation: 2, ..mount("/etc/hosts") }],
        ..Default::default()
    };
    let spec = plan(config).spec;
    let files: Vec<&str> = spec.sandbox_files.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!(files, ["/etc/hostname", "/etc/resolv.conf"]);
    let mounts = spec.mounts;
    let targets: Vec<&str> = mounts.iter().map(|mount| mount.target.as_str()).collect();
    assert_eq!(targets, ["/data", "/etc/hosts", "/a/b/c"]);
    assert_eq!(mounts[1].source, MountSource::Host("/h".into()));
    assert_eq!(mounts[1].propagation, Propagation::Bidirectional);
    let bad =
        ContainerConfig { mounts: vec![Mount { recursive_read_only: true, ..mount("/x") }], ..Default::default() };
    assert!(try_plan(bad, image()).is_err());
}

#[test]
fn resources_become_limits_and_paths() {
    let resources = LinuxContainerResources {
        cpu_shares: 102,
        cpu_quota: 10_000,
        cpu_period: 100_000,
        memory_limit_in_bytes: 1 << 20,
        oom_score_adj: 2000,
        ..Default::default()
    };
    let config = ContainerConfig {
        log_path: "main/0.log".into(),
        linux: Some(LinuxContainerConfig { resources: Some(resources), ..Default::default() }),
        ..Default::default()
    };
    let plan = plan(config);
    assert_eq!((plan.limits.cpu_shares, plan.limits.cpu_quota_us), (Some(102), Some(10_000)));
    assert_eq!((plan.limits.memory_bytes, plan.limits.pids), (Some(1 << 20), None));
    assert_eq!(plan.spec.oom_score_adj, 1000);
    assert_eq!(plan.spec.log_path, Some(PathBuf::from("/logs/main/0.log")));
    assert_eq!(plan.spec.cgroup, "parent/id");
    assert_eq!(plan.stop_signal, libc::SIGQUIT);
}

#[test]
fn the_pod_may_choose_another_stop_signal_than_the_image() {
    let config = ContainerConfig { stop_signal: cri::Signal::Sigrtminplus3.into(), ..Default::default() };
    assert_eq!(plan(config).stop_signal, libc::SIGRTMIN() + 3);
}

#[test]
fn the_end_has_a_reason() {
    let exit = |code, oom_killed, start_error: Option<&str>| ContainerExit {
        code,
        started_at: 1,
        finished_at: 2,
        oom_killed,
        start_error: start_error.map(Into::into),
    };
    for (exit, reason) in [
        (exit(0, false, None), "Completed"),
        (exit(1, false, None), "Error"),
        (exit(137, true, None), "OOMKilled"),
        (exit(128, false, Some("why")), "StartError"),
    ] {
        assert_eq!(exit_reason(&exit), reason);
    }
}

#[test]
fn an_image_is_a_volume_nobody_writes_to() {
    let image = Some(cri::ImageSpec { image: "model".into(), ..Default::default() });
    let mount = Mount { container_path: "/m".into(), image, image_sub_path: "large".into(), ..Default::default() };
    let spec = plan(ContainerConfig { mounts: vec![mount], ..Default::default() }).spec;
    let layers = vec![PathBuf::from("/top"), "/model".into()];
    assert_eq!(spec.mounts[0].source, MountSource::Image { layers, sub_path: "large".into() });
    assert!(spec.mounts[0].read_only);
}
