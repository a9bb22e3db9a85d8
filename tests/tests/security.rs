//! What a Pod may do: identities, privileges, system calls, kernel parameters, namespaces; and the ways into it.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use tests::stream::Stream;
use tests::{Ability, Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let cases = cases![
        system_calls_are_filtered_for_init_and_exec,
        a_profile_of_the_node_is_used_and_a_missing_one_named,
        privileges_are_as_written,
        root_is_refused_where_it_must_not_be,
        kernel_parameters_are_safe_or_forbidden,
        app_armor_is_refused_without_it,
        groups_are_merged_or_strict,
        users_of_a_pod_are_nobody_on_the_host,
        own_users_have_every_kind_of_volume_and_outlive_the_daemon,
        users_have_names_in_their_image,
        proc_is_covered_unless_asked_otherwise,
        memory_is_shared_with_the_host_where_asked,
        se_linux_labels_mean_nothing_without_it,
        processes_are_shared_as_asked,
        an_image_is_a_volume,
        read_only_reaches_mounts_below,
        ports_are_forwarded_through_websockets,
        ports_are_forwarded_through_spdy,
        commands_run_through_spdy,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

/// A Pod of one idle container; both specs in YAML's flow style.
fn pod(name: &str, pod_spec: &str, container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{terminationGracePeriodSeconds: 0, {pod_spec} \
         containers: [{{name: main, image: busybox, command: [sleep, '3600'], {container}}}]}}\n"
    )
}

fn shell(kubectl: &Kubectl, pod: &str, script: &str) -> Result<String> {
    Ok(kubectl.ok(&["exec", pod, "-c", "main", "--", "sh", "-c", script])?.trim_end().to_owned())
}

fn waiting(kubectl: &Kubectl, pod: &str, reason: &str) -> Result<String> {
    let object = format!("pod/{pod}");
    let pointer = "/status/containerStatuses/0/state/waiting/reason";
    kubectl.wait_value(&object, pointer, SOON, |value| value.as_str() == Some(reason))?;
    kubectl.text(&object, "/status/containerStatuses/0/state/waiting/message")
}

