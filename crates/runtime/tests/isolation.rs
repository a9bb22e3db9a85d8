//! What containers may and see: users, capabilities, system calls, limits, files.

#![allow(clippy::unwrap_used)] // a test ends where it unwraps in vain

mod node;

use cri::{
    Capability, Int64Value, LinuxContainerResources, LinuxContainerSecurityContext, Mount, NamespaceMode,
    NamespaceOption, ProfileType, RuntimeService, SecurityProfile,
};
use node::{Node, idle, limited, secured, shell};

fn lines(text: &str) -> Vec<&str> {
    text.lines().collect()
}

#[tokio::test]
async fn users_and_groups_are_as_asked() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let security = LinuxContainerSecurityContext {
        run_as_user: Some(Int64Value { value: 1000 }),
        run_as_group: Some(Int64Value { value: 3000 }),
        supplemental_groups: vec![2000],
        ..LinuxContainerSecurityContext::default()
    };
    let container = node.run(&sandbox, secured(idle("main"), security)).await;
    let id = "echo $(id -u) $(id -g) $(id -G)";
    assert_eq!(node.output(&container, id).await, "1000 3000 3000 2000");
    assert_eq!(node.output(&container, "cat /proc/1/status | grep Groups").await, "Groups:\t2000 3000");
    let user = node.status(&container).await.user.unwrap().linux.unwrap();
    assert_eq!((user.uid, user.gid, user.supplemental_groups), (1000, 3000, vec![3000, 2000]));

    let by_name = LinuxContainerSecurityContext { run_as_username: "app".into(), ..Default::default() };
    let (_, log) = node.run_to_end(&sandbox, secured(shell("name", &format!("{id}; echo $HOME")), by_name)).await;
    assert_eq!(log, "500 501 501 50\n/data");

    let mut from_image = shell("image", id);
    from_image.image.as_mut().unwrap().image = "busybox-as-app:staff".into();
    assert_eq!(node.run_to_end(&sandbox, from_image).await.1, "500 50 50");

    // A user other than root can still open its own output by name.
    let nobody = LinuxContainerSecurityContext { run_as_user: Some(Int64Value { value: 7 }), ..Default::default() };
    let (status, log) = node.run_to_end(&sandbox, secured(shell("out", "echo hi > /dev/stdout"), nobody)).await;
    assert_eq!((status.exit_code, log.as_str()), (0, "hi"));

    let unknown = LinuxContainerSecurityContext { run_as_username: "nobody-here".into(), ..Default::default() };
    let id = node.create(&sandbox, secured(shell("unknown", "true"), unknown)).await;
    let error = node.runtime.start_container(&id).await.unwrap_err().to_string();
    assert!(error.contains("unable to find user nobody-here"), "{error}");
}

#[tokio::test]
async fn capabilities_are_those_of_the_container_for_every_process() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let read = "grep -E 'Cap(Inh|Prm|Eff|Bnd|Amb)' /proc/self/status";
    let default = "00000000a80425fb";
    let none = "0000000000000000";
    let expect =
        |set: &str| format!("CapInh:\t{none}\nCapPrm:\t{set}\nCapEff:\t{set}\nCapBnd:\t{set}\nCapAmb:\t{none}");
    let container = node.run(&sandbox, idle("default")).await;
    assert_eq!(node.output(&container, read).await, expect(default));
    assert_eq!(node.output(&container, &read.replace("self", "1")).await, expect(default));

    let capabilities = Capability {
        add_capabilities: vec!["NET_ADMIN".into()],
        drop_capabilities: vec!["ALL".into()],
        ..Capability::default()
    };
    let security = LinuxContainerSecurityContext {
        capabilities: Some(capabilities),
        no_new_privs: true,
        ..LinuxContainerSecurityContext::default()
    };
    let container = node.run(&sandbox, secured(idle("few"), security)).await;
    assert_eq!(node.output(&container, read).await, expect("0000000000001000"));
    assert_eq!(node.output(&container, "grep NoNewPrivs /proc/self/status").await, "NoNewPrivs:\t1");
    assert_eq!(node.output(&container, "grep NoNewPrivs /proc/1/status").await, "NoNewPrivs:\t1");

    // Root powers end with the user id.
    let user = LinuxContainerSecurityContext { run_as_user: Some(Int64Value { value: 9 }), ..Default::default() };
    let container = node.run(&sandbox, secured(idle("user"), user)).await;
    let found = node.output(&container, read).await;
    assert!(found.contains(&format!("CapEff:\t{none}")) && found.contains(&format!("CapBnd:\t{default}")), "{found}");
}

