//! How fast Pods start and go.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use futures::future::try_join_all;
use futures::{Stream, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{DeleteParams, ListParams, PostParams, WatchEvent, WatchParams};
use kube::{Api, Client};
use platform::tasks::{TaskKind, spawn};
use serde_json::json;
use tokio::sync::mpsc;

use super::cluster::Cluster;
use super::report::{Report, Samples, mebibytes, milliseconds};

/// Where the bench makes its objects.
pub const NAMESPACE: &str = "bench";
/// A Pod that takes longer than this is broken.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Ends at once when told to, so that deleting measures isopod and not a grace period.
const SCRIPT: &str = "trap 'exit 0' TERM; sleep 3600 & wait";

/// Pods one after the other, then all at once.
pub async fn measure(cluster: &Cluster, image: &str, count: usize, report: &mut Report) -> Result<Pods> {
    let client = cluster.client()?;
    create_namespace(&client).await?;
    let mut pods = Pods::watch(client, image.to_owned()).await?;
    let first = pods.one("first").await?;
    report.line("first Pod: create to Ready", milliseconds(first.ready));
    sequential(&mut pods, count, report).await?;
    burst(&mut pods, count, cluster, report).await?;
    Ok(pods)
}

async fn sequential(pods: &mut Pods, count: usize, report: &mut Report) -> Result<()> {
    let (mut running, mut ready, mut gone) = (Samples::default(), Samples::default(), Samples::default());
    for n in 0..count {
        let times = pods.one(&format!("seq-{n}")).await?;
        running.push(times.running);
        ready.push(times.ready);
        gone.push(times.gone);
    }
    report.line(&format!("create to Running, {count} Pods in sequence"), running);
    report.line(&format!("create to Ready, {count} Pods in sequence"), ready);
    report.line(&format!("delete to gone, {count} Pods in sequence"), gone);
    Ok(())
}

async fn burst(pods: &mut Pods, count: usize, cluster: &Cluster, report: &mut Report) -> Result<()> {
    let names: Vec<String> = (0..count).map(|n| format!("burst-{n}")).collect();
    let start = Instant::now();
    try_join_all(names.iter().map(|name| pods.create(name))).await?;
    for name in &names {
        pods.until(name, |seen| seen.ready).await?;
    }
    let elapsed = start.elapsed();
    report.line(&format!("burst of {count} Pods, all Ready"), rate(count, elapsed));
    shims(cluster, report)?;
    let start = Instant::now();
    try_join_all(names.iter().map(|name| pods.delete(name))).await?;
    for name in &names {
        pods.until(name, |seen| seen.gone).await?;
    }
    report.line(&format!("the {count} Pods deleted"), rate(count, start.elapsed()));
    Ok(())
}

/// `2.00 s = 25.0 Pods/s`.
pub fn rate(count: usize, elapsed: Duration) -> String {
    format!("{:.2} s = {:.1} Pods/s", elapsed.as_secs_f64(), count as f64 / elapsed.as_secs_f64())
}

/// Memory of the shims while the burst's Pods run.
fn shims(cluster: &Cluster, report: &mut Report) -> Result<()> {
    super::idle::memory(cluster, "memory with these Pods (PSS)", report)?;
    let family = cluster.family()?;
    let Some(shim) = family.shims.first() else { bail!("no shim was found among the processes") };
    report.line("one shim: private memory", mebibytes(shim.memory()?.private_bytes));
    if let Some(pause) = family.pauses.first() {
        report.line("one pause: private memory", mebibytes(pause.memory()?.private_bytes));
    }
    Ok(())
}

async fn create_namespace(client: &Client) -> Result<()> {
    let namespace = serde_json::from_value::<Namespace>(json!({ "metadata": { "name": NAMESPACE } }))?;
    Api::all(client.clone()).create(&PostParams::default(), &namespace).await.context("create a Namespace")?;
    Ok(())
}

/// When what happened to a Pod was first seen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Seen {
    /// Phase Running.
    pub running: Option<Instant>,
    /// Condition Ready.
    pub ready: Option<Instant>,
    /// Deleted.
    pub gone: Option<Instant>,
}

/// How long one Pod took.
struct Times {
    running: Duration,
    ready: Duration,
    gone: Duration,
}

/// The Pods of the bench's Namespace, watched.
pub struct Pods {
    api: Api<Pod>,
    image: String,
    seen: HashMap<String, Seen>,
    events: mpsc::Receiver<(Instant, Result<WatchEvent<Pod>, kube::Error>)>,
}

impl Pods {
    async fn watch(client: Client, image: String) -> Result<Self> {
        let api: Api<Pod> = Api::namespaced(client, NAMESPACE);
        let version = api.list(&ListParams::default()).await.context("list Pods")?.metadata.resource_version;
        let (sender, events) = mpsc::channel(10_000);
        let watched = api.clone();
        // A task of its own, so that events get their time when they arrive.
        spawn(TaskKind::Worker, "pod-watch", async move {
            if let Err(error) = forward(&watched, version.unwrap_or_default(), &sender).await {
                let _ = sender.send((Instant::now(), Err(error))).await;
            }
        });
        Ok(Self { api, image, seen: HashMap::new(), events })
    }

