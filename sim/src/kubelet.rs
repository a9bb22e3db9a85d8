//! A node without containers: its Pods start, become ready, end and go as they please, and every status is what a
//! kubelet would say.
//!
//! What is done next about a Pod follows from its object alone, so that a kubelet that forgot everything goes on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::reflector::Change;
use client::{Client, LeaseHolder, ObjectKey, Reflector, is_not_found};
use futures::StreamExt as _;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::watcher;
use platform::clock::SharedClock;
use serde_json::{Value, json};
use testkit::dice::Dice;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

/// How often a node says that it is there.
const HEARTBEAT: Duration = Duration::from_secs(10);
/// When something that failed is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// What Pods are like, in cases of a thousand.
#[derive(Debug, Clone, Copy)]
pub struct Habits {
    /// Pods that run to an end and fail there.
    pub failing: usize,
    /// Pods that stop being ready some time after they were.
    pub shaky: usize,
    /// Pods that are thrown off the node some time after they were ready.
    pub evicted: usize,
}

/// What a kubelet needs.
pub struct Config {
    /// The way to the API, as the node.
    pub client: Client,
    /// The node's name.
    pub node: String,
    /// Time.
    pub clock: SharedClock,
    /// Its own chance.
    pub seed: u64,
    /// What its Pods are like.
    pub habits: Habits,
}

/// What comes next in a Pod's life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Start,
    BecomeReady,
    BecomeUnready,
    Succeed,
    Fail,
    Evict,
    /// Its containers have ended because it is being deleted.
    Stop,
    Remove,
}

/// When a turn is taken; the number keeps equal times apart.
type At = (Instant, u64);

struct Kubelet {
    config: Config,
    dice: Dice,
    /// What comes next, by when.
    turns: BTreeMap<At, (ObjectKey, Turn)>,
    /// Each Pod with the key of its turn.
    known: BTreeMap<ObjectKey, (Arc<Pod>, Option<At>)>,
    sequence: u64,
}

/// Runs a node until it falls silent.
pub async fn run(config: Config, alive: CancellationToken) {
    let heartbeat = beat(&config);
    let pods = follow(&config);
    tokio::select! {
        biased;
        () = alive.cancelled() => {}
        () = heartbeat => {}
        () = pods => {}
    }
}

/// Registers the node and says that it is there, for ever.
async fn beat(config: &Config) {
    let nodes: Api<Node> = Api::all(config.client.clone());
    let lease = LeaseHolder::new(config.client.clone(), "kube-node-lease", &config.node, &config.node, 40);
    loop {
        // What fails is tried at the next beat.
        match nodes.get(&config.node).await {
            Ok(node) if is_ready(&node) => {}
            Ok(_) => {
                let patch = Patch::Strategic(json!({ "status": status(config) }));
                let _ = nodes.patch_status(&config.node, &PatchParams::default(), &patch).await;
            }
            Err(error) if is_not_found(&error) => register(config, &nodes).await,
            Err(_) => {}
        }
        let _ = lease.renew(config.clock.now()).await;
        tokio::time::sleep(HEARTBEAT).await;
    }
}