#[tokio::test]
async fn system_calls_are_filtered_for_every_process() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let profile =
        |kind: ProfileType, path: &str| Some(SecurityProfile { profile_type: kind as i32, localhost_ref: path.into() });
    for (name, no_new_privs, run_as_user) in [("root", false, None), ("locked", true, Some(Int64Value { value: 12 }))] {
        let security = LinuxContainerSecurityContext {
            seccomp: profile(ProfileType::RuntimeDefault, ""),
            no_new_privs,
            run_as_user,
            ..LinuxContainerSecurityContext::default()
        };
        let container = node.run(&sandbox, secured(idle(name), security)).await;
        assert_eq!(node.output(&container, "grep Seccomp: /proc/1/status").await, "Seccomp:\t2", "{name}");
        assert_eq!(node.output(&container, "grep Seccomp: /proc/self/status").await, "Seccomp:\t2", "{name}");
    }
    let container = node.run(&sandbox, idle("unconfined")).await;
    assert_eq!(node.output(&container, "grep Seccomp: /proc/self/status").await, "Seccomp:\t0");

    let path = node.home.path().join("no-chroot.json");
    let text = r#"{ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"],
        "syscalls": [{ "names": ["chroot"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38 }] }"#;
    std::fs::write(&path, text).unwrap();
    let security = LinuxContainerSecurityContext {
        seccomp: profile(ProfileType::Localhost, &path.display().to_string()),
        ..LinuxContainerSecurityContext::default()
    };
    let container = node.run(&sandbox, secured(idle("custom"), security)).await;
    let refused = node.exec(&container, "chroot / true").await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Function not implemented"), "{refused:?}");
}

#[tokio::test]
async fn limits_are_in_force_and_visible_inside() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let resources = LinuxContainerResources {
        memory_limit_in_bytes: 64 << 20,
        cpu_shares: 512,
        cpu_quota: 50_000,
        cpu_period: 100_000,
        oom_score_adj: 900,
        ..LinuxContainerResources::default()
    };
    let container = node.run(&sandbox, limited(idle("main"), resources.clone())).await;
    let read = "cd /sys/fs/cgroup; if [ -e memory.max ]; then cat memory.max cpu.max; \
        else cat memory/memory.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu/cpu.shares; fi";
    let seen = node.output(&container, read).await;
    assert!(
        ["67108864 50000 100000 512", "67108864 50000 100000"].contains(&lines(&seen).join(" ").as_str()),
        "{seen}"
    );
    assert_eq!(node.output(&container, "cat /proc/self/oom_score_adj").await, "900");
    assert!(node.exec(&container, "mkdir /sys/fs/cgroup/memory/x || touch /sys/fs/cgroup/x").await.exit_code != 0);

    let larger = LinuxContainerResources { memory_limit_in_bytes: 128 << 20, ..LinuxContainerResources::default() };
    let request = cri::UpdateContainerResourcesRequest {
        container_id: container.clone(),
        linux: Some(larger),
        ..Default::default()
    };
    node.runtime.update_container_resources(request).await.unwrap();
    assert!(node.output(&container, read).await.starts_with("134217728"));
    let stats = node.runtime.container_stats(&container).await.unwrap();
    assert!(stats.memory.unwrap().working_set_bytes.unwrap().value > 0);
    assert!(stats.cpu.unwrap().usage_core_nano_seconds.unwrap().value > 0);

    let small = LinuxContainerResources { memory_limit_in_bytes: 8 << 20, ..LinuxContainerResources::default() };
    let (status, _) = node.run_to_end(&sandbox, limited(shell("hog", "x=a; while :; do x=$x$x; done"), small)).await;
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
}

