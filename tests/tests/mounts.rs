//! How volumes get into containers: owners, devices, propagation, what is read-only, and that no path leads out.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tests::{Ability, Cluster, Kubectl, Options, cases, suite};

const SOON: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    let cases = cases![
        a_group_owns_volumes_always_or_where_their_root_says_otherwise,
        a_group_reads_what_is_made_for_the_pod,
        a_device_is_a_volume,
        a_volume_is_not_taken_for_what_it_is_not,
        mounts_propagate_as_asked,
        read_only_reaches_mounts_below_where_asked,
        parts_of_a_volume_are_as_open_as_it_is,
        no_sub_path_leads_out_of_its_volume,
        secrets_stay_in_memory,
    ];
    suite::run(|| Cluster::start(Options::default()), cases, Cluster::diagnose)
}

/// A Pod of one idle container; all in YAML's flow style.
fn pod(name: &str, spec: &str, container: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec: {{terminationGracePeriodSeconds: 0, {spec} \
         containers: [{{name: main, image: busybox, command: [sleep, inf], {container}}}]}}\n"
    )
}

fn shell(kubectl: &Kubectl, pod: &str, script: &str) -> Result<String> {
    Ok(kubectl.ok(&["exec", pod, "--", "sh", "-c", script])?.trim_end().to_owned())
}

/// A PersistentVolume at a path of the node, and its claim; `mode` is `Filesystem` or `Block`.
fn local_volume(kubectl: &Kubectl, name: &str, path: &Path, mode: &str) -> Result<()> {
    let affinity = "nodeAffinity: {required: {nodeSelectorTerms: [{matchExpressions: [{key: kubernetes.io/hostname, \
                    operator: Exists}]}]}}";
    kubectl.apply(&format!(
        "apiVersion: v1\nkind: PersistentVolume\nmetadata: {{name: {name}}}\nspec: {{capacity: {{storage: 1Mi}}, \
         accessModes: [ReadWriteOnce], storageClassName: {name}, volumeMode: {mode}, local: {{path: {}}}, {affinity}}}\n\
         ---\napiVersion: v1\nkind: PersistentVolumeClaim\nmetadata: {{name: {name}}}\nspec: {{accessModes: \
         [ReadWriteOnce], storageClassName: {name}, volumeMode: {mode}, resources: {{requests: {{storage: 1Mi}}}}}}\n",
        path.display()
    ))?;
    kubectl.ok(&["wait", "--for=jsonpath={.status.phase}=Bound", &format!("pvc/{name}"), "--timeout=30s"]).map(drop)
}

fn claimed(name: &str) -> String {
    format!("volumes: [{{name: v, persistentVolumeClaim: {{claimName: {name}}}}}],")
}

fn a_group_owns_volumes_always_or_where_their_root_says_otherwise(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("fs-group")?;
    let root = cluster.scratch("fs-group")?;
    fs::create_dir(root.join("deep"))?;
    let file = root.join("deep/file");
    fs::write(&file, "text")?;
    local_volume(&kubectl, "shared", &root, "Filesystem")?;
    let run = |name: &str, policy: &str| -> Result<()> {
        let context = format!(
            "securityContext: {{runAsUser: 1000, fsGroup: 2345, fsGroupChangePolicy: {policy}}}, {}",
            claimed("shared")
        );
        kubectl.apply(&pod(name, &context, "volumeMounts: [{name: v, mountPath: /v}]"))?;
        kubectl.wait_ready(name)
    };
    run("always", "Always")?;
    let seen = shell(&kubectl, "always", "echo x > /v/deep/new && stat -c %g:%a /v /v/deep /v/deep/file /v/deep/new")?;
    let modes: Vec<&str> = seen.lines().collect();
    ensure!(modes == ["2345:2775", "2345:2775", "2345:664", "2345:644"], "{seen}");
    let groups = shell(&kubectl, "always", "id -G")?;
    ensure!(groups.split(' ').any(|group| group == "2345"), "{groups}");

    chown(&file, None, Some(7))?;
    run("mismatch", "OnRootMismatch")?;
    ensure!(fs::metadata(&file)?.gid() == 7, "the root is right, so nothing is looked at");
    chown(&root, None, Some(7))?;
    run("mismatched", "OnRootMismatch")?;
    ensure!((fs::metadata(&file)?.gid(), fs::metadata(&root)?.gid()) == (2345, 2345), "the root was not right");
    chown(&file, None, Some(7))?;
    run("again", "Always")?;
    ensure!(fs::metadata(&file)?.gid() == 2345, "always means always");
    Ok(())
}

