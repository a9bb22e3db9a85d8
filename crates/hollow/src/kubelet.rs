//! One loop for the Pods of all nodes: a shared watch, a queue of keys, a few workers.

use std::collections::HashSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use client::{Change, Client, Lister, ObjectKey, Reflector, WorkQueue, is_not_found};
use futures::future::join_all;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DeleteParams, Patch, PatchParams, Preconditions};
use kube::runtime::watcher;
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::plan::{Action, plan};
use crate::pod::HollowPod;
use crate::{Config, node, status};

/// Requests about Pods at a time.
const WORKERS: usize = 32;
/// Where Pods have their addresses: the range that is meant for carriers and leads nowhere here.
const ADDRESSES: Ipv4Addr = Ipv4Addr::new(100, 64, 0, 0);
/// How many addresses it has.
const ADDRESS_COUNT: u32 = 1 << 22;

struct Kubelet<'a> {
    client: &'a Client,
    config: &'a Config,
    pods: Lister<HollowPod>,
    queue: WorkQueue<ObjectKey>,
    /// Addresses given out so far; after four million they come again.
    addresses: AtomicU32,
}

/// Serves the Pods of all nodes until cancelled.
pub async fn run(client: &Client, config: &Config, cancel: &CancellationToken) {
    let queue = WorkQueue::new();
    let nodes: HashSet<String> = (0..config.nodes).map(|number| node::name(config, number)).collect();
    let added = queue.clone();
    let reflector = Reflector::<Pod, _>::projecting(Api::all(client.clone()), HollowPod::of)
        .with_config(watcher::Config::default().fields("spec.nodeName!="))
        .on_change(move |change: &Change<HollowPod>| {
            let theirs = change.object().filter(|pod| nodes.contains(&pod.node));
            if let (Some(pod), false) = (theirs, matches!(change, Change::Deleted(_))) {
                added.add(pod.key.clone());
            }
        });
    let kubelet = Kubelet { client, config, pods: reflector.lister(), queue, addresses: AtomicU32::new(1) };
    let workers = join_all((0..WORKERS).map(|_| cancel.run_until_cancelled(kubelet.work())));
    tokio::join!(reflector.run(cancel.clone()), workers);
}

impl Kubelet<'_> {
    async fn work(&self) {
        loop {
            let key = self.queue.next().await;
            let Some(pod) = self.pods.get(&key) else {
                self.queue.forget(&key);
                continue;
            };
            match self.sync(&pod).await {
                Err(error) if !is_not_found(&error) => {
                    warn!(pod = %pod.key, %error, "a hollow Pod is tried again");
                    self.queue.add_failed(key.clone());
                }
                _ => self.queue.forget(&key),
            }
        }
    }

    async fn sync(&self, pod: &Arc<HollowPod>) -> Result<(), kube::Error> {
        let now = self.config.clock.now();
        match plan(pod, self.config.job_duration, now) {
            Action::Rest => Ok(()),
            Action::Wait(time) => {
                self.queue.add_after(pod.key.clone(), time);
                Ok(())
            }
            Action::Run => self.write(pod, status::running(pod, &self.address(), now)).await,
            Action::Recover => self.write(pod, status::recovered(pod, now)).await,
            Action::Complete => self.write(pod, status::succeeded(pod, now)).await,
            Action::Remove => self.remove(pod).await,
        }
    }

    fn api(&self, pod: &HollowPod) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &pod.key.namespace)
    }

    async fn write(&self, pod: &HollowPod, patch: serde_json::Value) -> Result<(), kube::Error> {
        let patch = Patch::Strategic(patch);
        self.api(pod).patch_status(&pod.key.name, &PatchParams::default(), &patch).await.map(drop)
    }

    async fn remove(&self, pod: &HollowPod) -> Result<(), kube::Error> {
        let preconditions = Some(Preconditions { uid: Some(pod.uid.clone()), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() }.grace_period(0);
        self.api(pod).delete(&pod.key.name, &parameters).await.map(drop)
    }

    fn address(&self) -> String {
        let number = self.addresses.fetch_add(1, Ordering::Relaxed) % ADDRESS_COUNT;
        Ipv4Addr::from_bits(ADDRESSES.to_bits() + number).to_string()
    }
}
