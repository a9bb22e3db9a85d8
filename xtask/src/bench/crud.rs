//! How many API operations a server does, and what each costs it.

use std::time::Instant;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use platform::tasks::{TaskKind, spawn};
use serde_json::json;
use tokio::sync::mpsc;

use super::cluster::Cluster;
use super::report::Report;

const NAMESPACE: &str = "default";
/// Size of each ConfigMap's data.
const DATA_BYTES: usize = 1024;

/// One kind of operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Operation {
    Create,
    Get,
    Replace,
    MergePatch,
    Apply,
    Delete,
}

const OPERATIONS: [Operation; 6] =
    [Operation::Create, Operation::Get, Operation::Replace, Operation::MergePatch, Operation::Apply, Operation::Delete];

impl Operation {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Get => "get",
            Self::Replace => "replace",
            Self::MergePatch => "merge patch",
            Self::Apply => "server-side apply",
            Self::Delete => "delete",
        }
    }
}

/// A client with its own connection and its own objects.
struct Worker {
    api: Api<ConfigMap>,
    objects: Vec<ConfigMap>,
}

/// Each operation on 1 KiB ConfigMaps, by so many clients at a time.
pub async fn measure(cluster: &Cluster, clients: usize, per_client: usize, report: &mut Report) -> Result<()> {
    let mut workers = Vec::new();
    for client in 0..clients {
        let api = Api::namespaced(cluster.client()?, NAMESPACE);
        // Connects, so that the handshake is not measured.
        api.list(&ListParams::default().limit(1)).await.context("list ConfigMaps")?;
        let names = (0..per_client).map(|n| config_map(&format!("bench-{clients}-{client}-{n}")));
        workers.push(Worker { api, objects: names.collect() });
    }
    let plural = if clients == 1 { "" } else { "s" };
    for operation in OPERATIONS {
        let count = clients * per_client;
        let before = cluster.server().usage()?;
        let start = Instant::now();
        workers = run(workers, operation).await?;
        let elapsed = start.elapsed().as_secs_f64();
        let after = cluster.server().usage()?;
        let cpu = after.cpu.saturating_sub(before.cpu).as_secs_f64() * 1e6 / count as f64;
        let written = after.written_bytes.saturating_sub(before.written_bytes) as f64 / 1024.0 / count as f64;
        report.line(
            &format!("{}, {clients} client{plural}", operation.name()),
            format!("{:.0}/s; each {cpu:.0} us of server CPU, {written:.1} KiB written", count as f64 / elapsed),
        );
    }
    Ok(())
}

/// All workers at once, each with all its objects.
async fn run(workers: Vec<Worker>, operation: Operation) -> Result<Vec<Worker>> {
    let count = workers.len();
    let (sender, mut done) = mpsc::channel(count.max(1));
    for worker in workers {
        let sender = sender.clone();
        spawn(TaskKind::Worker, "bench-client", async move {
            // The receiver is gone only after another worker's failure.
            let _ = sender.send(worker.run(operation).await).await;
        });
    }
    drop(sender);
    let mut workers = Vec::new();
    while let Some(worker) = done.recv().await {
        workers.push(worker?);
    }
    anyhow::ensure!(workers.len() == count, "a client panicked");
    Ok(workers)
}

impl Worker {
    async fn run(mut self, operation: Operation) -> Result<Self> {
        for object in &mut self.objects {
            let done = apply(&self.api, operation, object).await;
            done.with_context(|| format!("{} {}", operation.name(), name(object)))?;
        }
        Ok(self)
    }
}

async fn apply(api: &Api<ConfigMap>, operation: Operation, object: &mut ConfigMap) -> Result<(), kube::Error> {
    let name = name(object);
    *object = match operation {
        Operation::Create => api.create(&PostParams::default(), object).await?,
        Operation::Get => api.get(&name).await?,
        Operation::Replace => {
            object.data.get_or_insert_default().insert("replaced".to_owned(), "yes".to_owned());
            api.replace(&name, &PostParams::default(), object).await?
        }
        Operation::MergePatch => {
            let patch = json!({ "metadata": { "labels": { "patched": "yes" } } });
            api.patch(&name, &PatchParams::default(), &Patch::Merge(&patch)).await?
        }
        Operation::Apply => {
            let applied = json!({
                "apiVersion": "v1", "kind": "ConfigMap",
                "metadata": { "name": name }, "data": { "applied": "yes" },
            });
            api.patch(&name, &PatchParams::apply("bench"), &Patch::Apply(&applied)).await?
        }
        Operation::Delete => {
            api.delete(&name, &DeleteParams::default()).await?;
            return Ok(());
        }
    };
    Ok(())
}

fn name(object: &ConfigMap) -> String {
    object.metadata.name.clone().unwrap_or_default()
}

fn config_map(name: &str) -> ConfigMap {
    let data = json!({ "metadata": { "name": name }, "data": { "content": "x".repeat(DATA_BYTES) } });
    serde_json::from_value(data).expect("it is a ConfigMap")
}
