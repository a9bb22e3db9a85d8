//! What a watcher costs that reads nothing while much changes.

use std::time::Duration;

use anyhow::{Context, Result};
use futures::AsyncReadExt;
use http::Request;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use platform::tasks::{TaskKind, spawn};
use serde_json::json;
use tokio::sync::mpsc;

use super::cluster::Cluster;
use super::report::{Report, mebibytes};

const NAMESPACE: &str = "default";
const WATCH: &str = "/api/v1/namespaces/default/configmaps?watch=1";
/// Those who change something, each an object of its own.
const WRITERS: usize = 16;
const DATA_BYTES: usize = 1024;
/// A dropped watch ends so soon after its reader has woken up.
const ENDS: Duration = Duration::from_secs(60);

/// So many changes pass a watcher that does not read: the server's memory stays, and the watcher is dropped.
pub async fn measure(cluster: &Cluster, changes: usize, report: &mut Report) -> Result<()> {
    let client = cluster.client()?;
    let watch = Request::get(WATCH).body(Vec::new())?;
    let mut body = Box::pin(client.request_stream(watch).await.context("watch")?);
    // The first round fills what the server keeps for those who come back.
    change(cluster, "first", changes / 2).await?;
    let before = cluster.server().memory()?.private_bytes;
    change(cluster, "second", changes - changes / 2).await?;
    let after = cluster.server().memory()?.private_bytes;
    let mut events = Vec::new();
    let read = tokio::time::timeout(ENDS, body.read_to_end(&mut events)).await;
    let end = if read.is_ok() { "dropped" } else { "still held" };
    let told = events.iter().filter(|byte| **byte == b'\n').count();
    report.line(
        &format!("a reader asleep for {changes} changes"),
        format!("{end} after {told} events; memory {} half way, {} then", mebibytes(before), mebibytes(after)),
    );
    Ok(())
}

/// Makes objects and changes them, so often in all.
async fn change(cluster: &Cluster, round: &str, changes: usize) -> Result<()> {
    let (sender, mut done) = mpsc::channel(WRITERS);
    for writer in 0..WRITERS {
        let (api, sender) = (Api::<ConfigMap>::namespaced(cluster.client()?, NAMESPACE), sender.clone());
        let name = format!("unread-{round}-{writer}");
        let write = async move { rewrite(&api, &name, changes / WRITERS).await };
        // The receiver is gone only after another's failure.
        spawn(TaskKind::Worker, "writer", async move { drop(sender.send(write.await).await) });
    }
    drop(sender);
    while let Some(outcome) = done.recv().await {
        outcome?;
    }
    Ok(())
}

async fn rewrite(api: &Api<ConfigMap>, name: &str, times: usize) -> Result<()> {
    let object = json!({"metadata": {"name": name}, "data": {"content": "x".repeat(DATA_BYTES)}});
    let object = serde_json::from_value(object).context("a ConfigMap")?;
    api.create(&PostParams::default(), &object).await.context("make a ConfigMap")?;
    for time in 1..times {
        let patch = json!({"data": {"time": time.to_string()}});
        api.patch(name, &PatchParams::default(), &Patch::Merge(&patch)).await.context("change a ConfigMap")?;
    }
    Ok(())
}
