//! One running cluster.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::containerd::Containerd;
use crate::images::{ImageServer, project_root};
use crate::kubectl::Kubectl;
use crate::ranges::Ranges;

const NODE_NAME: &str = "node-1";
const READY_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Lines of the server's log to show after a failure.
const LOG_LINES_SHOWN: usize = 80;

/// What runs containers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Runtime {
    /// What `ISOPOD_TEST_RUNTIME` says: `containerd`, or the embedded one.
    #[default]
    Chosen,
    /// The embedded one.
    Embedded,
    /// A containerd of the cluster's own.
    Containerd,
}

impl Runtime {
    fn is_containerd(self) -> bool {
        match self {
            Self::Chosen => std::env::var("ISOPOD_TEST_RUNTIME").is_ok_and(|name| name == "containerd"),
            Self::Embedded => false,
            Self::Containerd => true,
        }
    }
}

/// What to start.
#[derive(Debug, Default)]
pub struct Options {
    /// More flags for `isopod server`.
    pub flags: Vec<String>,
    /// More of `registries.yaml`'s `mirrors:` and `configs:`, as text that follows what the harness writes.
    pub registries: String,
    /// What runs containers.
    pub runtime: Runtime,
    /// A cluster whose credentials and Service addresses this one has as well: for servers on one store.
    pub beside: Option<Beside>,
}

/// What servers on one store share.
#[derive(Debug, Clone)]
pub struct Beside {
    credentials: PathBuf,
    service_cidr: String,
}

/// A cluster with everything of its own; removed from the host when dropped.
pub struct Cluster {
    /// Ends after the cluster was removed, which needs it, and before its directory is.
    containerd: Option<Containerd>,
    binary: PathBuf,
    root: TempDir,
    flags: Vec<String>,
    images: ImageServer,
    server: Mutex<Option<Child>>,
    service_cidr: String,
    /// Held as long as the cluster lives.
    _ranges: Ranges,
}

impl Cluster {
    /// Starts a cluster and waits until its node is ready.
    ///
    /// # Errors
    /// When it does not get there; the server's log is part of the error.
    pub fn start(options: Options) -> Result<Self> {
        let binary = binary()?;
        let root = tempfile::Builder::new().prefix("isopod-test-").tempdir()?;
        let images = ImageServer::start(registry::Options::default())?;
        let registries = root.path().join("registries.yaml");
        fs::write(&registries, images.registry().registries_yaml() + &options.registries)?;
        let port = free_port()?;
        let mut ranges = Ranges::take()?;
        if let Some(left_behind) = ranges.left_behind() {
            remove_what_was_left(&binary, left_behind, &ranges).with_context(|| format!("removing {left_behind:?}"))?;
        }
        ranges.belong_to(root.path())?;
        let data_dir = root.path().join("data");
        if let Some(beside) = &options.beside {
            copy_files(&beside.credentials, &data_dir.join("tls"))?;
        }
        let service_cidr = options.beside.map_or_else(|| ranges.service_cidr(), |beside| beside.service_cidr);
        let mut flags = vec![
            format!("--data-dir={}", data_dir.display()),
            format!("--https-listen-port={port}"),
            format!("--cluster-cidr={}", ranges.cluster_cidr()),
            format!("--service-cidr={service_cidr}"),
            format!("--private-registry={}", registries.display()),
        ];
        if !options.flags.iter().any(|flag| flag.starts_with("--eviction-hard")) {
            // A full disk of the machine that runs the tests is no reason for Pods to go.
            flags.push("--eviction-hard=memory.available<50Mi".to_owned());
        }
        flags.extend(options.flags);
        let containerd = match options.runtime.is_containerd() {
            true => Some(Containerd::start(
                &root.path().join("containerd"),
                &format!("http://{}", images.registry().address()),
                &ranges,
            )?),
            false => None,
        };
        flags.extend(containerd.as_ref().map(|one| format!("--container-runtime-endpoint={}", one.endpoint())));
        let server = Mutex::new(None);
        let cluster = Self { binary, root, flags, images, server, containerd, service_cidr, _ranges: ranges };
        cluster.start_server()?;
        Ok(cluster)
    }