/// Waits for an Event about a Pod with these words.
fn says(kubectl: &Kubectl, pod: &str, words: &str) -> Result<()> {
    let selector = format!("--field-selector=involvedObject.name={pod}");
    let deadline = Instant::now() + SOON;
    loop {
        let said = kubectl.ok(&["get", "events", &selector, "-o", "jsonpath={.items[*].message}"])?;
        if said.contains(words) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{words:?} is not in {said}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn system_calls_are_filtered_for_init_and_exec(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("seccomp")?;
    let profile = |kind: &str| format!("securityContext: {{seccompProfile: {{type: {kind}}}}}");
    kubectl.apply(&pod("default", "", &profile("RuntimeDefault")))?;
    kubectl.apply(&pod("none", "", &profile("Unconfined")))?;
    for (name, expected) in [("default", "2"), ("none", "0")] {
        kubectl.wait_ready(name)?;
        let status = shell(&kubectl, name, "grep -h ^Seccomp: /proc/1/status /proc/self/status")?;
        let modes: Vec<_> = status.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
        ensure!(modes == [expected, expected], "{name}: {status}");
    }
    // A call that the default profile refuses to those without the capability: new namespaces.
    let denied = kubectl.run(&["exec", "default", "--", "unshare", "-U", "true"])?;
    ensure!(denied.code != Some(0) && denied.both().contains("not permitted"), "{}", denied.both());
    Ok(())
}

fn a_profile_of_the_node_is_used_and_a_missing_one_named(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("localhost-profile")?;
    let directory = cluster.data_dir().join("kubelet/seccomp/profiles");
    std::fs::create_dir_all(&directory)?;
    let profile = r#"{"defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}"#;
    std::fs::write(directory.join("no-mkdir.json"), profile)?;
    let with = |name: &str| {
        format!("securityContext: {{seccompProfile: {{type: Localhost, localhostProfile: profiles/{name}.json}}}}")
    };
    kubectl.apply(&pod("there", "", &with("no-mkdir")))?;
    kubectl.apply(&pod("missing", "", &with("no-such")))?;
    kubectl.wait_ready("there")?;
    let refused = kubectl.run(&["exec", "there", "--", "mkdir", "/new"])?;
    ensure!(refused.both().contains("No space left on device"), "{}", refused.both());
    let message = waiting(&kubectl, "missing", "CreateContainerError")?;
    ensure!(message.contains("seccomp/profiles/no-such.json") && message.contains("o such file"), "{message}");
    Ok(())
}

fn privileges_are_as_written(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("privileges")?;
    let context = |text: &str| format!("securityContext: {{{text}}}");
    kubectl.apply(&pod("plain", "", ""))?;
    kubectl.apply(&pod("privileged", "", &context("privileged: true")))?;
    let bare = "capabilities: {drop: [ALL], add: [NET_BIND_SERVICE]}, allowPrivilegeEscalation: false, \
                readOnlyRootFilesystem: true";
    kubectl.apply(&pod("bare", "", &context(bare)))?;
    for name in ["plain", "privileged", "bare"] {
        kubectl.wait_ready(name)?;
    }
    let write_sys = "(: >> /proc/sys/kernel/hostname) 2>/dev/null && echo writable || echo read-only";
    let writable = |pod: &str| shell(&kubectl, pod, write_sys);
    ensure!(writable("privileged")? == "writable" && writable("plain")? == "read-only", "/proc/sys");
    let masked = "cat /proc/timer_list /proc/keys 2>/dev/null | head -c 1 | wc -c";
    ensure!(shell(&kubectl, "plain", masked)? == "0", "masked paths show nothing");
    let devices = |pod: &str| shell(&kubectl, pod, "ls /dev | wc -l")?.parse::<u32>().context("a number");
    let (host, plain) = (std::fs::read_dir("/dev")?.count() as u32, devices("plain")?);
    ensure!(host <= plain || devices("privileged")? > plain, "a privileged container has the host's devices");
    let status = shell(&kubectl, "bare", "grep -E 'CapBnd|NoNewPrivs' /proc/1/status; touch /x 2>&1 || true")?;
    ensure!(status.contains("CapBnd:\t0000000000000400") && status.contains("NoNewPrivs:\t1"), "{status}");
    ensure!(status.contains("Read-only file system"), "{status}");
    Ok(())
}

fn root_is_refused_where_it_must_not_be(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("non-root")?;
    kubectl.apply(&pod("image-root", "", "securityContext: {runAsNonRoot: true}"))?;
    kubectl.apply(&pod("spec-root", "", "securityContext: {runAsNonRoot: true, runAsUser: 0}"))?;
    kubectl.apply(&pod("user", "", "securityContext: {runAsNonRoot: true, runAsUser: 1000}"))?;
    let message = waiting(&kubectl, "image-root", "CreateContainerConfigError")?;
    ensure!(
        message.starts_with("container has runAsNonRoot and image will run as root (pod: \"image-root_"),
        "{message}"
    );
    let message = waiting(&kubectl, "spec-root", "CreateContainerConfigError")?;
    ensure!(message.starts_with("container's runAsUser breaks non-root policy (pod: \"spec-root_"), "{message}");
    kubectl.wait_ready("user")
}

fn kernel_parameters_are_safe_or_forbidden(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("sysctls")?;
    let with = |name: &str, value: &str| format!("securityContext: {{sysctls: [{{name: {name}, value: '{value}'}}]}},");
    kubectl.apply(&pod("safe", &with("net.ipv4.tcp_syncookies", "0"), ""))?;
    kubectl.apply(&pod("unsafe", &with("kernel.msgmax", "65536"), ""))?;
    kubectl.wait_value("pod/unsafe", "/status/phase", SOON, |phase| phase == "Failed")?;
    let (reason, message) =
        (kubectl.text("pod/unsafe", "/status/reason")?, kubectl.text("pod/unsafe", "/status/message")?);
    ensure!(reason == "SysctlForbidden", "{reason}");
    ensure!(message == "Pod was rejected: forbidden sysctl: \"kernel.msgmax\" not allowlisted", "{message}");
    kubectl.wait_ready("safe")?;
    let value = shell(&kubectl, "safe", "cat /proc/sys/net/ipv4/tcp_syncookies")?;
    ensure!(value == "0", "{value}");
    Ok(())
}

fn app_armor_is_refused_without_it(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("app-armor")?;
    kubectl.apply(&pod("wants", "", "securityContext: {appArmorProfile: {type: RuntimeDefault}}"))?;
    kubectl.wait_value("pod/wants", "/status/reason", SOON, |reason| reason == "AppArmor")?;
    Ok(())
}

fn groups_are_merged_or_strict(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("groups")?;
    for policy in ["Merge", "Strict"] {
        let name = policy.to_lowercase();
        let context = format!(
            "securityContext: {{runAsUser: 0, runAsGroup: 0, supplementalGroups: [4000], supplementalGroupsPolicy: \
             {policy}}},"
        );
        kubectl.apply(&pod(&name, &context, ""))?;
        if policy == "Strict" && cluster.lacks(Ability::Users) {
            // Rather not at all than with groups it must not have.
            let reason = kubectl.wait_value("pod/strict", "/status/reason", SOON, Value::is_string)?;
            ensure!(reason == "SupplementalGroupsPolicyNotSupported", "{reason}");
            continue;
        }
        kubectl.wait_ready(&name)?;
        let groups = shell(&kubectl, &name, "id -G")?;
        ensure!(groups.split(' ').any(|group| group == "4000"), "{policy}: {groups}");
        if cluster.lacks(Ability::Users) {
            continue;
        }
        let user = kubectl.value(&format!("pod/{name}"), "/status/containerStatuses/0/user/linux")?;
        ensure!(user["uid"] == 0 && user["supplementalGroups"].to_string().contains("4000"), "{user}");
        if policy == "Strict" {
            ensure!(groups == "0 4000", "{groups}");
        }
    }
    Ok(())
}

/// The user that the host sees behind a container's idle process, by the first of its Pod's ids.
fn idle_process_on_the_host(first: &str) -> Result<Option<u32>> {
    for entry in std::fs::read_dir("/proc")?.flatten() {
        // Processes come and go meanwhile.
        let read = |name: &str| std::fs::read_to_string(entry.path().join(name)).unwrap_or_default();
        let map = read("uid_map");
        if map.split_whitespace().eq(["0", first, "65536"]) && read("cmdline").starts_with("sleep\0") {
            return Ok(Some(std::fs::metadata(entry.path())?.uid()));
        }
    }
    Ok(None)
}

fn users_of_a_pod_are_nobody_on_the_host(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("own-users")?;
    let volumes = "hostUsers: false, volumes: [{name: data, emptyDir: {}}],";
    let mounts = "volumeMounts: [{name: data, mountPath: /data/deep}]";
    for (name, context) in [("one", ""), ("two", ""), ("plain-user", ", securityContext: {runAsUser: 1000}")] {
        kubectl.apply(&pod(name, volumes, &format!("{mounts}{context}")))?;
    }
    if cluster.lacks(Ability::UserNamespaces) {
        // Rather not at all than as the host's root.
        return says(&kubectl, "one", "does not support user namespaces");
    }
    let mut ranges = Vec::new();
    for (name, user) in [("one", 0), ("two", 0), ("plain-user", 1000)] {
        kubectl.wait_ready(name)?;
        let map = shell(&kubectl, name, "cat /proc/1/uid_map /proc/self/uid_map /proc/self/gid_map")?;
        let ids: Vec<_> = map.split_whitespace().collect();
        let first = ids.get(1).copied().unwrap_or_default();
        ensure!(ids == ["0", first, "65536"].repeat(3), "one range everywhere: {map}");
        let number: u32 = first.parse().context("a number")?;
        ensure!(number >= 65536 && !ranges.contains(&number), "{name}: {number} after {ranges:?}");
        ranges.push(number);
        ensure!(idle_process_on_the_host(first)? == Some(number + user), "{name} on the host");
        ensure!(shell(&kubectl, name, "id -u")? == user.to_string(), "{name} inside");
        shell(&kubectl, name, "echo text > /data/deep/file && echo > /dev/stdout")?;
        let inside = shell(&kubectl, name, "stat -c %u:%g /data/deep/file /etc/passwd /data /")?;
        ensure!(inside == format!("{user}:0\n0:0\n0:0\n0:0"), "{name}: {inside}");
        let uid = kubectl.text(&format!("pod/{name}"), "/metadata/uid")?;
        let directory = cluster.data_dir().join("kubelet/pods").join(uid);
        let file = std::fs::metadata(directory.join("volumes/kubernetes.io~empty-dir/data/file"))?;
        ensure!((file.uid(), file.gid()) == (user, 0), "{name}: a volume's files are not shifted");
        let record = std::fs::read_to_string(directory.join("userns"))?;
        ensure!(record.contains(first), "{record}");
    }
    // Root is root in there: it changes its own files, its network and, with the capability, mounts.
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let able = format!("mkdir /new && chown 7:8 /new && test -s {token} && hostname && stat -c %u:%g /new");
    ensure!(shell(&kubectl, "one", &able)?.ends_with("7:8"), "files of the root file system");
    let terminal = kubectl.in_terminal("$KUBECTL exec -it one -- sh -c 'stat -c %u:%g $(tty)'", b"")?;
    ensure!(terminal.both().contains("0:5"), "a terminal: {}", terminal.both());
    let admin = "securityContext: {capabilities: {add: [SYS_ADMIN]}}";
    kubectl.apply(&pod("admin", "hostUsers: false,", admin))?;
    kubectl.wait_ready("admin")?;
    let mounted = shell(&kubectl, "admin", "mkdir /own && mount -t tmpfs none /own && grep -c ' /own ' /proc/mounts")?;
    ensure!(mounted == "1", "{mounted}");
    let uncovered = shell(&kubectl, "admin", "umount /proc/kcore 2>&1; cat /proc/timer_list | wc -c")?;
    ensure!(uncovered.ends_with('0'), "what is masked stays so: {uncovered}");

    kubectl.ok(&["delete", "pod", "--all"])?;
    // Without grace the object goes first.
    let deadline = Instant::now() + SOON;
    for first in ranges {
        while idle_process_on_the_host(&first.to_string())?.is_some() {
            ensure!(Instant::now() < deadline, "{first} is still there");
            thread::sleep(Duration::from_millis(50));
        }
    }
    Ok(())
}

fn own_users_have_every_kind_of_volume_and_outlive_the_daemon(shared: &Cluster) -> Result<()> {
    if shared.lacks(Ability::UserNamespaces) {
        return Ok(());
    }
    let cluster = Cluster::start(Options::default())?;
    let kubectl = cluster.namespace("own-users-volumes")?;
    let host = cluster.scratch("own-users")?;
    std::fs::write(host.join("file"), "host")?;
    kubectl.ok(&["create", "configmap", "c", "--from-literal=file=config"])?;
    kubectl.ok(&["create", "secret", "generic", "s", "--from-literal=file=secret"])?;
    let volumes = format!(
        "hostUsers: false, restartPolicy: Always, volumes: [{{name: c, configMap: {{name: c}}}}, {{name: s, secret: \
         {{secretName: s}}}}, {{name: p, projected: {{sources: [{{configMap: {{name: c}}}}, {{downwardAPI: {{items: \
         [{{path: name, fieldRef: {{fieldPath: metadata.name}}}}]}}}}]}}}}, {{name: i, image: {{reference: busybox}}}}, \
         {{name: h, hostPath: {{path: {}}}}}, {{name: e, emptyDir: {{}}}}],",
        host.display()
    );
    let mounts = "volumeMounts: [{name: c, mountPath: /c}, {name: s, mountPath: /s}, {name: p, mountPath: /p}, {name: i, \
                  mountPath: /i}, {name: h, mountPath: /h}, {name: e, mountPath: /e}, {name: e, mountPath: /sub, subPath: \
                  part}], readinessProbe: {exec: {command: [test, -f, /s/file]}, periodSeconds: 1}";
    // Ends when told; other cases look for idle processes.
    let told = "command: [sh, -c, 'mkfifo /told && read word < /told; exit 1']";
    kubectl.apply(&pod("all", &volumes, mounts).replace("command: [sleep, '3600']", told))?;
    kubectl.wait_ready("all")?;
    let look = "cat /c/file /s/file /p/name /h/file; test -x /i/bin/busybox && echo image; stat -c %u:%g /c /h/file \
                /e /sub /i/bin; touch /sub/x && ls /e/part; cut -c 1-30 /proc/self/uid_map";
    let before = shell(&kubectl, "all", look)?;
    ensure!(before.starts_with("configsecretallhostimage\n0:0\n0:0\n0:0\n0:0\n0:0\nx\n"), "{before}");
    // The container ends and comes back, with the daemon gone in between.
    cluster.kill_server()?;
    cluster.start_server()?;
    ensure!(shell(&kubectl, "all", look)? == before, "after the daemon came back");
    let restarts = "/status/containerStatuses/0/restartCount";
    shell(&kubectl, "all", "echo go > /told")?;
    kubectl.wait_value("pod/all", restarts, SOON, |count| count == 1)?;
    kubectl.wait_ready("all")?;
    ensure!(shell(&kubectl, "all", look)? == before, "after the container came back");
    Ok(())
}

fn users_have_names_in_their_image(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("named-user")?;
    let named = |name: &str, context: &str| pod(name, "", context).replace("image: busybox", "image: test/named-user");
    kubectl.apply(&named("plain", ""))?;
    kubectl.apply(&named("non-root", "securityContext: {runAsNonRoot: true}"))?;
    kubectl.apply(&named("number", "securityContext: {runAsNonRoot: true, runAsUser: 33}"))?;
    kubectl.wait_ready("plain")?;
    let seen = shell(&kubectl, "plain", "id -u; id -g; stat -c %u /proc/1")?;
    // As with containerd, the kubelet names the user only, and the user's own group counts.
    ensure!(seen == "33\n33\n33", "{seen}");
    let user = kubectl.value("pod/plain", "/status/containerStatuses/0/user/linux")?;
    ensure!(cluster.lacks(Ability::Users) || user["uid"] == 33 && user["gid"] == 33, "{user}");
    let message = waiting(&kubectl, "non-root", "CreateContainerConfigError")?;
    let expected =
        "container has runAsNonRoot and image has non-numeric user (www-data), cannot verify user is non-root";
    ensure!(message.starts_with(expected), "{message}");
    kubectl.wait_ready("number")
}

fn proc_is_covered_unless_asked_otherwise(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("proc-mount")?;
    let unmasked = "securityContext: {procMount: Unmasked}";
    let refused = kubectl.fails_with_input(&["apply", "-f", "-"], pod("x", "", unmasked).as_bytes())?;
    ensure!(refused.contains("`hostUsers` must be false to use `Unmasked`"), "{refused}");
    kubectl.apply(&pod("covered", "", ""))?;
    kubectl.apply(&pod("open", "hostUsers: false,", unmasked))?;
    kubectl.wait_ready("covered")?;
    let mounted = |pod: &str| shell(&kubectl, pod, "cut -d' ' -f2,4 /proc/mounts | grep -E '^/(proc|sys)/' || true");
    let covered = mounted("covered")?;
    for path in ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"] {
        let there = std::path::Path::new(path).exists();
        let read_only = covered.lines().any(|line| line.starts_with(&format!("{path} ro")));
        ensure!(read_only == there, "{path}: {covered}");
    }
    for path in
        ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts", "/proc/latency_stats", "/sys/firmware"]
    {
        let there = std::path::Path::new(path).exists();
        ensure!(covered.lines().any(|line| line.starts_with(&format!("{path} "))) == there, "{path}: {covered}");
    }
    if cluster.lacks(Ability::UserNamespaces) {
        return says(&kubectl, "open", "does not support user namespaces");
    }
    kubectl.wait_ready("open")?;
    let open = mounted("open")?;
    ensure!(!open.contains("/proc/"), "nothing covers a part of /proc: {open}");
    Ok(())
}

/// A file in the host's shared memory; gone when dropped.
struct SharedFile(std::path::PathBuf);

impl Drop for SharedFile {
    fn drop(&mut self) {
        // Nothing can be done about a file that stays.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn memory_is_shared_with_the_host_where_asked(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("host-ipc")?;
    let name = format!("isopod-test-{}", std::process::id());
    let file = SharedFile(std::path::Path::new("/dev/shm").join(&name));
    std::fs::write(&file.0, "shared")?;
    kubectl.apply(&pod("host", "hostIPC: true,", ""))?;
    kubectl.apply(&pod("own", "", ""))?;
    kubectl.wait_ready("host")?;
    kubectl.wait_ready("own")?;
    let look = format!("readlink /proc/self/ns/ipc; cat /dev/shm/{name} 2>/dev/null || echo none");
    let namespace = std::fs::read_link("/proc/self/ns/ipc")?;
    let host = shell(&kubectl, "host", &look)?;
    ensure!(host == format!("{}\nshared", namespace.display()), "{host}");
    let own = shell(&kubectl, "own", &look)?;
    ensure!(own.ends_with("\nnone") && !own.starts_with(&*namespace.to_string_lossy()), "{own}");
    Ok(())
}

/// As containerd does where the kernel has none.
fn se_linux_labels_mean_nothing_without_it(cluster: &Cluster) -> Result<()> {
    if std::path::Path::new("/sys/fs/selinux/enforce").exists() {
        return Ok(());
    }
    let kubectl = cluster.namespace("se-linux")?;
    kubectl.apply(&pod("labelled", "securityContext: {seLinuxOptions: {level: 's0:c123,c456'}},", ""))?;
    kubectl.wait_ready("labelled")
}

fn processes_are_shared_as_asked(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("processes")?;
    kubectl.apply(&pod("own", "", ""))?;
    kubectl.apply(&pod("shared", "shareProcessNamespace: true,", ""))?;
    kubectl.apply(&pod("host", "hostPID: true,", ""))?;
    for name in ["own", "shared", "host"] {
        kubectl.wait_ready(name)?;
    }
    let first = |pod: &str| shell(&kubectl, pod, "cat /proc/1/comm");
    let pause = if cluster.lacks(Ability::OwnPause) { "sleep" } else { "pause" };
    ensure!(first("own")? == "sleep" && first("shared")? == pause, "{} {}", first("own")?, first("shared")?);
    let host = std::fs::read_to_string("/proc/1/comm")?;
    ensure!(first("host")? == host.trim_end(), "{}", first("host")?);

    kubectl.ok(&["debug", "own", "--image=busybox", "--target=main", "-c", "look", "--", "sleep", "3600"])?;
    let running = "/status/ephemeralContainerStatuses/0/state/running/startedAt";
    kubectl.wait_value("pod/own", running, SOON, |started| started.is_string())?;
    let seen = kubectl.ok(&["exec", "own", "-c", "look", "--", "cat", "/proc/1/cmdline"])?;
    ensure!(seen.starts_with("sleep\0"), "the debugger sees its target: {seen:?}");
    Ok(())
}

fn an_image_is_a_volume(cluster: &Cluster) -> Result<()> {
    if cluster.lacks(Ability::ImageVolumes) {
        return Ok(());
    }
    let kubectl = cluster.namespace("image-volume")?;
    let volumes = "volumes: [{name: files, image: {reference: nginx}}],";
    let mounts = "volumeMounts: [{name: files, mountPath: /image}]";
    kubectl.apply(&pod("reader", volumes, mounts))?;
    kubectl.wait_ready("reader")?;
    let read = shell(&kubectl, "reader", "ls -d /image/etc/nginx; touch /image/x 2>&1 || true")?;
    ensure!(read.contains("/image/etc/nginx\n") && read.contains("Read-only file system"), "{read}");
    let part = |field: &str| format!("volumeMounts: [{{name: files, mountPath: /part, {field}}}]");
    kubectl.apply(&pod("part", volumes, &part("subPath: etc/nginx")))?;
    let expression = "env: [{name: DIR, value: nginx}], ".to_owned() + &part("subPathExpr: etc/$(DIR)");
    kubectl.apply(&pod("expanded", volumes, &expression))?;
    for name in ["part", "expanded"] {
        kubectl.wait_ready(name)?;
        ensure!(shell(&kubectl, name, "ls -d /part/conf.d")? == "/part/conf.d", "{name}");
    }
    kubectl.apply(&pod(
        "none",
        "volumes: [{name: files, image: {reference: no-such-image, pullPolicy: Never}}],",
        mounts,
    ))?;
    waiting(&kubectl, "none", "ErrImageNeverPull").map(drop)
}

fn read_only_reaches_mounts_below(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("recursive-read-only")?;
    let mount = |mode: &str| {
        format!("volumeMounts: [{{name: data, mountPath: /data, readOnly: true, recursiveReadOnly: {mode}}}]")
    };
    let volume = "volumes: [{name: data, emptyDir: {}}],";
    kubectl.apply(&pod("reader", volume, &mount("IfPossible")))?;
    kubectl.wait_ready("reader")?;
    let refused = shell(&kubectl, "reader", "touch /data/x 2>&1 || true")?;
    ensure!(refused.contains("Read-only file system"), "{refused}");
    let reported = "/status/containerStatuses/0/volumeMounts/0/recursiveReadOnly";
    let reported = kubectl.text("pod/reader", reported)?;
    if !cluster.lacks(Ability::Features) {
        ensure!(reported == "Enabled", "{reported}");
        return Ok(());
    }
    ensure!(reported == "Disabled", "{reported}");
    kubectl.apply(&pod("strict", volume, &mount("Enabled")))?;
    let message = waiting(&kubectl, "strict", "CreateContainerConfigError")?;
    ensure!(message.contains("it is not supported by the runtime"), "{message}");
    Ok(())
}

/// `kubectl` with one of its ways to carry streams.
fn command(kubectl: &Kubectl, websockets: bool, arguments: &str) -> Command {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("exec {} {arguments}", kubectl.command_line())]);
    for name in ["KUBECTL_PORT_FORWARD_WEBSOCKETS", "KUBECTL_REMOTE_COMMAND_WEBSOCKETS"] {
        command.env(name, websockets.to_string());
    }
    command
}