fn a_group_reads_what_is_made_for_the_pod(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("fs-group-files")?;
    kubectl.ok(&["create", "secret", "generic", "s", "--from-literal=key=value"])?;
    let spec = "securityContext: {runAsUser: 1000, runAsGroup: 1000, fsGroup: 2345}, volumes: [{name: s, secret: \
                {secretName: s, defaultMode: 0400}}, {name: e, emptyDir: {}}],";
    let mounts = "volumeMounts: [{name: s, mountPath: /s}, {name: e, mountPath: /e}]";
    kubectl.apply(&pod("reader", spec, mounts))?;
    kubectl.wait_ready("reader")?;
    let token = "/var/run/secrets/kubernetes.io/serviceaccount/token";
    let seen = shell(&kubectl, "reader", &format!("cat /s/key; touch /e/x; stat -Lc %u:%g:%a /s/key /e /e/x {token}"))?;
    let seen: Vec<&str> = seen.lines().collect();
    ensure!(seen == ["value0:2345:440", "0:2345:2777", "1000:2345:644", "1000:2345:640"], "{seen:?}");
    Ok(())
}

/// A block device over a file; given back when dropped.
struct Device(PathBuf);

impl Device {
    fn over(file: &Path) -> Result<Self> {
        fs::write(file, vec![0; 1 << 20])?;
        let output = Command::new("losetup").args(["--find", "--show"]).arg(file).output()?;
        ensure!(output.status.success(), "losetup: {}", String::from_utf8_lossy(&output.stderr));
        Ok(Self(PathBuf::from(String::from_utf8(output.stdout)?.trim_end())))
    }
}

impl Drop for Device {
    fn drop(&mut self) {
        // Nothing can be done about a device that stays.
        let _ = Command::new("losetup").arg("--detach").arg(&self.0).status();
    }
}

fn a_device_is_a_volume(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("block")?;
    let file = cluster.scratch("block")?.join("disk");
    let device = Device::over(&file)?;
    local_volume(&kubectl, "disk", &device.0, "Block")?;
    let spec = "volumeDevices: [{name: v, devicePath: /dev/xvda}]";
    kubectl.apply(&pod("writer", &claimed("disk"), spec))?;
    kubectl.wait_ready("writer")?;
    let seen = shell(&kubectl, "writer", "stat -c %F /dev/xvda; echo here | dd of=/dev/xvda conv=fsync 2>/dev/null")?;
    ensure!(seen == "block special file", "{seen}");
    ensure!(fs::read(&file)?.starts_with(b"here\n"), "what is written is on the device");
    kubectl.ok(&["delete", "pod", "writer"])?;
    Ok(())
}

fn event(kubectl: &Kubectl, object: &str, text: &str) -> Result<()> {
    let uid = kubectl.text(object, "/metadata/uid")?;
    let deadline = Instant::now() + SOON;
    loop {
        let events =
            kubectl.ok(&["get", "events", "--field-selector", &format!("involvedObject.uid={uid}"), "-o", "json"])?;
        let events: serde_json::Value = serde_json::from_str(&events)?;
        let says = |event: &serde_json::Value| event["message"].as_str().is_some_and(|message| message.contains(text));
        if events["items"].as_array().is_some_and(|events| events.iter().any(says)) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "no event {text:?} about {object}: {events}");
        thread::sleep(Duration::from_millis(100));
    }
}

fn a_volume_is_not_taken_for_what_it_is_not(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("block-or-not")?;
    let root = cluster.scratch("block-or-not")?;
    local_volume(&kubectl, "directory", &root, "Filesystem")?;
    local_volume(&kubectl, "no-device", &root, "Block")?;
    let device = "volumeDevices: [{name: v, devicePath: /dev/xvda}]";
    let mount = "volumeMounts: [{name: v, mountPath: /v}]";
    kubectl.apply(&pod("as-device", &claimed("directory"), device))?;
    event(&kubectl, "pod/as-device", "volume v has volumeMode Filesystem, but is specified in volumeDevices")?;
    kubectl.apply(&pod("as-directory", &claimed("no-device"), mount))?;
    event(&kubectl, "pod/as-directory", "volume v has volumeMode Block, but is specified in volumeMounts")?;
    kubectl.apply(&pod("no-device", &claimed("no-device"), device))?;
    event(&kubectl, "pod/no-device", "is not a block device")
}