async fn register(config: &Config, nodes: &Api<Node>) {
    let labels = json!({ "kubernetes.io/hostname": config.node });
    let node = json!({ "metadata": { "name": config.node, "labels": labels }, "status": status(config) });
    let node = serde_json::from_value(node).expect("a node");
    let made = nodes.create(&PostParams::default(), &node).await;
    debug_assert!(!made.is_err_and(|error| matches!(&error, kube::Error::Api(status) if status.code == 422)));
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

fn status(config: &Config) -> Value {
    let now = Time(config.clock.now());
    let allocatable = json!({ "cpu": "2", "memory": "4Gi", "pods": "10" });
    json!({
        "capacity": allocatable,
        "allocatable": allocatable,
        "conditions": [{ "type": "Ready", "status": "True", "reason": "KubeletReady", "message": "ok",
                         "lastHeartbeatTime": now, "lastTransitionTime": now }],
    })
}

/// Follows the node's Pods, for ever.
async fn follow(config: &Config) {
    let mine = watcher::Config::default().fields(&format!("spec.nodeName={}", config.node));
    let changes = Reflector::<Pod>::new(Api::all(config.client.clone())).with_config(mine).changes();
    let mut changes = std::pin::pin!(changes);
    let config =
        Config { client: config.client.clone(), node: config.node.clone(), clock: config.clock.clone(), ..*config };
    let dice = Dice::new(config.seed);
    let mut kubelet = Kubelet { config, dice, turns: BTreeMap::new(), known: BTreeMap::new(), sequence: 0 };
    loop {
        let next = kubelet.turns.keys().next().copied();
        let due = async move {
            match next {
                Some((at, _)) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            Some(change) = changes.next() => kubelet.learn(&change),
            () = due => kubelet.take_turn().await,
        }
    }
}

impl Kubelet {
    fn learn(&mut self, change: &Change<Pod>) {
        let Some(pod) = change.object() else { return };
        let key = ObjectKey::of(&**pod);
        let old = self.known.remove(&key);
        let same_turn = old.as_ref().and_then(|(old, turn)| {
            let alike = old.metadata.uid == pod.metadata.uid && stage(old) == stage(pod);
            (alike && turn.is_some()).then_some(*turn).flatten()
        });
        if let Some((_, Some(turn))) = old
            && (same_turn.is_none() || matches!(change, Change::Deleted(_)))
        {
            self.turns.remove(&turn);
        }
        if matches!(change, Change::Deleted(_)) {
            return;
        }
        let turn = same_turn.or_else(|| {
            let (delay, turn) = self.next_turn(pod)?;
            Some(self.schedule(key.clone(), delay, turn))
        });
        self.known.insert(key, (Arc::clone(pod), turn));
    }

    fn schedule(&mut self, key: ObjectKey, delay: Duration, turn: Turn) -> At {
        self.sequence += 1;
        let at = (Instant::now() + delay, self.sequence);
        self.turns.insert(at, (key, turn));
        at
    }

    /// What comes next in the life of a Pod of this stage, and when.
    fn next_turn(&mut self, pod: &Pod) -> Option<(Duration, Turn)> {
        let (habits, dice) = (self.config.habits, &mut self.dice);
        let seconds = |dice: &mut Dice, most| dice.up_to(Duration::from_secs(most));
        let runs_to_an_end = pod.spec.as_ref().is_some_and(|spec| spec.restart_policy.as_deref() != Some("Always"));
        match stage(pod) {
            Stage::Doomed => {
                let grace = pod.metadata.deletion_grace_period_seconds.unwrap_or(0);
                Some((seconds(dice, grace.clamp(0, 30).unsigned_abs()), Turn::Stop))
            }
            Stage::Stopped => Some((seconds(dice, 1), Turn::Remove)),
            Stage::Ended => None,
            Stage::Bound => Some((seconds(dice, 3), Turn::Start)),
            Stage::Running => Some((seconds(dice, 5), Turn::BecomeReady)),
            Stage::Ready if runs_to_an_end => {
                let end = if dice.per_mille(habits.failing) { Turn::Fail } else { Turn::Succeed };
                Some((seconds(dice, 40), end))
            }
            Stage::Ready if dice.per_mille(habits.shaky) => Some((seconds(dice, 60), Turn::BecomeUnready)),
            Stage::Ready if dice.per_mille(habits.evicted) => Some((seconds(dice, 60), Turn::Evict)),
            Stage::Ready => None,
        }
    }

    async fn take_turn(&mut self) {
        let Some(((at, number), (key, turn))) = self.turns.pop_first() else { return };
        let Some((pod, _)) = self.known.get(&key) else { return };
        let pod = Arc::clone(pod);
        let done = self.execute(&key, &pod, turn).await;
        if !done
            && let Some((_, known)) = self.known.get(&key)
            && *known == Some((at, number))
        {
            let again = self.schedule(key.clone(), RETRY, turn);
            self.known.insert(key, (pod, Some(again)));
        }
    }

    /// Whether it is done, or there is nobody left to do it to.
    async fn execute(&self, key: &ObjectKey, pod: &Pod, turn: Turn) -> bool {
        let pods: Api<Pod> = Api::namespaced(self.config.client.clone(), &key.namespace);
        let uid = pod.metadata.uid.clone();
        let result = if turn == Turn::Remove {
            let preconditions = Some(Preconditions { uid, resource_version: None });
            let parameters = DeleteParams { grace_period_seconds: Some(0), preconditions, ..DeleteParams::default() };
            pods.delete(&key.name, &parameters).await.map(drop)
        } else {
            let status = self.status(pod, turn);
            let patch = Patch::Strategic(json!({ "metadata": { "uid": uid }, "status": status }));
            pods.patch_status(&key.name, &PatchParams::default(), &patch).await.map(drop)
        };
        match result {
            Ok(()) => true,
            Err(error) => is_not_found(&error) || is_somebody_else(&error),
        }
    }

    fn status(&self, pod: &Pod, turn: Turn) -> Value {
        let now = Time(self.config.clock.now());
        let ready = turn == Turn::BecomeReady;
        let (phase, state) = match turn {
            Turn::Start | Turn::BecomeReady | Turn::BecomeUnready | Turn::Remove => {
                ("Running", json!({ "running": { "startedAt": now } }))
            }
            Turn::Succeed => ("Succeeded", ended(0, &now)),
            Turn::Fail | Turn::Evict | Turn::Stop => ("Failed", ended(1, &now)),
        };
        let over = phase != "Running";
        let kept = pod.status.as_ref().and_then(|status| status.start_time.clone());
        let condition = |kind: &str, holds: bool| {
            json!({ "type": kind, "status": if holds { "True" } else { "False" }, "lastTransitionTime": now,
                    "observedGeneration": pod.metadata.generation })
        };
        let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
        let containers: Vec<Value> = containers
            .map(|container| {
                json!({ "name": container.name, "image": container.image, "imageID": "id", "ready": ready,
                        "started": !over, "restartCount": 0, "containerID": "isopod://c", "state": state })
            })
            .collect();
        let mut status = json!({
            "phase": phase,
            "startTime": kept.unwrap_or(now.clone()),
            "hostIP": "192.0.2.1",
            "podIP": "10.244.0.9",
            "podIPs": [{ "ip": "10.244.0.9" }],
            "conditions": [
                condition("Initialized", true),
                condition("Ready", ready),
                condition("ContainersReady", ready),
            ],
            "containerStatuses": containers,
        });
        if turn == Turn::Evict {
            status["reason"] = json!("Evicted");
        }
        status
    }
}

fn ended(code: i32, at: &Time) -> Value {
    json!({ "terminated": { "exitCode": code, "reason": if code == 0 { "Completed" } else { "Error" },
                            "startedAt": at, "finishedAt": at, "containerID": "isopod://c" } })
}

/// A new Pod of the same name: the answer to a uid that is not the object's.
fn is_somebody_else(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 409 && status.message.contains("uid"))
}

/// Where a Pod is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Bound,
    Running,
    Ready,
    Ended,
    /// Being deleted, its containers run.
    Doomed,
    /// Being deleted, its containers have ended.
    Stopped,
}

fn stage(pod: &Pod) -> Stage {
    let status = pod.status.as_ref();
    let phase = status.and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let mut conditions = status.iter().flat_map(|status| status.conditions.iter().flatten());
    let doomed = pod.metadata.deletion_timestamp.is_some();
    match phase {
        "Succeeded" | "Failed" if doomed => Stage::Stopped,
        _ if doomed => Stage::Doomed,
        "Succeeded" | "Failed" => Stage::Ended,
        "Running" if conditions.any(|one| one.type_ == "Ready" && one.status == "True") => Stage::Ready,
        "Running" => Stage::Running,
        _ => Stage::Bound,
    }
}