    /// For another cluster on the same store.
    pub fn beside(&self) -> Beside {
        Beside { credentials: self.data_dir().join("tls"), service_cidr: self.service_cidr.clone() }
    }

    /// Starts the server again after [`Cluster::kill_server`] or [`Cluster::stop_server`]; waits until it is ready.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_server(&self) -> Result<()> {
        self.start_server_as(NODE_NAME)
    }

    /// The same, as a node of another name: what runs already is of Pods that this node knows nothing of.
    ///
    /// # Errors
    /// When it does not get ready.
    pub fn start_server_as(&self, node_name: &str) -> Result<()> {
        let log = File::options().create(true).append(true).open(self.log_path())?;
        let mut child = Command::new(&self.binary)
            .arg("server")
            .args(&self.flags)
            .arg(format!("--node-name={node_name}"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .spawn()
            .with_context(|| format!("starting {:?}", self.binary))?;
        let lines = BufReader::new(child.stdout.take().expect("piped"));
        let (sender, ready) = mpsc::channel();
        thread::spawn(move || copy_lines(lines, log, &sender));
        *self.lock_server() = Some(child);
        match ready.recv_timeout(READY_TIMEOUT) {
            Ok(()) => Ok(()),
            Err(_) => bail!("the server did not get ready; it said:\n{}", self.log_tail()),
        }
    }

    /// Kills the server as a crash would.
    ///
    /// # Errors
    /// When it is not running.
    pub fn kill_server(&self) -> Result<()> {
        let mut child = self.lock_server().take().context("the server is not running")?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Stops the server in good order.
    ///
    /// # Errors
    /// When it does not end in time or not with success.
    pub fn stop_server(&self) -> Result<()> {
        self.end_server(Signal::TERM)
    }

    /// Tells the server that the machine is about to stop; returns when it has ended all Pods and itself.
    ///
    /// # Errors
    /// When it does not end in time or not with success.
    pub fn power_off(&self) -> Result<()> {
        self.end_server(Signal::POWER)
    }

    fn end_server(&self, signal: Signal) -> Result<()> {
        let mut child = self.lock_server().take().context("the server is not running")?;
        kill_process(Pid::from_child(&child), signal)?;
        let deadline = Instant::now() + STOP_TIMEOUT;
        while Instant::now() < deadline {
            if let Some(status) = child.try_wait()? {
                ensure!(status.success(), "the server ended with {status}; it said:\n{}", self.log_tail());
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        child.kill()?;
        child.wait()?;
        bail!("the server did not stop within {STOP_TIMEOUT:?}; it said:\n{}", self.log_tail())
    }

    /// Removes everything of the cluster from the host.
    ///
    /// # Errors
    /// What `isopod reset` says.
    pub fn reset(&self) -> Result<()> {
        reset(&self.binary, &self.data_dir())?;
        if let Some(mut child) = self.lock_server().take() {
            child.wait()?;
        }
        Ok(())
    }

    /// Runs another command of the binary on the same data directory.
    ///
    /// # Errors
    /// When it can't be started.
    pub fn isopod(&self, arguments: &[&str]) -> Result<std::process::Output> {
        let data_dir = format!("--data-dir={}", self.data_dir().display());
        Command::new(&self.binary)
            .args(arguments)
            .arg(data_dir)
            .output()
            .with_context(|| format!("running isopod {arguments:?}"))
    }

    /// The binary under test.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// PID of the server.
    ///
    /// # Errors
    /// When it is not running.
    pub fn server_pid(&self) -> Result<u32> {
        Ok(self.lock_server().as_ref().context("the server is not running")?.id())
    }

    /// Whether a containerd of the cluster's own runs its containers.
    pub fn uses_containerd(&self) -> bool {
        self.containerd.is_some()
    }

    /// Where a containerd of the cluster's own keeps everything; it ends with the cluster.
    pub fn containerd_dir(&self) -> PathBuf {
        self.root.path().join("containerd")
    }

    /// Where the cluster keeps its state.
    pub fn data_dir(&self) -> PathBuf {
        self.root.path().join("data")
    }

    /// A directory for a test's own files.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn scratch(&self, name: &str) -> Result<PathBuf> {
        let path = self.root.path().join("scratch").join(name);
        fs::create_dir_all(&path)?;
        Ok(path)
    }

    /// The registry that mirrors docker.io.
    pub fn images(&self) -> &ImageServer {
        &self.images
    }

    /// `kubectl` as the administrator, in the default namespace.
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(self.data_dir().join("admin.kubeconfig"), "default")
    }

    /// `kubectl` in a new namespace that has its default ServiceAccount.
    ///
    /// # Errors
    /// When the namespace can't be made.
    pub fn namespace(&self, name: &str) -> Result<Kubectl> {
        self.kubectl().apply(&format!("apiVersion: v1\nkind: Namespace\nmetadata:\n  name: {name}\n"))?;
        let kubectl = Kubectl::new(self.data_dir().join("admin.kubeconfig"), name);
        kubectl.ok(&["wait", "--for=create", "serviceaccount/default", "--timeout=20s"])?;
        Ok(kubectl)
    }

    /// One of the project's example manifests.
    ///
    /// # Errors
    /// When there is no such file.
    pub fn example(&self, name: &str) -> Result<String> {
        let path = project_root().join("examples").join(name);
        fs::read_to_string(&path).with_context(|| format!("reading {path:?}"))
    }

    /// What to look at after a failure.
    pub fn diagnose(&self) -> String {
        let kubectl = self.kubectl();
        let ask = |arguments: &[&str]| kubectl.run(arguments).map_or_else(|error| error.to_string(), |out| out.both());
        let pods = ask(&["get", "pods", "-A", "-o", "wide"]);
        let events = ask(&["get", "events", "-A"]);
        let containerd = self.containerd.as_ref().map(|one| last_lines(&one.log())).unwrap_or_default();
        format!("{pods}\n{events}\n{}\n{containerd}", self.log_tail())
    }

    fn log_path(&self) -> PathBuf {
        self.root.path().join("server.log")
    }

    fn log_tail(&self) -> String {
        last_lines(&fs::read_to_string(self.log_path()).unwrap_or_default())
    }

    fn lock_server(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !self.data_dir().exists() {
            return;
        }
        if let Err(error) = self.reset() {
            eprintln!("the cluster could not be removed: {error:#}\n{}", self.log_tail());
        }
        if let Some(mut child) = self.lock_server().take() {
            // Only after a reset that failed, which was reported.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn reset(binary: &Path, data_dir: &Path) -> Result<()> {
    let output = Command::new(binary).arg("reset").arg("--data-dir").arg(data_dir).output()?;
    ensure!(output.status.success(), "isopod reset failed: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

/// A test that was killed leaves its cluster running, and with it the bridge that has these ranges.
fn remove_what_was_left(binary: &Path, root: &Path, ranges: &Ranges) -> Result<()> {
    let containerd = root.join("containerd");
    let again = containerd.exists().then(|| Containerd::start_again(&containerd, ranges)).transpose()?;
    reset(binary, &root.join("data"))?;
    drop(again);
    Ok(fs::remove_dir_all(root)?)
}

fn last_lines(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LOG_LINES_SHOWN)..].join("\n")
}

/// Copies the server's lines into its log; says when the one comes that tells of the ready node.
fn copy_lines(lines: impl BufRead, mut log: File, ready: &mpsc::Sender<()>) {
    for line in lines.lines() {
        let Ok(line) = line else { return };
        // A log that can't be written to is no reason to stop reading, which would stop the server.
        let _ = writeln!(log, "{line}");
        if line.starts_with("Node ") && line.contains("Ready") {
            let _ = ready.send(());
        }
    }
}

/// The binary under test.
fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("ISOPOD_BIN") {
        return Ok(PathBuf::from(path));
    }
    let executable = std::env::current_exe()?;
    let profile = executable.parent().and_then(Path::parent).context("tests run from target/<profile>/deps")?;
    let path = profile.join("isopod");
    ensure!(path.exists(), "{path:?} is missing: run `cargo build -p isopod`, or set ISOPOD_BIN");
    Ok(path)
}

/// Copies the files of a directory, which are secrets.
fn copy_files(from: &Path, to: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    for file in fs::read_dir(from).with_context(|| format!("reading {from:?}"))? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

/// A port of loopback that nobody listens on.
pub fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
