//! A server of our own: started, watched until Ready, and removed.

use std::fs::File;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Node;
use kube::api::{ListParams, WatchEvent, WatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use rustix::process::{Pid, Signal};

use super::Arguments;
use super::processes::{Family, Process};

/// A server that takes longer than this is broken.
const START_TIMEOUT: Duration = Duration::from_secs(60);
const STOP_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two attempts to reach a server that starts: the precision of what is measured.
const RETRY: Duration = Duration::from_millis(1);

/// How to start it.
#[derive(Debug)]
pub struct Settings {
    binary: PathBuf,
    data_directory: PathBuf,
    log: PathBuf,
    flags: Vec<String>,
}

/// How long it took from `exec`.
#[derive(Debug, Clone, Copy)]
pub struct StartTimes {
    /// Until `/readyz` said ok.
    pub api_ready: Duration,
    /// Until the Node's Ready condition was true.
    pub node_ready: Duration,
}

/// A server that is Ready, and the way to talk to it.
#[derive(Debug)]
pub struct Cluster {
    server: Server,
    config: Config,
}

/// The server's process. Dropping it stops it and removes what it made.
#[derive(Debug)]
struct Server {
    settings: Settings,
    /// `None` while it does not run.
    child: Option<Child>,
    started: Instant,
}

impl Settings {
    /// A server with its files in `scratch`.
    pub fn new(arguments: &Arguments, scratch: &Path) -> Result<Self> {
        let port = match arguments.port {
            Some(port) => port,
            None => TcpListener::bind("127.0.0.1:0").context("find a free port")?.local_addr()?.port(),
        };
        let scratch = scratch.canonicalize().context("find the scratch directory")?;
        let data_directory = scratch.join("data");
        let flag = |name: &str, value: &str| [name.to_owned(), value.to_owned()];
        let mut flags = vec!["server".to_owned()];
        flags.extend(flag("--data-dir", &data_directory.to_string_lossy()));
        flags.extend(flag("--https-listen-port", &port.to_string()));
        flags.extend(flag("--cluster-cidr", &arguments.cluster_cidr));
        flags.extend(flag("--service-cidr", &arguments.service_cidr));
        flags.extend(flag("--node-name", "bench"));
        // Room for the full node beside the others.
        flags.extend(flag("--max-pods", "1000"));
        flags.extend(flag("--node-cidr-mask-size", "22"));
        flags.extend(arguments.server.iter().cloned());
        let binary = &arguments.binary;
        let binary = binary.canonicalize().with_context(|| format!("find {}", binary.display()))?;
        Ok(Self { binary, data_directory, log: scratch.join("server.log"), flags })
    }

    fn spawn(&self) -> Result<Child> {
        let log = File::options().create(true).append(true).open(&self.log).context("open the server's log")?;
        let mut command = Command::new(&self.binary);
        command.args(&self.flags).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        command.spawn().with_context(|| format!("start {}", self.binary.display()))
    }

    fn isopod(&self, arguments: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).arg("--data-dir").arg(&self.data_directory);
        let output = command.output().with_context(|| format!("run isopod {arguments:?}"))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "isopod {arguments:?}: {}: {}", output.status, complaint.trim());
        Ok(())
    }

    /// The end of what the server said.
    fn last_words(&self) -> String {
        let log = std::fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Cluster {
    /// Starts a server and waits until its Node is Ready.
    pub async fn start(settings: Settings) -> Result<(Self, StartTimes)> {
        let mut server = Server { settings, child: None, started: Instant::now() };
        server.spawn()?;
        let config = server.kubeconfig().await?;
        let times = server.ready(&config).await?;
        Ok((Self { server, config }, times))
    }

    /// A client with connections of its own.
    pub fn client(&self) -> Result<Client> {
        Client::try_from(self.config.clone()).context("make a client")
    }

    /// The server's process.
    pub fn server(&self) -> Process {
        Process::new(self.server.child.as_ref().expect("it runs until it is removed").id())
    }

    /// All its processes.
    pub fn family(&self) -> Result<Family> {
        Family::find(self.server(), &self.server.settings.binary, &self.server.settings.data_directory)
    }

    /// Where the server keeps everything.
    pub fn data_directory(&self) -> &Path {
        &self.server.settings.data_directory
    }

    /// Another command of the binary on the same data directory.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.server.settings.binary);
        command.args(arguments).arg("--data-dir").arg(&self.server.settings.data_directory);
        command
    }

    /// Imports images.
    pub fn import(&self, archive: &Path) -> Result<()> {
        self.server.settings.isopod(&["images", "import", &archive.to_string_lossy()])
    }

    /// Stops the server and starts it again on what it left.
    pub async fn restart(&mut self) -> Result<StartTimes> {
        self.server.stop()?;
        self.server.spawn()?;
        self.server.ready(&self.config).await
    }

    /// Stops the server and removes everything it made.
    pub fn remove(mut self) -> Result<()> {
        self.server.stop()?;
        self.server.settings.isopod(&["reset"])
    }
}

