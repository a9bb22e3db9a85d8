//! Clients of other makers list, watch and resume while the server dies and comes back: kube-rs's watcher and the Python
//! client. Each must see every write once.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client, Config, ResourceExt as _};
use serde_json::json;
use tests::http::Proxy;
use tests::{Cluster, Options, Stream, cases, suite};
use tokio_util::sync::CancellationToken;

const SOON: Duration = Duration::from_secs(60);
/// Writes, and after how many of them the server dies.
const WRITES: usize = 60;
const KILL_EVERY: usize = 15;
const NAMESPACE: &str = "watched";

fn main() -> ExitCode {
    let cases = cases![every_write_is_seen_once_across_restarts, a_stop_lets_requests_finish];
    suite::run(|| Ok([start()?, start()?]), cases, |clusters| clusters.iter().map(Cluster::diagnose).collect())
}

fn start() -> Result<Cluster> {
    Cluster::start(Options::default())
}

/// The versions a watcher has seen, in order, with the names of the objects.
type Seen = Vec<(String, String)>;

fn every_write_is_seen_once_across_restarts([cluster, _]: &[Cluster; 2]) -> Result<()> {
    cluster.namespace(NAMESPACE)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let client = runtime.block_on(client(&cluster.data_dir().join("admin.kubeconfig")))?;
    let python = Python::start(cluster)?;
    let rust = Rust::start(&runtime, client.clone());
    rust.wait_until_listed()?;
    let written = write(cluster, &runtime, &client)?;
    ensure!(written.len() == WRITES, "{} writes", written.len());
    let wait = |watcher: &str, seen: &dyn Fn() -> Result<Seen>| -> Result<()> {
        let deadline = Instant::now() + SOON;
        while seen()?.len() < written.len() && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(50));
        }
        let seen = seen()?;
        ensure!(seen == written, "{watcher} has seen {seen:?}, written were {written:?}");
        Ok(())
    };
    wait("kube-rs", &|| Ok(rust.seen()))?;
    wait("Python", &|| python.seen())
}

async fn client(kubeconfig: &Path) -> Result<Client> {
    let kubeconfig = Kubeconfig::read_from(kubeconfig)?;
    Ok(Client::try_from(Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default()).await?)?)
}

/// Changes three objects in turn, killing the server in between; returns the versions this made.
fn write(cluster: &Cluster, runtime: &tokio::runtime::Runtime, client: &Client) -> Result<Seen> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let mut written = Seen::new();
    for number in 0..WRITES {
        if number % KILL_EVERY == KILL_EVERY - 1 {
            cluster.kill_server()?;
            cluster.start_server()?;
        }
        let name = format!("object-{}", number % 3);
        let version = runtime.block_on(put(&api, &name, number))?;
        written.push((name, version));
    }
    Ok(written)
}

