//! Where Pods come from: the API, by a watch on those bound to this node; the node's own files ([`files`]); a URL
//! ([`url`]). Pods of the latter two are static: the node runs them with or without an API, which gets a mirror of each
//! to look at. A source of static Pods always sends all it has.

mod files;
mod manifest;
mod url;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use api::core::v1::pod::{SEEN_ANNOTATION, SOURCE_ANNOTATION};
use futures::StreamExt as _;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::mpsc;
use tracing::warn;

use crate::context::NodeContext;
use crate::orphans;
use crate::pod;
use crate::sync_loop::Event;

pub use manifest::Source;
pub use url::ManifestUrl;

/// How soon a runtime that does not answer is asked again.
const RUNTIME_RETRY: Duration = Duration::from_secs(1);

/// Where static Pods are found.
#[derive(Debug, Clone, Default)]
pub struct StaticPodConfig {
    /// A directory of manifests, or one manifest (`--pod-manifest-path`).
    pub path: Option<PathBuf>,
    /// A URL of manifests (`--manifest-url`).
    pub url: Option<ManifestUrl>,
}

impl StaticPodConfig {
    /// The sources there are.
    pub fn sources(&self) -> impl Iterator<Item = Source> {
        let file = self.path.as_ref().map(|_| Source::File);
        file.into_iter().chain(self.url.as_ref().map(|_| Source::Url))
    }
}

/// All Pods of a source of static ones.
#[derive(Debug, Clone)]
pub struct StaticPods {
    /// Where they are from.
    pub source: Source,
    /// These and no others.
    pub pods: Vec<Arc<Pod>>,
}

/// What a source says.
#[derive(Debug, Clone)]
pub enum PodUpdate {
    /// This Pod is wanted, as it is here.
    Set(Arc<Pod>),
    /// This Pod's object is gone; what it was last.
    Removed(Arc<Pod>),
    /// These and no other Pods are wanted.
    Replace(Vec<Arc<Pod>>),
}

/// Forwards updates until the receiver is gone. A broken watch is resumed or listed anew, with back-off.
pub async fn run(client: kube::Client, node_name: &str, events: mpsc::Sender<Event>) {
    let config = watcher::Config::default().fields(&format!("spec.nodeName={node_name}"));
    let stream = watcher::watcher(Api::<Pod>::all(client), config).default_backoff();
    let mut stream = std::pin::pin!(stream);
    let mut listed = Vec::new();
    while let Some(event) = stream.next().await {
        let update = match event {
            Ok(watcher::Event::Init) => {
                listed.clear();
                continue;
            }
            Ok(watcher::Event::InitApply(pod)) => {
                listed.push(Arc::new(from_api(pod)));
                continue;
            }
            Ok(watcher::Event::InitDone) => PodUpdate::Replace(std::mem::take(&mut listed)),
            Ok(watcher::Event::Apply(pod)) => PodUpdate::Set(Arc::new(from_api(pod))),
            Ok(watcher::Event::Delete(pod)) => PodUpdate::Removed(Arc::new(from_api(pod))),
            Err(error) => {
                warn!(%error, "watch on Pods interrupted");
                continue;
            }
        };
        if events.send(Event::Pods(update)).await.is_err() {
            return;
        }
    }
}

/// Follows the sources of static Pods until the receiver is gone.
pub async fn run_static(context: Arc<NodeContext>, node_name: String, events: mpsc::Sender<Event>) {
    let StaticPodConfig { path, url } = context.pods.static_pods.clone();
    // First of all: what a manifest changed meanwhile must not start beside what it was before.
    if (path.is_some() || url.is_some())
        && events.send(Event::StaticPodsLeft(left_running(&*context.runtime).await)).await.is_err()
    {
        return;
    }
    let files = async {
        if let Some(path) = path {
            files::run(Arc::clone(&context), path, node_name.clone(), events.clone()).await;
        }
    };
    let url = async {
        if let Some(place) = url {
            url::run(Arc::clone(&context), place, node_name.clone(), events.clone()).await;
        }
    };
    tokio::join!(files, url);
    // Without sources there is nothing to end for.
    std::future::pending().await
}

/// Static Pods that an earlier kubelet left with the runtime, as soon as that answers; before, none could start anyway.
async fn left_running(runtime: &dyn cri::RuntimeService) -> Vec<Arc<Pod>> {
    loop {
        match runtime.list_pod_sandbox(cri::PodSandboxFilter::default()).await {
            Ok(sandboxes) => {
                let pods = sandboxes.iter().map(orphans::remembered);
                return pods.filter(pod::is_static).map(Arc::new).collect();
            }
            Err(error) => warn!(%error, "static Pods wait until the runtime tells what runs"),
        }
        tokio::time::sleep(RUNTIME_RETRY).await;
    }
}

/// A Pod of the API is no static one, whatever its annotations say; only the API decides who may write a mirror.
fn from_api(mut pod: Pod) -> Pod {
    if pod::is_static(&pod) && !pod::is_mirror(&pod) {
        let annotations = pod.metadata.annotations.get_or_insert_default();
        annotations.insert(SOURCE_ANNOTATION.to_owned(), "api".to_owned());
    }
    pod
}

fn note_seen(pod: &mut Pod, now: Timestamp) {
    pod.metadata.annotations.get_or_insert_default().insert(SEEN_ANNOTATION.to_owned(), now.to_string());
}