#[tokio::test]
async fn the_file_system_is_the_containers_own() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let container = node.run(&sandbox, idle("main")).await;
    let output = async |script: &str| node.output(&container, script).await;
    assert_eq!(output("ls /").await.split_whitespace().collect::<Vec<_>>().join(" "), "bin data dev etc proc sys tmp");
    assert_eq!(
        output("ls /dev").await.split_whitespace().collect::<Vec<_>>().join(" "),
        "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    );
    assert_eq!(output("echo x > /dev/null; head -c 3 /dev/zero | wc -c").await, "3");
    assert_eq!(output("cat /etc/hostname").await, "pod");
    assert_eq!(output("touch /tmp/mine && echo ok").await, "ok");
    // Whatever node is made, it cannot be opened: that is the host's disk.
    for path in ["/disk", "/dev/disk", "/dev/shm/disk"] {
        let script = format!("mknod {path} b 254 0 && ! head -c 1 {path} 2>/dev/null && echo refused");
        assert_eq!(output(&script).await, "refused", "{path}");
    }
    let second = node.run(&sandbox, idle("second")).await;
    assert_eq!(node.output(&second, "test -e /tmp/mine || echo none").await, "none");
    output("echo shared > /dev/shm/x").await;
    assert_eq!(node.output(&second, "cat /dev/shm/x").await, "shared");
}

#[tokio::test]
async fn read_only_roots_masks_and_mounts() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let volume = node.home.path().join("volume");
    std::fs::create_dir_all(&volume).unwrap();
    std::fs::write(volume.join("file"), "from host").unwrap();
    let security = LinuxContainerSecurityContext {
        readonly_rootfs: true,
        masked_paths: vec!["/proc/keys".into(), "/proc/scsi".into(), "/proc/no-such".into(), "/sys/firmware".into()],
        readonly_paths: vec!["/proc/sys".into()],
        ..LinuxContainerSecurityContext::default()
    };
    let mut config = secured(idle("main"), security);
    let mount = |target: &str, readonly| Mount {
        container_path: target.into(),
        host_path: volume.display().to_string(),
        readonly,
        ..Mount::default()
    };
    config.mounts = vec![mount("/data/deep/ro", true), mount("/data", false)];
    config.mounts.push(Mount {
        container_path: "/etc/hosts".into(),
        host_path: volume.join("file").display().to_string(),
        ..Mount::default()
    });
    config.working_dir = "/data".into();
    let container = node.run(&sandbox, config).await;
    let output = async |script: &str| node.output(&container, script).await;
    assert_eq!(output("touch /x 2>/dev/null || echo read-only").await, "read-only");
    assert_eq!(output("touch /data/y && cat /data/deep/ro/file").await, "from host");
    assert_eq!(output("touch /data/deep/ro/z 2>/dev/null || echo read-only").await, "read-only");
    assert_eq!(output("cat /etc/hosts").await, "from host");
    assert_eq!(output("readlink /proc/1/cwd").await, "/data");
    assert_eq!(output("cat /proc/keys | wc -c; ls /sys/firmware | wc -l").await, "0\n0");
    assert_eq!(output("echo 0 2>/dev/null > /proc/sys/kernel/panic || echo read-only").await, "read-only");
    assert!(volume.join("y").exists());
    // Without a source there is an empty directory, as hostPath volumes have it.
    let mut config = shell("missing", "ls /new | wc -l");
    config.mounts = vec![Mount {
        container_path: "/new".into(),
        host_path: node.home.path().join("not-yet").display().to_string(),
        ..Mount::default()
    }];
    assert_eq!(node.run_to_end(&sandbox, config).await.1, "0");
}

