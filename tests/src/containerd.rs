//! A containerd of a test's own: its directories, socket, Pod network and images, beside whatever the host has.
//!
//! Needs Debian's containerd, runc, iptables and containernetworking-plugins (`tools.sh`).

use std::fs::{self, File};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};

use crate::host;
use crate::images;
use crate::ranges::Ranges;

const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(15);
/// Where Debian puts the CNI plugins.
const CNI_PLUGINS: &str = "/usr/lib/cni";
/// What sandboxes hold their namespaces with.
const PAUSE_IMAGE: &str = "docker.io/library/pause:isopod-test";

/// A running containerd; ends with everything it made when dropped.
pub struct Containerd {
    root: PathBuf,
    bridge: String,
    process: Child,
}

impl Containerd {
    /// Starts one below a directory, with the Pod addresses of `ranges` and `registry` in the place of docker.io.
    ///
    /// # Errors
    /// When it does not get ready; its log is part of the error.
    pub fn start(root: &Path, registry: &str, ranges: &Ranges) -> Result<Self> {
        let bridge = bridge(ranges);
        fs::create_dir_all(root.join("cni"))?;
        fs::create_dir_all(root.join("registries/docker.io"))?;
        fs::write(root.join("config.toml"), configuration(root))?;
        fs::write(root.join("cni/10-test.conflist"), network(root, &bridge, &ranges.pod_subnet()))?;
        fs::write(
            root.join("registries/docker.io/hosts.toml"),
            format!("server = \"{registry}\"\n[host.\"{registry}\"]\ncapabilities = [\"pull\", \"resolve\"]\n"),
        )?;
        let containerd = Self::launch(root, bridge)?;
        containerd.import_pause_image()?;
        Ok(containerd)
    }