    /// One Pod's whole life.
    async fn one(&mut self, name: &str) -> Result<Times> {
        let created = Instant::now();
        self.create(name).await?;
        let running = self.until(name, |seen| seen.running).await? - created;
        let ready = self.until(name, |seen| seen.ready).await? - created;
        let deleted = Instant::now();
        self.delete(name).await?;
        let gone = self.until(name, |seen| seen.gone).await? - deleted;
        Ok(Times { running, ready, gone })
    }

    /// Creates a Pod. The namespace is new: until it has its ServiceAccount, Pods may be refused.
    pub async fn create(&self, name: &str) -> Result<()> {
        let deadline = Instant::now() + TIMEOUT;
        loop {
            match self.api.create(&PostParams::default(), &pod(name, &self.image)).await {
                Ok(_) => return Ok(()),
                Err(kube::Error::Api(status)) if status.code == 403 && Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => return Err(error).with_context(|| format!("create Pod {name}")),
            }
        }
    }

    /// Deletes a Pod.
    pub async fn delete(&self, name: &str) -> Result<()> {
        let deleted = self.api.delete(name, &DeleteParams::default()).await;
        deleted.map(|_| ()).with_context(|| format!("delete Pod {name}"))
    }

    /// Waits until something was seen of a Pod, and returns when.
    pub async fn until(&mut self, name: &str, what: impl Fn(&Seen) -> Option<Instant>) -> Result<Instant> {
        let deadline = tokio::time::Instant::now() + TIMEOUT;
        loop {
            if let Some(at) = self.seen.get(name).and_then(&what) {
                return Ok(at);
            }
            let Ok(event) = tokio::time::timeout_at(deadline, self.events.recv()).await else {
                return self.give_up(name).await;
            };
            let (at, event) = event.context("the watch of Pods ended")?;
            self.observe(at, event.context("watch Pods")?)?;
        }
    }

    fn observe(&mut self, at: Instant, event: WatchEvent<Pod>) -> Result<()> {
        let (pod, is_gone) = match event {
            WatchEvent::Added(pod) | WatchEvent::Modified(pod) => (pod, false),
            WatchEvent::Deleted(pod) => (pod, true),
            WatchEvent::Bookmark(_) => return Ok(()),
            WatchEvent::Error(status) => bail!("watch Pods: {status:?}"),
        };
        let seen = self.seen.entry(pod.metadata.name.clone().unwrap_or_default()).or_default();
        if is_gone {
            seen.gone.get_or_insert(at);
        }
        if is_running(&pod) {
            seen.running.get_or_insert(at);
        }
        if is_ready(&pod) {
            seen.ready.get_or_insert(at);
        }
        Ok(())
    }

    async fn give_up(&self, name: &str) -> Result<Instant> {
        let pod = self.api.get(name).await.with_context(|| format!("Pod {name} got stuck and can't be read"))?;
        bail!("Pod {name} got stuck: {}", serde_json::to_string(&pod.status)?)
    }
}

/// Watches until the receiver is gone; a watch that ends in time is continued where it ended.
async fn forward(
    api: &Api<Pod>,
    mut version: String,
    sender: &mpsc::Sender<(Instant, Result<WatchEvent<Pod>, kube::Error>)>,
) -> Result<(), kube::Error> {
    loop {
        let events = api.watch(&WatchParams::default(), &version).await?;
        match forward_one(events, &mut version, sender).await? {
            Listening::Yes => {}
            Listening::No => return Ok(()),
        }
    }
}

enum Listening {
    Yes,
    No,
}

async fn forward_one(
    events: impl Stream<Item = Result<WatchEvent<Pod>, kube::Error>>,
    version: &mut String,
    sender: &mpsc::Sender<(Instant, Result<WatchEvent<Pod>, kube::Error>)>,
) -> Result<Listening, kube::Error> {
    let mut events = std::pin::pin!(events);
    while let Some(event) = events.try_next().await? {
        let at = Instant::now();
        if let WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod) = &event {
            *version = pod.metadata.resource_version.clone().unwrap_or_default();
        }
        if sender.send((at, Ok(event))).await.is_err() {
            return Ok(Listening::No);
        }
    }
    Ok(Listening::Yes)
}

fn pod(name: &str, image: &str) -> Pod {
    let pod = json!({
        "metadata": { "name": name },
        "spec": {
            "automountServiceAccountToken": false,
            "containers": [{
                "name": "main",
                "image": image,
                "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", SCRIPT],
            }],
        },
    });
    serde_json::from_value(pod).expect("it is a Pod")
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
}

/// Whether its condition says so.
pub fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pods_are_seen_as_far_as_they_are() {
        let with_status = |status: serde_json::Value| -> Pod {
            serde_json::from_value(json!({ "metadata": { "name": "a" }, "status": status })).unwrap()
        };
        let ready = |status: &str| json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": status }] });
        for (status, running, is_pod_ready) in [
            (json!({}), false, false),
            (json!({ "phase": "Pending" }), false, false),
            (ready("False"), true, false),
            (ready("True"), true, true),
        ] {
            let pod = with_status(status.clone());
            assert_eq!((is_running(&pod), is_ready(&pod)), (running, is_pod_ready), "{status}");
        }
    }

    #[test]
    fn the_pod_is_one() {
        let pod = pod("a", "busybox");
        assert_eq!(pod.spec.unwrap().containers[0].image.as_deref(), Some("busybox"));
    }
}