#[tokio::test]
async fn namespaces_are_shared_as_asked() {
    let node = Node::start().await;
    let link = |name: &str| std::fs::read_link(format!("/proc/self/ns/{name}")).unwrap().display().to_string();
    let options = |network: NamespaceMode, pid: NamespaceMode, ipc: NamespaceMode| NamespaceOption {
        network: network as i32,
        pid: pid as i32,
        ipc: ipc as i32,
        ..NamespaceOption::default()
    };
    use NamespaceMode::{Node as Host, Pod};

    let host = options(Host, Host, Host);
    let mut config = node.sandbox_config();
    config.linux.as_mut().unwrap().security_context =
        Some(cri::LinuxSandboxSecurityContext { namespace_options: Some(host.clone()), ..Default::default() });
    let sandbox = node.runtime.run_pod_sandbox(config, "").await.unwrap();
    let security = LinuxContainerSecurityContext { namespace_options: Some(host), ..Default::default() };
    let container = node.run(&sandbox, secured(idle("host"), security)).await;
    for name in ["net", "pid", "ipc", "uts"] {
        assert_eq!(node.output(&container, &format!("readlink /proc/self/ns/{name}")).await, link(name), "{name}");
    }
    // Nothing of it is left although it had no process number 1 to take the others along.
    node.runtime.stop_container(&container, 0).await.unwrap();

    let shared = options(Pod, Pod, Pod);
    let mut config = node.sandbox_config();
    config.linux.as_mut().unwrap().security_context =
        Some(cri::LinuxSandboxSecurityContext { namespace_options: Some(shared.clone()), ..Default::default() });
    let sandbox = node.runtime.run_pod_sandbox(config, "").await.unwrap();
    let security = LinuxContainerSecurityContext { namespace_options: Some(shared), ..Default::default() };
    let container = node.run(&sandbox, secured(idle("shared"), security.clone())).await;
    assert_eq!(node.output(&container, "cat /proc/1/cmdline").await.trim_end_matches('\0'), "/pause");
    node.run(&sandbox, secured(idle("neighbour"), security)).await;
    // A shell between fork and exec of its `sleep` counts twice for a moment.
    let both = "for n in 1 2 3 4 5 6 7 8 9; do [ $(ps | grep -c '[t]rap') = 2 ] && echo both && break; sleep 0.1; done";
    assert_eq!(node.output(&container, both).await, "both");

    let sandbox = node.run_sandbox().await;
    let first = node.run(&sandbox, idle("first")).await;
    let second = node.run(&sandbox, idle("second")).await;
    let mut target = options(Pod, NamespaceMode::Target, Pod);
    target.target_id = first.clone();
    let security = LinuxContainerSecurityContext { namespace_options: Some(target), ..Default::default() };
    let third = node.run(&sandbox, secured(idle("third"), security)).await;
    let namespace =
        async |container: &str, name: &str| node.output(container, &format!("readlink /proc/self/ns/{name}")).await;
    for name in ["net", "ipc", "uts"] {
        assert_eq!(namespace(&first, name).await, namespace(&second, name).await, "{name}");
        assert_ne!(namespace(&first, name).await, link(name), "{name}");
    }
    assert_ne!(namespace(&first, "pid").await, namespace(&second, "pid").await);
    assert_eq!(namespace(&first, "pid").await, namespace(&third, "pid").await);
}

#[tokio::test]
async fn an_image_is_a_volume() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let image = |path: &str, part: &str| cri::Mount {
        container_path: path.into(),
        image: Some(cri::ImageSpec { image: "model".into(), ..Default::default() }),
        image_sub_path: part.into(),
        readonly: true,
        ..Default::default()
    };
    let config = cri::ContainerConfig { mounts: vec![image("/all", ""), image("/part", "bin")], ..idle("main") };
    let container = node.run(&sandbox, config).await;
    assert_eq!(node.output(&container, "test -x /all/bin/busybox && /part/busybox echo runs").await, "runs");
    let refused = node.exec(&container, "echo x > /all/new").await;
    assert!(String::from_utf8_lossy(&refused.stderr).contains("Read-only file system"));

    let config = cri::ContainerConfig { mounts: vec![image("/part", "no/such")], ..idle("broken") };
    let id = node.create(&sandbox, config).await;
    let error = node.runtime.start_container(&id).await.unwrap_err();
    assert!(error.to_string().contains("open no/such in the image: no such file or directory"), "{error}");
}