/// Mounts of the host; gone when dropped.
struct HostMount(PathBuf);

impl HostMount {
    fn tmpfs(directory: &Path) -> Result<Self> {
        fs::create_dir_all(directory)?;
        let status = Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(directory).status()?;
        ensure!(status.success(), "mount on {}", directory.display());
        let mount = Self(directory.to_owned());
        let status = Command::new("mount").arg("--make-shared").arg(directory).status()?;
        ensure!(status.success(), "share {}", directory.display());
        Ok(mount)
    }
}

impl Drop for HostMount {
    fn drop(&mut self) {
        // Nothing can be done about a mount that stays.
        let _ = Command::new("umount").args(["--recursive", "--lazy"]).arg(&self.0).status();
    }
}

fn mounts_propagate_as_asked(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("propagation")?;
    let shared = HostMount::tmpfs(&cluster.scratch("propagation")?.join("shared"))?;
    let spec = format!("volumes: [{{name: v, hostPath: {{path: {}}}}}],", shared.0.display());
    let modes = [("none", "None", false), ("slave", "HostToContainer", false), ("both", "Bidirectional", true)];
    for (name, mode, privileged) in modes {
        let mount = format!("volumeMounts: [{{name: v, mountPath: /v, mountPropagation: {mode}}}]");
        kubectl.apply(&pod(name, &spec, &format!("{mount}, securityContext: {{privileged: {privileged}}}")))?;
    }
    modes.iter().try_for_each(|(name, ..)| kubectl.wait_ready(name))?;
    let _below = HostMount::tmpfs(&shared.0.join("host"))?;
    fs::write(shared.0.join("host/file"), "")?;
    shell(&kubectl, "both", "mkdir /v/pod && mount -t tmpfs none /v/pod && touch /v/pod/file")?;
    ensure!(shared.0.join("pod/file").exists(), "what a container mounts reaches the host, where asked");
    let listed = |pod: &str| shell(&kubectl, pod, "cd /v; ls -d */file 2>/dev/null || true");
    let (none, slave, both) = (listed("none")?, listed("slave")?, listed("both")?);
    ensure!(none.is_empty() && slave == "host/file\npod/file" && both == slave, "{none:?} {slave:?} {both:?}");
    let refused =
        pod("unprivileged", &spec, "volumeMounts: [{name: v, mountPath: /v, mountPropagation: Bidirectional}]");
    let refused = kubectl.fails_with_input(&["apply", "-f", "-"], refused.as_bytes())?;
    ensure!(
        refused.contains("Bidirectional mount propagation is available only to privileged containers"),
        "{refused}"
    );
    kubectl.ok(&["delete", "pod", "--all"]).map(drop)
}

fn read_only_reaches_mounts_below_where_asked(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("recursively-read-only")?;
    let root = cluster.scratch("recursively-read-only")?;
    let _below = HostMount::tmpfs(&root.join("below"))?;
    let spec = format!("volumes: [{{name: v, hostPath: {{path: {}}}}}],", root.display());
    let possible = !cluster.lacks(Ability::Features);
    let modes = [("plain", "Disabled", false), ("possible", "IfPossible", possible), ("deep", "Enabled", true)];
    for (name, recursive, works) in modes.into_iter().take(if possible { 3 } else { 2 }) {
        let mount =
            format!("volumeMounts: [{{name: v, mountPath: /v, readOnly: true, recursiveReadOnly: {recursive}}}]");
        kubectl.apply(&pod(name, &spec, &mount))?;
        kubectl.wait_ready(name)?;
        let seen = shell(&kubectl, name, "touch /v/x 2>&1; touch /v/below/x 2>&1; true")?;
        let refused = seen.matches("Read-only file system").count();
        ensure!(refused == if works { 2 } else { 1 }, "{recursive}: {seen}");
        let reported = "/status/containerStatuses/0/volumeMounts/0/recursiveReadOnly";
        let reported = kubectl.text(&format!("pod/{name}"), reported)?;
        ensure!(reported == if works { "Enabled" } else { "Disabled" }, "{recursive}: {reported}");
    }
    kubectl.ok(&["delete", "pod", "--all"]).map(drop)
}