    /// Starts one again that ended, or whose test did, without removing what it had made.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_again(root: &Path, ranges: &Ranges) -> Result<Self> {
        Self::launch(root, bridge(ranges))
    }

    fn launch(root: &Path, bridge: String) -> Result<Self> {
        let log = File::options().create(true).append(true).open(root.join("log"))?;
        let process = Command::new("containerd")
            .arg("--config")
            .arg(root.join("config.toml"))
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .context("starting containerd (tools.sh installs it)")?;
        let containerd = Self { root: root.to_owned(), bridge, process };
        containerd.wait_until_up()?;
        Ok(containerd)
    }

    /// For `--container-runtime-endpoint`.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its last words.
    pub fn log(&self) -> String {
        fs::read_to_string(self.root.join("log")).unwrap_or_default()
    }

    fn socket(&self) -> PathBuf {
        self.root.join("containerd.sock")
    }

    fn wait_until_up(&self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        while UnixStream::connect(self.socket()).is_err() {
            ensure!(Instant::now() < deadline, "containerd did not get ready; it said:\n{}", self.log());
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// Makes an image that only waits, of the busybox one.
    fn import_pause_image(&self) -> Result<()> {
        let (stage, archive) = (self.root.join("pause"), self.root.join("pause.tar"));
        fs::create_dir_all(&stage)?;
        images::archive(Some("--docker"), "docker.io/library/busybox:latest", &archive)?;
        run(Command::new("tar").arg("-C").arg(&stage).arg("-xf").arg(&archive))?;
        rewrite(&stage.join("config.json"), |config| {
            config["config"]["Cmd"] = serde_json::json!(["sleep", "infinity"])
        })?;
        rewrite(&stage.join("manifest.json"), |manifest| manifest[0]["RepoTags"] = serde_json::json!([PAUSE_IMAGE]))?;
        run(Command::new("tar").arg("-C").arg(&stage).arg("-cf").arg(&archive).arg("."))?;
        let mut import = Command::new("ctr");
        run(import.arg("--address").arg(self.socket()).args(["-n", "k8s.io", "images", "import"]).arg(&archive))
    }

    /// Shims and containers are not containerd's children: they are told by its directory in their command lines.
    fn kill_leftovers(&self) -> Result<()> {
        let root = self.root.to_string_lossy().into_owned();
        for process in host::running()?.into_iter().filter(|process| process.command.contains(&root)) {
            if let Some(pid) = i32::try_from(process.pid).ok().and_then(Pid::from_raw) {
                // One that has just ended by itself is as good.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let points = mounts.lines().filter_map(|line| line.split(' ').nth(4)).filter(|point| point.starts_with(&root));
        for point in points.collect::<Vec<_>>().into_iter().rev() {
            unmount(point, UnmountFlags::DETACH)?;
        }
        Ok(())
    }
}

impl Drop for Containerd {
    fn drop(&mut self) {
        // One that has ended is waited for below all the same.
        let _ = kill_process(Pid::from_child(&self.process), Signal::TERM);
        let deadline = Instant::now() + STOP_TIMEOUT;
        while matches!(self.process.try_wait(), Ok(None)) && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(20));
        }
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Err(error) = self.kill_leftovers() {
            eprintln!("something of containerd is left: {error:#}");
        }
        if let Err(error) = forget_host_ports() {
            eprintln!("rules for host ports are left: {error:#}");
        }
        // The bridge plugin leaves its bridge; there is none when no Pod ever ran.
        let _ = Command::new("ip").args(["link", "delete", &self.bridge]).stderr(Stdio::null()).status();
    }
}

fn bridge(ranges: &Ranges) -> String {
    format!("isotest-{}", ranges.slot())
}

fn configuration(root: &Path) -> String {
    let root = root.display();
    // Host-wide things are left alone: /opt, network namespaces by name, scores that only a privileged host may set.
    format!(
        r#"version = 2
root = "{root}/root"
state = "{root}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
address = "{root}/containerd.sock"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "{PAUSE_IMAGE}"
netns_mounts_under_state_dir = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "{CNI_PLUGINS}"
conf_dir = "{root}/cni"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
Root = "{root}/runc"
[plugins."io.containerd.grpc.v1.cri".registry]
config_path = "{root}/registries"
"#
    )
}

fn network(root: &Path, bridge: &str, subnet: &str) -> String {
    let ipam = serde_json::json!({
        "type": "host-local",
        "dataDir": root.join("addresses"),
        "ranges": [[{"subnet": subnet}]],
        "routes": [{"dst": "0.0.0.0/0"}],
    });
    let plugins = serde_json::json!([
        {"type": "bridge", "bridge": bridge, "isGateway": true, "hairpinMode": true, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": true}},
    ]);
    serde_json::json!({"cniVersion": "1.0.0", "name": bridge, "plugins": plugins}).to_string()
}

/// The plugin for host ports leaves the chains that it shares among all Pods of a host; they go when nobody uses them.
fn forget_host_ports() -> Result<()> {
    let nat = |arguments: &str| Command::new("sh").arg("-c").arg(format!("iptables -w -t nat {arguments}")).output();
    let rules = String::from_utf8(nat("-S")?.stdout)?;
    let in_use = rules.lines().any(|rule| rule.starts_with("-A CNI-HOSTPORT-DNAT") || rule.starts_with("-A CNI-DN-"));
    if in_use {
        return Ok(());
    }
    for rule in rules.lines().filter(|rule| rule.contains("-j CNI-HOSTPORT-")) {
        // As it was listed, quotes included.
        nat(&rule.replacen("-A", "-D", 1))?;
    }
    for chain in
        rules.lines().filter_map(|rule| rule.strip_prefix("-N ").filter(|chain| chain.starts_with("CNI-HOSTPORT-")))
    {
        nat(&format!("-F {chain}"))?;
        nat(&format!("-X {chain}"))?;
    }
    Ok(())
}

fn rewrite(path: &Path, change: impl FnOnce(&mut serde_json::Value)) -> Result<()> {
    let mut value = serde_json::from_slice(&fs::read(path)?)?;
    change(&mut value);
    // The file may be a link to one of the image layout.
    fs::remove_file(path)?;
    Ok(fs::write(path, value.to_string())?)
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().with_context(|| format!("running {command:?}"))?;
    ensure!(output.status.success(), "{command:?} failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}