impl Server {
    fn spawn(&mut self) -> Result<()> {
        self.started = Instant::now();
        self.child = Some(self.settings.spawn()?);
        Ok(())
    }

    /// Waits for the kubeconfig, which the first start makes.
    async fn kubeconfig(&mut self) -> Result<Config> {
        let path = self.settings.data_directory.join("admin.kubeconfig");
        loop {
            // The file may be there and still be written.
            if let Ok(kubeconfig) = Kubeconfig::read_from(&path) {
                let options = KubeConfigOptions::default();
                let mut config = Config::from_custom_kubeconfig(kubeconfig, &options).await.context("use it")?;
                config.default_retry = false;
                return Ok(config);
            }
            self.check("made no kubeconfig")?;
            tokio::time::sleep(RETRY).await;
        }
    }

    /// Waits for the API, then for the Node.
    async fn ready(&mut self, config: &Config) -> Result<StartTimes> {
        let client = Client::try_from(config.clone()).context("make a client")?;
        loop {
            let request = http::Request::get("/readyz").body(Vec::new()).context("ask for /readyz")?;
            let Err(error) = client.request_text(request).await else { break };
            self.check(&format!("is not ready ({error})"))?;
            tokio::time::sleep(RETRY).await;
        }
        let api_ready = self.started.elapsed();
        node_ready(&client).await.with_context(|| self.settings.last_words())?;
        Ok(StartTimes { api_ready, node_ready: self.started.elapsed() })
    }

    fn check(&mut self, problem: &str) -> Result<()> {
        let child = self.child.as_mut().context("the server does not run")?;
        if let Some(status) = child.try_wait().context("look after the server")? {
            bail!("the server ended: {status}\n{}", self.settings.last_words());
        }
        ensure!(self.started.elapsed() < START_TIMEOUT, "the server {problem}\n{}", self.settings.last_words());
        Ok(())
    }

    fn stop(&mut self) -> Result<()> {
        self.child.take().map_or(Ok(()), |mut child| stop(&mut child))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            let outcome = self.stop().and_then(|()| self.settings.isopod(&["reset"]));
            if let Err(error) = outcome {
                eprintln!("{} may be left behind: {error:#}", self.settings.data_directory.display());
            }
        }
    }
}

/// Asks the server to stop, unless it has ended, and waits until it has.
fn stop(server: &mut Child) -> Result<()> {
    if server.try_wait().context("look after the server")?.is_some() {
        return Ok(());
    }
    let pid = Pid::from_child(server);
    rustix::process::kill_process(pid, Signal::TERM).context("stop the server")?;
    let deadline = Instant::now() + STOP_TIMEOUT;
    while server.try_wait().context("wait for the server")?.is_none() {
        if Instant::now() > deadline {
            server.kill().context("kill the server")?;
            server.wait().context("wait for the server")?;
            bail!("the server did not stop in {STOP_TIMEOUT:?} and was killed");
        }
        std::thread::sleep(RETRY);
    }
    Ok(())
}

async fn node_ready(client: &Client) -> Result<()> {
    tokio::time::timeout(START_TIMEOUT, watch_until_ready(client)).await.context("the Node is not Ready")?
}

async fn watch_until_ready(client: &Client) -> Result<()> {
    let nodes: Api<Node> = Api::all(client.clone());
    loop {
        let list = nodes.list(&ListParams::default()).await.context("list Nodes")?;
        if list.items.iter().any(is_ready) {
            return Ok(());
        }
        let version = list.metadata.resource_version.unwrap_or_default();
        let watch = nodes.watch(&WatchParams::default(), &version).await.context("watch Nodes")?;
        let mut watch = std::pin::pin!(watch);
        while let Some(event) = watch.try_next().await.context("watch Nodes")? {
            if let WatchEvent::Added(node) | WatchEvent::Modified(node) = event
                && is_ready(&node)
            {
                return Ok(());
            }
        }
    }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}
