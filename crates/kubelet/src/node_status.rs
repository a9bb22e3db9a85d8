//! The Node object: registered once, its status pushed when it changes and every five minutes otherwise.
//!
//! [`node_status`] computes the status as a value; [`NodeStatusWriter`] compares it with what was written last and
//! patches the difference. A kubelet that stops leaves the Node as it is, because its Pods run on; the Lease tells when
//! it is really gone.

mod changes;
mod compute;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeSpec, NodeStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{Api, Patch, PatchParams, PostParams};
use platform::clock::SharedClock;
use serde_json::{Value, json};
use tokio::sync::{Notify, watch};
use tracing::{info, warn};

use crate::config::{Config, NodeConfig};
use crate::cpu_manager::Policy;
use crate::devices::DeviceAmounts;
use crate::events::Events;
use crate::machine::Machine;
use crate::resources::NodeResources;

pub use compute::{StatusFacts, node_status};

/// How often the machine is looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(10);
/// How often an unchanged status is written.
const REPORT_INTERVAL: Duration = Duration::from_secs(300);
const RETRY_DELAY: Duration = Duration::from_millis(200);
const RETRY_MAX: Duration = Duration::from_secs(7);

/// Keeps one Node up to date.
pub struct NodeStatusWriter {
    nodes: Api<Node>,
    node: NodeConfig,
    machine: Machine,
    resources: NodeResources,
    cpu_manager: Policy,
    runtime: cri::Runtime,
    runtime_version: String,
    clock: SharedClock,
    pressure: watch::Receiver<Vec<&'static str>>,
    written: Option<(Timestamp, NodeStatus)>,
    ready: Arc<Notify>,
    events: Events,
    /// What device plugins offer.
    devices: watch::Receiver<DeviceAmounts>,
    /// The Node as the API has it.
    seen: watch::Receiver<Arc<Node>>,
    /// Whether the node shuts down; without a sender it does not.
    shutting_down: watch::Receiver<bool>,
}

impl NodeStatusWriter {
    /// A writer that has written nothing; `ready` is notified when the Node is first reported Ready.
    pub fn new(
        config: &Config,
        machine: Machine,
        runtime_version: String,
        pressure: watch::Receiver<Vec<&'static str>>,
        ready: Arc<Notify>,
        events: Events,
    ) -> Self {
        Self {
            nodes: Api::all(config.client.clone()),
            node: config.node.clone(),
            resources: NodeResources::of(&machine, config.node.max_pods, &config.resources),
            cpu_manager: config.resources.cpu_manager.policy,
            machine,
            runtime: config.runtime.clone(),
            runtime_version,
            clock: Arc::clone(&config.clock),
            pressure,
            written: None,
            ready,
            events,
            devices: watch::channel(DeviceAmounts::default()).1,
            seen: watch::channel(Arc::default()).1,
            shutting_down: watch::channel(false).1,
        }
    }

    /// Adds extended resources: those of device plugins, and those somebody gave to the Node by hand.
    #[must_use]
    pub fn with_extended(self, devices: watch::Receiver<DeviceAmounts>, seen: watch::Receiver<Arc<Node>>) -> Self {
        Self { devices, seen, ..self }
    }

    /// Reports the node as not ready once it shuts down.
    #[must_use]
    pub fn until_shutdown(self, shutting_down: watch::Receiver<bool>) -> Self {
        Self { shutting_down, ..self }
    }

