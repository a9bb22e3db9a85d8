//! The Node objects and their heartbeats.

use std::time::Duration;

use client::{Client, LeaseHolder, is_already_exists};
use futures::stream::{self, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use crate::Config;

/// Requests to make nodes at a time.
const REQUESTS: usize = 16;
/// Heartbeats at a time: many, for a slow server must not make nodes look lost.
const HEARTBEATS: usize = 64;
/// How long a Lease is good for, as upstream's kubelet says.
const LEASE_SECONDS: i32 = 40;

/// A node could not be made.
#[derive(Debug, thiserror::Error)]
#[error("registering node {name:?}")]
pub struct RegisterError {
    name: String,
    source: kube::Error,
}

/// The name of a node.
pub fn name(config: &Config, number: usize) -> String {
    format!("{}-{number}", config.prefix)
}

/// Makes the nodes, or says again what those that are there can do. Returns them as owners of their Leases, in order.
pub async fn register(client: &Client, config: &Config) -> Result<Vec<OwnerReference>, RegisterError> {
    let nodes: Api<Node> = Api::all(client.clone());
    let register = |number| {
        let (nodes, node) = (nodes.clone(), node(config, number));
        async move {
            register_one(&nodes, &node).await.map_err(|source| RegisterError { name: name(config, number), source })
        }
    };
    stream::iter(0..config.nodes).map(register).buffered(REQUESTS).try_collect().await
}

async fn register_one(nodes: &Api<Node>, node: &Value) -> Result<OwnerReference, kube::Error> {
    let name = node["metadata"]["name"].as_str().unwrap_or_default();
    let object = serde_json::from_value(node.clone()).expect("a Node");
    let made = match nodes.create(&PostParams::default(), &object).await {
        Err(error) if is_already_exists(&error) => {
            let status = Patch::Strategic(json!({ "status": node["status"] }));
            nodes.patch_status(name, &PatchParams::default(), &status).await?
        }
        made => made?,
    };
    Ok(OwnerReference {
        api_version: "v1".into(),
        kind: "Node".into(),
        name: name.to_owned(),
        uid: made.metadata.uid.unwrap_or_default(),
        ..OwnerReference::default()
    })
}

/// The object.
fn node(config: &Config, number: usize) -> Value {
    let name = name(config, number);
    let mut labels = json!({
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "node.isopod.io/hollow": "true",
    });
    if config.zones > 0 {
        labels["topology.kubernetes.io/zone"] = json!(format!("zone-{}", number % config.zones));
    }
    let now = Time(config.clock.now());
    let condition = |kind: &str, status: &str, reason: &str| {
        json!({ "type": kind, "status": status, "reason": reason, "message": "hollow node",
                "lastHeartbeatTime": now, "lastTransitionTime": now })
    };
    json!({
        "apiVersion": "v1", "kind": "Node",
        "metadata": { "name": name, "labels": labels },
        "status": {
            "capacity": config.capacity, "allocatable": config.capacity,
            "addresses": [{ "type": "Hostname", "address": name }],
            "conditions": [
                condition("MemoryPressure", "False", "KubeletHasSufficientMemory"),
                condition("DiskPressure", "False", "KubeletHasNoDiskPressure"),
                condition("PIDPressure", "False", "KubeletHasSufficientPID"),
                condition("Ready", "True", "KubeletReady"),
            ],
            "nodeInfo": {
                "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "", "osImage": "hollow",
                "containerRuntimeVersion": "hollow://0", "kubeletVersion": config.version, "kubeProxyVersion": "",
                "operatingSystem": "linux", "architecture": "amd64",
            },
        },
    })
}

/// Renews all Leases in turn, spread evenly over the time between two heartbeats of one node.
pub async fn beat(client: &Client, config: &Config, owners: &[OwnerReference], cancel: &CancellationToken) {
    let holder = |owner: &OwnerReference| {
        LeaseHolder::new(client.clone(), "kube-node-lease", &owner.name, &owner.name, LEASE_SECONDS)
            .owned_by(owner.clone())
    };
    let leases: Vec<LeaseHolder> = owners.iter().map(holder).collect();
    // With many nodes several beat at one tick, so that the timer does not have to be fine.
    let ticks = leases.len().clamp(1, 10);
    let mut timer = tokio::time::interval_at(Instant::now(), config.heartbeat / u32::try_from(ticks).unwrap_or(1));
    timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut turn = 0;
    while cancel.run_until_cancelled(timer.tick()).await.is_some() {
        let share = leases.iter().skip(turn).step_by(ticks);
        let renewals = share.map(|lease| lease.renew(config.clock.now()));
        let renew = stream::iter(renewals).for_each_concurrent(HEARTBEATS, |renewal| async {
            if let Err(error) = renewal.await {
                warn!(%error, "a heartbeat failed");
            }
        });
        if cancel.run_until_cancelled(tokio::time::timeout(Duration::from_secs(10), renew)).await.is_none() {
            return;
        }
        turn = (turn + 1) % ticks;
    }
}