fn forward_ports(cluster: &Cluster, namespace: &str, websockets: bool) -> Result<()> {
    let kubectl = cluster.namespace(namespace)?;
    let web = "apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec: {containers: [{name: web, image: nginx}]}\n";
    kubectl.apply(web)?;
    kubectl.wait_ready("web")?;
    let forwarding = Stream::start(command(&kubectl, websockets, "port-forward pod/web :80 :81"))?;
    let port_of = |text: &str, remote: &str| {
        let line =
            text.lines().find(|line| line.starts_with("Forwarding from 127.0.0.1:") && line.ends_with(remote))?;
        line.split(':').nth(1)?.split(' ').next()?.parse::<u16>().ok()
    };
    let both = |text: &str| port_of(text, "-> 80").is_some() && port_of(text, "-> 81").is_some();
    let said = forwarding.wait_for(SOON, both)?;
    let (open, closed) = (port_of(&said, "-> 80").context("a port")?, port_of(&said, "-> 81").context("a port")?);
    let fetch = move || -> Result<String> {
        let mut connection = TcpStream::connect(("127.0.0.1", open))?;
        connection.set_read_timeout(Some(SOON))?;
        connection.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let mut page = String::new();
        connection.read_to_string(&mut page)?;
        Ok(page)
    };
    let fetches: Vec<_> = (0..8).map(|_| thread::spawn(fetch)).collect();
    for page in fetches {
        let page = page.join().expect("fetching does not panic")?;
        ensure!(page.starts_with("HTTP/1.1 200 OK"), "{page}");
    }
    // Whatever becomes of the connection: the words are kubectl's to show.
    let _ = TcpStream::connect(("127.0.0.1", closed))?.write_all(b"x");
    let refused = "failed to connect to localhost:81 inside namespace";
    forwarding.wait_for(SOON, |text| text.contains(refused) && text.contains("connect: connection refused"))?;
    Ok(())
}

fn ports_are_forwarded_through_websockets(cluster: &Cluster) -> Result<()> {
    forward_ports(cluster, "port-forward-websockets", true)
}

fn ports_are_forwarded_through_spdy(cluster: &Cluster) -> Result<()> {
    forward_ports(cluster, "port-forward-spdy", false)
}

fn commands_run_through_spdy(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("spdy")?;
    kubectl.apply(&pod("main", "", ""))?;
    kubectl.wait_ready("main")?;
    let script = "exec -i main -- sh -c 'cat; echo to-stderr >&2; exit 7'";
    let mut session = Stream::start(command(&kubectl, false, script))?;
    session.write("to-stdout\n")?;
    session.close_input();
    let (code, said) = session.wait(SOON)?;
    ensure!(code == Some(7), "{code:?} {said}");
    ensure!(said.contains("to-stdout") && said.contains("to-stderr"), "{said}");
    ensure!(said.contains("command terminated with exit code 7"), "{said}");
    Ok(())
}