    /// Registers the Node, then keeps its status until the future is dropped.
    pub async fn run(mut self) {
        self.register().await;
        let mut reported_ready = false;
        loop {
            if let Err(error) = self.report().await {
                warn!(%error, "node status not written, will try again");
                // Another object of our name, or none: start over.
                self.written = None;
                tokio::time::sleep(RETRY_MAX).await;
                self.register().await;
                continue;
            }
            if !reported_ready && self.is_ready() {
                reported_ready = true;
                self.ready.notify_waiters();
                self.ready.notify_one();
            }
            // A node that is not ready yet is waited for; a ready one is only watched for pressure.
            let pause = if reported_ready { LOOK_INTERVAL } else { RETRY_DELAY };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                // An error means that nobody looks any more; then time alone counts.
                Ok(()) = self.pressure.changed() => {}
                Ok(()) = self.shutting_down.changed() => {}
                Ok(()) = self.devices.changed() => {}
                Ok(()) = self.seen.changed() => {}
            }
        }
    }

    fn is_ready(&self) -> bool {
        let conditions = self.written.as_ref().and_then(|(_, status)| status.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|one| one.type_ == "Ready" && one.status == "True"))
    }

    /// Creates the Node, or brings labels and Pod address ranges of the one that is there up to date.
    async fn register(&mut self) {
        let mut delay = RETRY_DELAY;
        loop {
            match self.try_register().await {
                Ok(node) => {
                    self.written = node.status.map(|status| (Timestamp::UNIX_EPOCH, status));
                    return;
                }
                Err(error) => {
                    warn!(%error, "Node not registered, will try again");
                    tokio::time::sleep(delay).await;
                    delay = (delay * 2).min(RETRY_MAX);
                }
            }
        }
    }

    async fn try_register(&self) -> Result<Node, kube::Error> {
        let status = self.status(None).await;
        let node = new_node(&self.node, status);
        match self.nodes.create(&PostParams::default(), &node).await {
            Ok(node) => {
                info!(node = self.node.name, "registered the Node");
                if let Some(status) = &node.status {
                    self.tell(None, status);
                }
                Ok(node)
            }
            Err(error) if client::is_already_exists(&error) => {
                let present = self.nodes.get(&self.node.name).await?;
                match label_patch(&present, &node) {
                    Some(patch) => {
                        let parameters = PatchParams::default();
                        self.nodes.patch(&self.node.name, &parameters, &Patch::Strategic(patch)).await
                    }
                    None => Ok(present),
                }
            }
            Err(error) => Err(error),
        }
    }

    /// Writes the status if it changed or was not written for long.
    async fn report(&mut self) -> Result<(), kube::Error> {
        let now = self.clock.now();
        let before = self.written.as_ref().map(|(_, status)| status);
        let status = self.status(before).await;
        let due = self.written.as_ref().is_none_or(|(at, before)| {
            now.duration_since(*at) >= REPORT_INTERVAL.try_into().unwrap_or_default()
                || !compute::says_same(before, &status)
        });
        if due {
            let patch = Patch::Strategic(json!({ "status": status }));
            self.nodes.patch_status(&self.node.name, &PatchParams::default(), &patch).await?;
            self.tell(before, &status);
            self.written = Some((now, status));
        }
        Ok(())
    }

    /// Reports what the status just written says that the one before did not.
    fn tell(&self, before: Option<&NodeStatus>, after: &NodeStatus) {
        for change in changes::changes(&self.node.name, before, after) {
            self.events.node(&self.node.name, change.kind, change.reason, change.message);
        }
    }

    async fn status(&self, before: Option<&NodeStatus>) -> NodeStatus {
        let request = cri::StatusRequest { verbose: false };
        let runtime = self.runtime.runtime.status(request).await;
        let images = self.runtime.images.list_images(cri::ImageFilter::default()).await.unwrap_or_default();
        let pressure = self.pressure.borrow().clone();
        let (devices, seen) = (self.devices.borrow().clone(), Arc::clone(&self.seen.borrow()));
        node_status(&StatusFacts {
            node: &self.node,
            machine: &self.machine,
            resources: &self.resources,
            cpu_manager: self.cpu_manager,
            runtime_version: &self.runtime_version,
            runtime: runtime.as_ref().map_err(ToString::to_string),
            images: &images,
            pressure: &pressure,
            devices: &devices,
            seen: &seen,
            shutting_down: *self.shutting_down.borrow(),
            before,
            now: self.clock.now(),
        })
    }
}

/// The Node as it is registered.
pub(crate) fn new_node(config: &NodeConfig, status: NodeStatus) -> Node {
    let arch = go_arch();
    let mut labels = BTreeMap::from([
        // The Node's name: unique even where several nodes share a machine.
        ("kubernetes.io/hostname".to_owned(), config.name.clone()),
        ("kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("kubernetes.io/arch".to_owned(), arch.to_owned()),
        ("beta.kubernetes.io/os".to_owned(), "linux".to_owned()),
        ("beta.kubernetes.io/arch".to_owned(), arch.to_owned()),
    ]);
    labels.extend(config.labels.clone());
    let cidrs = &config.pod_cidrs;
    Node {
        metadata: ObjectMeta { name: Some(config.name.clone()), labels: Some(labels), ..ObjectMeta::default() },
        spec: Some(NodeSpec {
            pod_cidr: cidrs.first().cloned(),
            taints: Some(config.taints.clone()).filter(|taints| !taints.is_empty()),
            pod_cidrs: (!cidrs.is_empty()).then(|| cidrs.clone()),
            ..NodeSpec::default()
        }),
        status: Some(status),
    }
}

/// Labels and address ranges that the Node lacks or has otherwise.
fn label_patch(present: &Node, wanted: &Node) -> Option<Value> {
    let have = present.metadata.labels.clone().unwrap_or_default();
    let labels: BTreeMap<_, _> = wanted
        .metadata
        .labels
        .iter()
        .flatten()
        .filter(|(key, value)| have.get(*key) != Some(*value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let has_range = present.spec.as_ref().is_some_and(|spec| spec.pod_cidr.is_some());
    let range = wanted.spec.as_ref().filter(|spec| !has_range && spec.pod_cidr.is_some());
    let mut patch = serde_json::Map::new();
    if !labels.is_empty() {
        patch.insert("metadata".to_owned(), json!({ "labels": labels }));
    }
    if let Some(spec) = range {
        patch.insert("spec".to_owned(), json!({ "podCIDR": spec.pod_cidr, "podCIDRs": spec.pod_cidrs }));
    }
    (!patch.is_empty()).then_some(Value::Object(patch))
}

/// The architecture as Go calls it.
pub(crate) fn go_arch() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
