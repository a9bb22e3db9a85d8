//! The Node object as the API has it, for decisions that depend on labels and taints that others set.

use std::sync::Arc;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Node;
use kube::api::Api;
use kube::runtime::{WatchStreamExt as _, watcher};
use tokio::sync::watch;
use tracing::warn;

/// Follows the Node until the future is dropped. A broken watch is resumed or listed anew, with back-off.
pub async fn run(client: kube::Client, node_name: &str, node: watch::Sender<Arc<Node>>) {
    let config = watcher::Config::default().fields(&format!("metadata.name={node_name}"));
    let mut stream = std::pin::pin!(watcher::watcher(Api::<Node>::all(client), config).default_backoff());
    while let Some(event) = stream.next().await {
        match event {
            Ok(watcher::Event::InitApply(seen) | watcher::Event::Apply(seen)) => {
                drop(node.send_replace(Arc::new(seen)))
            }
            // Without its object the node is what it was last.
            Ok(watcher::Event::Init | watcher::Event::InitDone | watcher::Event::Delete(_)) => {}
            Err(error) => warn!(%error, "watch on the Node interrupted"),
        }
    }
}