fn parts_of_a_volume_are_as_open_as_it_is(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("open-sub-paths")?;
    let mount = "volumeMounts: [{name: v, mountPath: /v, subPath: a/b}]";
    for (name, context, expected) in
        [("anybody", "runAsUser: 1000", "0:777"), ("group", "runAsUser: 1000, fsGroup: 2345", "2345:2777")]
    {
        let spec = format!("securityContext: {{{context}}}, volumes: [{{name: v, emptyDir: {{}}}}],");
        kubectl.apply(&pod(name, &spec, mount))?;
        kubectl.wait_ready(name)?;
        let seen = shell(&kubectl, name, "touch /v/mine && stat -c %g:%a /v")?;
        ensure!(seen == expected, "{name}: {seen}");
    }
    Ok(())
}

fn no_sub_path_leads_out_of_its_volume(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("sub-paths")?;
    let init = "initContainers: [{name: plant, image: busybox, command: [sh, -c, 'mkdir /v/in && echo in > /v/in/file && \
                ln -s in /v/link && ln -s / /v/out && ln -s ../../../../.. /v/up'], volumeMounts: [{name: v, mountPath: \
                /v}]}], volumes: [{name: v, emptyDir: {}}],";
    let mount = |sub_path: &str| format!("volumeMounts: [{{name: v, mountPath: /v, subPath: {sub_path}}}]");
    kubectl.apply(&pod("inside", init, &mount("link/file")))?;
    kubectl.apply(&pod("outside", init, &mount("out/etc")))?;
    kubectl.apply(&pod("upwards", init, &mount("up")))?;
    kubectl.wait_ready("inside")?;
    ensure!(shell(&kubectl, "inside", "cat /v")? == "in", "a link within the volume is fine");
    for name in ["outside", "upwards"] {
        let object = format!("pod/{name}");
        let state = "/status/containerStatuses/0/state/waiting";
        kubectl
            .wait_value(&object, &format!("{state}/reason"), SOON, |reason| reason == "CreateContainerConfigError")?;
        let message = kubectl.text(&object, &format!("{state}/message"))?;
        ensure!(
            message.starts_with("failed to prepare subPath for volumeMount \"v\" of container \"main\""),
            "{message}"
        );
    }
    let absolute = kubectl.fails_with_input(&["apply", "-f", "-"], pod("x", init, &mount("../x")).as_bytes())?;
    ensure!(absolute.contains("must not contain '..'"), "{absolute}");
    Ok(())
}

fn secrets_stay_in_memory(cluster: &Cluster) -> Result<()> {
    let kubectl = cluster.namespace("secret-files")?;
    kubectl.ok(&["create", "secret", "generic", "s", "--from-literal=key=very-secret"])?;
    let spec = "volumes: [{name: s, secret: {secretName: s}}],";
    kubectl.apply(&pod("reader", spec, "volumeMounts: [{name: s, mountPath: /s}]"))?;
    kubectl.wait_ready("reader")?;
    let uid = kubectl.text("pod/reader", "/metadata/uid")?;
    let pod_dir = cluster.data_dir().join("kubelet/pods").join(uid);
    let volumes = pod_dir.join("volumes");
    let table = fs::read_to_string("/proc/self/mounts")?;
    for directory in ["kubernetes.io~secret/s".to_owned(), projected(&volumes)?] {
        let directory = volumes.join(directory);
        let line = table.lines().find(|line| line.split(' ').nth(1) == directory.to_str());
        let line = line.with_context(|| format!("nothing is mounted on {}", directory.display()))?;
        ensure!(line.starts_with("tmpfs ") && line.contains("nosuid"), "{line}");
    }
    // Whoever is nobody on the host does not get as far as the files' own modes.
    let open: Vec<_> =
        pod_dir.ancestors().take_while(|path| *path != cluster.data_dir().parent().unwrap_or(path)).collect();
    let closed = |path: &&Path| fs::metadata(path).is_ok_and(|metadata| metadata.mode() & 0o007 == 0);
    ensure!(open.iter().any(closed), "everybody on the host may go to {}", pod_dir.display());
    kubectl.ok(&["delete", "pod", "reader"])?;
    // Without grace the object goes first.
    let deadline = Instant::now() + SOON;
    while fs::read_to_string("/proc/self/mounts")?.contains(&pod_dir.display().to_string()) {
        ensure!(Instant::now() < deadline, "mounts are left");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

/// The volume with the Pod's token.
fn projected(volumes: &Path) -> Result<String> {
    let entry = fs::read_dir(volumes.join("kubernetes.io~projected"))?.next().context("a token's volume")??;
    Ok(format!("kubernetes.io~projected/{}", entry.file_name().to_string_lossy()))
}
