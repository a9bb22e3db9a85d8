//! What lists and watches cost the server: bytes are counted, not decoded, so that the client costs little.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};
use http::Request;
use http::header::ACCEPT;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client};
use platform::tasks::{TaskKind, spawn};
use serde_json::json;
use tokio::sync::mpsc;

use super::cluster::Cluster;
use super::report::{Report, mebibytes, milliseconds};

const NAMESPACE: &str = "fan-out";
const JSON: &str = "application/json";
const PROTOBUF: &str = "application/vnd.kubernetes.protobuf";
const TABLE: &str = "application/json;as=Table;v=v1;g=meta.k8s.io";
/// What a watch in protobuf is asked for by.
const PROTOBUF_WATCH: &str = "application/vnd.kubernetes.protobuf;stream=watch";
/// How often the list is asked for.
const LISTS: usize = 10;
/// Makers of those objects at a time.
const MAKERS: usize = 16;
/// Changes that every watcher is told of.
const CHANGES: usize = 50;
/// No change takes longer to arrive.
const ARRIVES: Duration = Duration::from_secs(60);

/// The changes of one object told to many watchers, then long lists, in the forms clients ask for.
pub async fn measure(cluster: &Cluster, watchers: usize, listed: usize, report: &mut Report) -> Result<()> {
    let client = cluster.client()?;
    namespace(&client).await?;
    for (name, accept) in [("JSON", JSON), ("protobuf", PROTOBUF_WATCH)] {
        watch(cluster, watchers, name, accept, report).await?;
    }
    fill(cluster, listed).await?;
    for (name, accept, query) in [
        ("JSON", JSON, ""),
        ("protobuf", PROTOBUF, ""),
        ("Table", TABLE, ""),
        ("JSON, one in ten by label", JSON, "?labelSelector=tenth%3D0"),
    ] {
        list(cluster, &format!("list of {listed}, {name}"), request(&format!("configmaps{query}"), accept)?, report)
            .await?;
    }
    Ok(())
}

async fn namespace(client: &Client) -> Result<()> {
    let api: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": NAMESPACE}}))?;
    api.create(&PostParams::default(), &namespace).await.context("make a namespace")?;
    Ok(())
}

fn config_map(name: &str, labels: &serde_json::Value) -> Result<ConfigMap> {
    let object = json!({"metadata": {"name": name, "labels": labels}, "data": {"content": "x".repeat(1024)}});
    serde_json::from_value(object).context("a ConfigMap")
}

async fn fill(cluster: &Cluster, listed: usize) -> Result<()> {
    let (sender, mut done) = mpsc::channel(MAKERS);
    for maker in 0..MAKERS {
        let (api, sender) = (Api::<ConfigMap>::namespaced(cluster.client()?, NAMESPACE), sender.clone());
        let make = async move {
            for number in (maker..listed).step_by(MAKERS) {
                let object = config_map(&format!("listed-{number}"), &json!({"tenth": (number % 10).to_string()}))?;
                api.create(&PostParams::default(), &object).await.context("make a ConfigMap")?;
            }
            anyhow::Ok(())
        };
        // The receiver is gone only after another's failure.
        spawn(TaskKind::Worker, "maker", async move { drop(sender.send(make.await).await) });
    }
    drop(sender);
    while let Some(outcome) = done.recv().await {
        outcome?;
    }
    Ok(())
}

fn request(path: &str, accept: &str) -> Result<Request<Vec<u8>>> {
    Ok(Request::get(format!("/api/v1/namespaces/{NAMESPACE}/{path}")).header(ACCEPT, accept).body(Vec::new())?)
}

async fn list(cluster: &Cluster, name: &str, request: Request<Vec<u8>>, report: &mut Report) -> Result<()> {
    let client = cluster.client()?;
    let read = || async {
        let mut body = Box::pin(client.request_stream(request.clone()).await?);
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).await?;
        anyhow::Ok(bytes.len())
    };
    let size = read().await?; // the first one may encode what later ones share
    let (before, start) = (cluster.server().usage()?.cpu, Instant::now());
    for _ in 0..LISTS {
        read().await?;
    }
    let elapsed = start.elapsed() / u32::try_from(LISTS)?;
    let cpu = cluster.server().usage()?.cpu.saturating_sub(before) / u32::try_from(LISTS)?;
    report.line(
        name,
        format!("{}, {} of server CPU, {}", milliseconds(elapsed), milliseconds(cpu), mebibytes(size as u64)),
    );
    Ok(())
}

async fn watch(cluster: &Cluster, watchers: usize, name: &str, accept: &str, report: &mut Report) -> Result<()> {
    let api: Api<ConfigMap> = Api::namespaced(cluster.client()?, NAMESPACE);
    let object = format!("watched-{}", name.to_lowercase());
    api.create(&PostParams::default(), &config_map(&object, &json!({}))?).await.context("make a ConfigMap")?;
    let idle = cluster.server().memory()?.private_bytes;
    let path = format!("configmaps?watch=1&fieldSelector=metadata.name={object}");
    let (sender, mut events) = mpsc::channel(1024);
    for _ in 0..watchers {
        let (client, sender) = (cluster.client()?, sender.clone());
        let body = client.request_stream(request(&path, accept)?).await.context("watch")?;
        let binary = accept != JSON;
        spawn(TaskKind::Worker, "watcher", async move {
            let mut body = Box::pin(body);
            while frame(&mut body, binary).await.is_ok() {
                if sender.send(()).await.is_err() {
                    return;
                }
            }
        });
    }
    drop(sender);
    arrive(&mut events, watchers).await?;
    let held = cluster.server().memory()?.private_bytes.saturating_sub(idle) / watchers.max(1) as u64;
    let (before, start) = (cluster.server().usage()?.cpu, Instant::now());
    for change in 0..CHANGES {
        let patch = json!({"data": {"change": change.to_string()}});
        api.patch(&object, &PatchParams::default(), &Patch::Merge(&patch)).await.context("change the ConfigMap")?;
        arrive(&mut events, watchers).await?;
    }
    let count = (watchers * CHANGES) as f64;
    let cpu = cluster.server().usage()?.cpu.saturating_sub(before);
    report.line(
        &format!("watch fan-out to {watchers}, {name}"),
        format!(
            "{:.0} events/s, {:.1} us of server CPU each; {:.1} KiB per watch and connection",
            count / start.elapsed().as_secs_f64(),
            cpu.as_secs_f64() * 1e6 / count,
            held as f64 / 1024.0
        ),
    );
    Ok(())
}

/// Reads one event.
async fn frame(body: &mut (impl AsyncBufRead + Unpin), binary: bool) -> std::io::Result<()> {
    if binary {
        let mut length = [0; 4];
        body.read_exact(&mut length).await?;
        let mut event = vec![0; u32::from_be_bytes(length) as usize];
        return body.read_exact(&mut event).await;
    }
    let mut line = Vec::new();
    match body.read_until(b'\n', &mut line).await? {
        0 => Err(std::io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// Waits for so many events.
async fn arrive(events: &mut mpsc::Receiver<()>, count: usize) -> Result<()> {
    for arrived in 0..count {
        let event = tokio::time::timeout(ARRIVES, events.recv()).await;
        ensure!(matches!(event, Ok(Some(()))), "{arrived} of {count} events came");
    }
    Ok(())
}
