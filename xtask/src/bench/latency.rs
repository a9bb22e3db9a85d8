//! How soon what changed is seen: a probe's verdict in the API, a ConfigMap in the container.

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{ConfigMap, Pod};
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use serde_json::json;

use super::cluster::Cluster;
use super::pods::{NAMESPACE, is_ready};
use super::report::{Report, Samples};

/// How often each is measured.
const ROUNDS: usize = 10;
const TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks at the file: the precision of what is measured.
const LOOK: Duration = Duration::from_millis(1);

/// Readiness and ConfigMaps.
pub async fn measure(cluster: &Cluster, image: &str, report: &mut Report) -> Result<()> {
    let client = cluster.client()?;
    let readiness = readiness(&client, image).await?;
    report.line("readiness: verdict to the Pod's condition", readiness);
    let config_map = config_map(&client, cluster.data_directory(), image).await?;
    report.line("ConfigMap: change to the file in the Pod", config_map);
    Ok(())
}

/// From the moment that a probe is answered otherwise than before to the Pod's condition, both ways.
async fn readiness(client: &Client, image: &str) -> Result<Samples> {
    let health = Health::serve()?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let probe = json!({
        "httpGet": { "host": "127.0.0.1", "port": health.port },
        "periodSeconds": 1, "failureThreshold": 1,
    });
    create(&pods, "flips", json!([container(image, json!({ "readinessProbe": probe }))]), json!([])).await?;
    let mut version = until_ready(&pods, "flips", "0", true).await?;
    let mut samples = Samples::default();
    for round in 0..ROUNDS {
        let is_healthy = round % 2 == 1;
        health.turn(is_healthy);
        version = until_ready(&pods, "flips", &version, is_healthy).await?;
        let seen = Instant::now();
        let answered = health.turned.recv_timeout(TIMEOUT).context("the probe never came")?;
        samples.push(seen.saturating_duration_since(answered));
    }
    pods.delete("flips", &DeleteParams::default().grace_period(0)).await.context("delete the Pod")?;
    Ok(samples)
}

/// From the API's answer to a change to the file that the container sees.
async fn config_map(client: &Client, data_directory: &Path, image: &str) -> Result<Samples> {
    let maps: Api<ConfigMap> = Api::namespaced(client.clone(), NAMESPACE);
    let object = serde_json::from_value(json!({ "metadata": { "name": "settings" }, "data": { "key": "start" } }))?;
    maps.create(&PostParams::default(), &object).await.context("create a ConfigMap")?;
    let pods: Api<Pod> = Api::namespaced(client.clone(), NAMESPACE);
    let mount = json!({ "volumeMounts": [{ "name": "settings", "mountPath": "/settings" }] });
    let volumes = json!([{ "name": "settings", "configMap": { "name": "settings" } }]);
    create(&pods, "reader", json!([container(image, mount)]), volumes).await?;
    until_ready(&pods, "reader", "0", true).await?;
    let uid = pods.get("reader").await?.metadata.uid.context("a Pod has a UID")?;
    let volume = data_directory.join("kubelet/pods").join(uid).join("volumes/kubernetes.io~configmap/settings/key");
    let mut samples = Samples::default();
    for round in 0..ROUNDS {
        let text = format!("round {round}");
        let patch = json!({ "data": { "key": text } });
        maps.patch("settings", &PatchParams::default(), &Patch::Merge(patch)).await.context("change the ConfigMap")?;
        let changed = Instant::now();
        while std::fs::read_to_string(&volume).context("read the file of the volume")? != text {
            ensure!(changed.elapsed() < TIMEOUT, "the file never changed");
            tokio::time::sleep(LOOK).await;
        }
        samples.push(changed.elapsed());
    }
    pods.delete("reader", &DeleteParams::default().grace_period(0)).await.context("delete the Pod")?;
    Ok(samples)
}

fn container(image: &str, more: serde_json::Value) -> serde_json::Value {
    let mut container = json!({
        "name": "main", "image": image, "imagePullPolicy": "IfNotPresent", "command": ["sleep", "3600"],
    });
    let fields = container.as_object_mut().expect("it is an object");
    fields.extend(more.as_object().expect("it is an object").clone());
    container
}

async fn create(pods: &Api<Pod>, name: &str, containers: serde_json::Value, volumes: serde_json::Value) -> Result<()> {
    let pod = json!({ "metadata": { "name": name }, "spec": { "containers": containers, "volumes": volumes } });
    let created = pods.create(&PostParams::default(), &serde_json::from_value(pod)?).await;
    created.map(|_| ()).with_context(|| format!("create Pod {name}"))
}

/// Waits until the Pod is Ready, or is not; returns the version that said so.
async fn until_ready(pods: &Api<Pod>, name: &str, version: &str, wanted: bool) -> Result<String> {
    let only = WatchParams::default().fields(&format!("metadata.name={name}"));
    let watch = pods.watch(&only, version).await.context("watch a Pod")?;
    let mut watch = std::pin::pin!(watch);
    let wait = async {
        while let Some(event) = watch.try_next().await.context("watch a Pod")? {
            if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) = event
                && is_ready(&pod) == wanted
            {
                return Ok(pod.metadata.resource_version.unwrap_or_default());
            }
        }
        anyhow::bail!("the watch of Pod {name} ended")
    };
    tokio::time::timeout(TIMEOUT, wait).await.with_context(|| format!("Pod {name}: Ready is not {wanted}"))?
}

/// Answers probes, and tells when it first answered otherwise.
struct Health {
    port: u16,
    is_healthy: Arc<AtomicBool>,
    turned: Receiver<Instant>,
}

impl Health {
    fn serve() -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listen for probes")?;
        let port = listener.local_addr().context("listen for probes")?.port();
        let is_healthy = Arc::new(AtomicBool::new(true));
        let (sender, turned) = mpsc::channel();
        let state = is_healthy.clone();
        // Ends with the process: nothing else would end its waiting for connections.
        std::thread::spawn(move || answer_all(&listener, &state, &sender));
        Ok(Self { port, is_healthy, turned })
    }

    fn turn(&self, is_healthy: bool) {
        self.is_healthy.store(is_healthy, Ordering::SeqCst);
    }
}

fn answer_all(listener: &TcpListener, is_healthy: &AtomicBool, turned: &Sender<Instant>) {
    let mut before = true;
    for connection in listener.incoming() {
        let now = is_healthy.load(Ordering::SeqCst);
        // A probe that went away gets its answer next time.
        if connection.is_ok_and(|connection| answer(connection, now).is_ok()) && now != before {
            before = now;
            let _ = turned.send(Instant::now());
        }
    }
}

fn answer(mut connection: TcpStream, is_healthy: bool) -> std::io::Result<()> {
    let mut lines = BufReader::new(connection.try_clone()?).lines();
    while lines.next().transpose()?.is_some_and(|line| !line.is_empty()) {}
    let status = if is_healthy { "200 OK" } else { "503 Service Unavailable" };
    write!(connection, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
}
