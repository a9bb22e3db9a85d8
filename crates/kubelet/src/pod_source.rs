//! Where Pods come from: the API, by a watch on those bound to this node. Static Pods become another source of the
//! same updates.

use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::mpsc;
use tracing::warn;

use crate::sync_loop::Event;

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
                listed.push(Arc::new(pod));
                continue;
            }
            Ok(watcher::Event::InitDone) => PodUpdate::Replace(std::mem::take(&mut listed)),
            Ok(watcher::Event::Apply(pod)) => PodUpdate::Set(Arc::new(pod)),
            Ok(watcher::Event::Delete(pod)) => PodUpdate::Removed(Arc::new(pod)),
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
