//! What workloads cost at size, on nodes without containers.

use std::collections::BTreeSet;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use serde_json::json;

use super::cluster::Cluster;
use super::idle;
use super::pods::rate;
use super::report::Report;

/// Hollow nodes, each with room for so many Pods.
const NODES: usize = 100;
const PODS_PER_NODE: usize = 250;
/// Replicas of the one large Deployment.
const LARGE: usize = 1000;
/// Small Deployments, and the replicas of each.
const SMALL: (usize, usize) = (1000, 3);
/// Requests at a time.
const CLIENTS: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(600);
/// Without heartbeats nodes count as gone after 50 seconds; nothing of that may be measured.
const IDLE_MAX: Duration = Duration::from_secs(30);

/// `isopod hollow`, ended when dropped.
struct Hollow(Child);

impl Drop for Hollow {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Scales one Deployment up, makes many small ones, and looks at the server while nothing happens.
pub async fn measure(cluster: &Cluster, idle_period: Duration, report: &mut Report) -> Result<()> {
    let nodes = format!("--nodes={NODES}");
    let pods = format!("--capacity=pods={PODS_PER_NODE}");
    let mut command = cluster.command(&["hollow", &nodes, &pods, "--capacity=cpu=64", "--capacity=memory=256Gi"]);
    let hollow = Hollow(command.stdin(Stdio::null()).stderr(Stdio::null()).spawn().context("start hollow nodes")?);
    let deployments: Api<Deployment> = Api::default_namespaced(cluster.client()?);

    deployments.create(&PostParams::default(), &deployment("large", 0)?).await.context("make a Deployment")?;
    let (begin, cpu) = (Instant::now(), cluster.server().usage()?.cpu);
    let replicas = Patch::Merge(json!({ "spec": { "replicas": LARGE } }));
    deployments.patch_scale("large", &PatchParams::default(), &replicas).await.context("scale it")?;
    until_ready(cluster, LARGE).await?;
    let cpu = cluster.server().usage()?.cpu.saturating_sub(cpu);
    report.line("one Deployment, 0 to 1,000 replicas", line(LARGE, begin.elapsed(), cpu));
    deployments.delete("large", &DeleteParams::foreground()).await.context("delete it")?;
    until_gone(cluster).await?;

    let (begin, cpu) = (Instant::now(), cluster.server().usage()?.cpu);
    let create = |number: usize| {
        let deployments = deployments.clone();
        async move {
            let deployment = deployment(&format!("small-{number}"), SMALL.1)?;
            deployments.create(&PostParams::default(), &deployment).await.context("make a Deployment").map(drop)
        }
    };
    stream::iter(0..SMALL.0).map(create).buffer_unordered(CLIENTS).try_collect::<Vec<()>>().await?;
    until_ready(cluster, SMALL.0 * SMALL.1).await?;
    let cpu = cluster.server().usage()?.cpu.saturating_sub(cpu);
    report.line("1,000 Deployments of 3", line(SMALL.0 * SMALL.1, begin.elapsed(), cpu));
    drop(hollow);
    idle::measure(cluster, "3,000 hollow Pods", idle_period.min(IDLE_MAX), report).await?;
    deployments.delete_collection(&DeleteParams::foreground(), &ListParams::default()).await.context("delete them")?;
    Ok(())
}

fn line(pods: usize, time: Duration, cpu: Duration) -> String {
    let each = cpu.as_secs_f64() * 1e3 / pods as f64;
    format!("{}, {each:.2} ms CPU per Pod", rate(pods, time))
}

fn deployment(name: &str, replicas: usize) -> Result<Deployment> {
    let labels = json!({ "app": name });
    let deployment = json!({
        "metadata": { "name": name },
        "spec": { "replicas": replicas, "selector": { "matchLabels": labels }, "template": {
            "metadata": { "labels": labels },
            "spec": { "nodeSelector": { "node.isopod.io/hollow": "true" },
                      "containers": [{ "name": "c", "image": "nothing" }] } } },
    });
    Ok(serde_json::from_value(deployment)?)
}

/// Waits until so many Pods are Ready.
async fn until_ready(cluster: &Cluster, count: usize) -> Result<()> {
    let is_ready = |pod: &Pod| {
        let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
        conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
    };
    follow(cluster, is_ready, |ready| ready >= count).await.with_context(|| format!("wait for {count} Pods"))
}

/// Waits until there is no Pod.
async fn until_gone(cluster: &Cluster) -> Result<()> {
    follow(cluster, |_| true, |pods| pods == 0).await.context("wait until all Pods are gone")
}

/// Watches the Pods until as many `count` as are `enough`.
async fn follow(cluster: &Cluster, counts: impl Fn(&Pod) -> bool, enough: impl Fn(usize) -> bool) -> Result<()> {
    let pods: Api<Pod> = Api::default_namespaced(cluster.client()?);
    let watch = async {
        let mut events = std::pin::pin!(watcher(pods, watcher::Config::default()));
        let mut counted = BTreeSet::new();
        let mut listed = false;
        while let Some(event) = events.next().await {
            match event {
                Ok(Event::Apply(pod) | Event::InitApply(pod)) => {
                    let name = pod.metadata.name.clone().unwrap_or_default();
                    if counts(&pod) {
                        counted.insert(name)
                    } else {
                        counted.remove(&name)
                    };
                }
                Ok(Event::Delete(pod)) => drop(counted.remove(&pod.metadata.name.unwrap_or_default())),
                Ok(Event::Init) => counted.clear(),
                Ok(Event::InitDone) => listed = true,
                Err(error) => say_broken(&error),
            }
            if listed && enough(counted.len()) {
                return Ok(());
            }
        }
        bail!("the watch ended")
    };
    tokio::time::timeout(TIMEOUT, watch).await.context("that takes too long")?
}

/// A watch that breaks is begun again; whoever reads the figures should know.
fn say_broken(error: &watcher::Error) {
    eprintln!("the watch on Pods broke: {error}");
}