/// Writes a number until it is there; connections of before a restart fail.
async fn put(api: &Api<ConfigMap>, name: &str, number: usize) -> Result<String> {
    let value = number.to_string();
    let data = BTreeMap::from([("number".to_owned(), value.clone())]);
    let deadline = Instant::now() + SOON;
    loop {
        let outcome = match api.get_opt(name).await {
            Ok(Some(there)) if there.data.as_ref() == Some(&data) => Ok(there),
            Ok(Some(mut there)) => {
                there.data = Some(data.clone());
                api.replace(name, &kube::api::PostParams::default(), &there).await
            }
            Ok(None) => {
                let object = json!({"metadata": {"name": name}, "data": data});
                let object = serde_json::from_value(object).context("a ConfigMap")?;
                api.create(&kube::api::PostParams::default(), &object).await
            }
            Err(error) => Err(error),
        };
        match outcome {
            Ok(object) => return object.resource_version().context("a written object has a version"),
            Err(error) if Instant::now() > deadline => return Err(error).context("writing"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// kube-rs's watcher.
struct Rust {
    state: Arc<Mutex<RustState>>,
    end: CancellationToken,
}

#[derive(Default)]
struct RustState {
    listed: usize,
    seen: Seen,
}

impl Rust {
    fn start(runtime: &tokio::runtime::Runtime, client: Client) -> Self {
        let (state, end) = (Arc::<Mutex<RustState>>::default(), CancellationToken::new());
        let (shared, ended) = (state.clone(), end.clone());
        let api: Api<ConfigMap> = Api::namespaced(client, NAMESPACE);
        let config = watcher::Config::default().fields("metadata.name!=kube-root-ca.crt");
        let follow = async move {
            let mut events = std::pin::pin!(watcher(api, config).default_backoff());
            while let Some(event) = events.next().await {
                let mut state = shared.lock().unwrap_or_else(PoisonError::into_inner);
                match event {
                    Ok(Event::InitDone) => state.listed += 1,
                    Ok(Event::Apply(object) | Event::InitApply(object)) => {
                        let version = object.resource_version().unwrap_or_default();
                        state.seen.push((object.name_any(), version));
                    }
                    Ok(Event::Init | Event::Delete(_)) | Err(_) => {}
                }
            }
        };
        let handle = runtime.handle().clone();
        thread::spawn(move || handle.block_on(ended.run_until_cancelled(follow)));
        Self { state, end }
    }

    fn wait_until_listed(&self) -> Result<()> {
        let deadline = Instant::now() + SOON;
        while self.state.lock().unwrap_or_else(PoisonError::into_inner).listed == 0 {
            ensure!(Instant::now() < deadline, "kube-rs's watcher does not get its first list");
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn seen(&self) -> Seen {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).seen.clone()
    }
}

impl Drop for Rust {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

/// The Python client, in an environment of its own.
struct Python {
    process: Stream,
}

const SCRIPT: &str = "
import sys, time, urllib3
from kubernetes import client, config, watch
config.load_kube_config(sys.argv[1])
api = client.CoreV1Api()
def items():
    return api.list_namespaced_config_map(sys.argv[2], field_selector='metadata.name!=kube-root-ca.crt')
version = items().metadata.resource_version
print('LISTED', flush=True)
while True:
    try:
        stream = watch.Watch().stream(
            api.list_namespaced_config_map, sys.argv[2], resource_version=version, timeout_seconds=30,
            field_selector='metadata.name!=kube-root-ca.crt')
        for event in stream:
            meta = event['object'].metadata
            version = meta.resource_version
            print('SEEN', meta.name, version, flush=True)
    except (urllib3.exceptions.HTTPError, OSError):
        time.sleep(0.05)
    except client.exceptions.ApiException as error:
        print('API', error.status, error.reason, flush=True)
        sys.exit(1)
";

impl Python {
    fn start(cluster: &Cluster) -> Result<Self> {
        let script = cluster.scratch("python")?.join("watcher.py");
        fs::write(&script, SCRIPT)?;
        let mut command = Command::new("timeout");
        command.args(["--kill-after=5", "300"]).arg(python()?).arg(script);
        command.arg(cluster.data_dir().join("admin.kubeconfig")).arg(NAMESPACE);
        let process = Stream::start(command)?;
        process.wait_for(SOON, |said| said.contains("LISTED"))?;
        Ok(Self { process })
    }

    fn seen(&self) -> Result<Seen> {
        let said = self.process.wait_for(Duration::ZERO, |_| true)?;
        ensure!(!said.contains("API ") && !said.contains("Traceback"), "{said}");
        let line = |line: &str| {
            let (name, version) = line.strip_prefix("SEEN ")?.split_once(' ')?;
            Some((name.to_owned(), version.to_owned()))
        };
        Ok(said.lines().filter_map(line).collect())
    }
}

/// A stop ends watches at once, and lets requests that are under way finish.
fn a_stop_lets_requests_finish([_, cluster]: &[Cluster; 2]) -> Result<()> {
    let kubectl = cluster.kubectl();
    kubectl.ok(&["create", "clusterrolebinding", "slow", "--clusterrole=cluster-admin", "--user=slow"])?;
    let proxy = Proxy::start(&kubectl, &["--as=slow"])?;
    let body = "{\"metadata\":{\"name\":\"slow\"}";
    let mut slow = proxy.send("POST", "/api/v1/namespaces/default/configmaps", body, 1)?;
    let executing = "current_executing_requests{flow_schema=\"global-default\",priority_level=\"global-default\"} 1\n";
    let deadline = Instant::now() + SOON;
    while !kubectl.ok(&["get", "--raw", "/metrics"])?.contains(executing) {
        ensure!(Instant::now() < deadline, "the request does not arrive");
        thread::sleep(Duration::from_millis(50));
    }
    let mut watch = kubectl.stream(&["get", "--raw", "/api/v1/namespaces?watch=1"])?;
    watch.wait_for(SOON, |said| said.contains("ADDED"))?;
    thread::scope(|scope| {
        let stopped = scope.spawn(|| cluster.stop_server());
        let (code, said) = watch.wait(SOON)?;
        ensure!(code == Some(0), "the watch ended with {said}");
        slow.send("}")?;
        let answer = slow.answer()?;
        ensure!(answer.code == 201, "{answer:?}");
        stopped.join().expect("it does not panic")
    })?;
    cluster.start_server()?;
    cluster.kubectl().ok(&["get", "configmap", "slow"])?;
    Ok(())
}

/// A Python that has the client: in `target/python/client`, made by `tools.sh`, or now.
fn python() -> Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the tests stand in the root")?;
    let made = Command::new(root.join("tests/python.sh")).output().context("running tests/python.sh")?;
    ensure!(made.status.success(), "tests/python.sh: {}", String::from_utf8_lossy(&made.stderr));
    Ok(PathBuf::from(String::from_utf8(made.stdout)?.trim()))
}
