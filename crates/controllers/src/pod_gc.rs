//! Pods nobody looks after any more are removed: on nodes that are gone, deleted ones on nodes that are shut down for
//! good, those deleted before they got a node, and the oldest of very many that ended.

mod plan;

use std::collections::HashMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};

use client::{Change, Client, Lister, ObjectKey, is_not_found};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use platform::clock::SharedClock;
use serde_json::json;

use crate::assembly::{Controllers, Wiring};
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::PodFacts;
use plan::{NodeState, Verdict};

/// Pods that ended may pile up to this number.
const TERMINATED_LIMIT: usize = 12_500;

/// What to look at.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Pod(ObjectKey),
    /// The number of Pods that ended.
    Terminated,
}

impl fmt::Display for Key {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pod(key) => key.fmt(formatter),
            Self::Terminated => formatter.write_str("terminated Pods"),
        }
    }
}

struct PodGc {
    client: Client,
    clock: SharedClock,
    nodes: Lister<Node>,
    pods: Lister<PodFacts>,
    /// Since when each missing node is missing.
    missing: Mutex<HashMap<String, Timestamp>>,
}

/// Starts the controller: it wakes when a Pod changes and when a node disappears or is out of service.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let pods = wiring.reads(&controllers.watches.pods);
    let known = pods.clone();
    wiring.wakes(&mut controllers.watches.pods, move |change| {
        let pod = change.object();
        let too_many = pod.is_some_and(|pod| pod.is_terminated()) && known.len() > TERMINATED_LIMIT;
        pod.map(|pod| Key::Pod(pod.object_key())).into_iter().chain(too_many.then_some(Key::Terminated))
    });
    let known = pods.clone();
    wiring.wakes(&mut controllers.watches.nodes, move |change| {
        let node = match change {
            Change::Deleted(node) => node,
            Change::Updated { old, new } if plan::state_of(old) != plan::state_of(new) => new,
            _ => return Vec::new(),
        };
        let name = node.metadata.name.clone().unwrap_or_default();
        known.matching(|pod| pod.node == name).iter().map(|pod| Key::Pod(pod.object_key())).collect()
    });
    let controller = PodGc {
        client: controllers.client_of("pod-garbage-collector"),
        clock: controllers.clock.clone(),
        nodes: wiring.reads(&controllers.watches.nodes),
        pods,
        missing: Mutex::default(),
    };
    controllers.add(controller, wiring, 1);
}

impl Reconcile for PodGc {
    type Key = Key;
    const NAME: &'static str = "Pod garbage collector";

    async fn reconcile(&self, key: &Key) -> Result<Next, Error> {
        match key {
            Key::Pod(key) => self.judge(key).await,
            Key::Terminated => self.thin_out().await,
        }
    }
}

impl PodGc {
    async fn judge(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(pod) = self.pods.get(key) else { return Ok(Next::OnWakeUp) };
        let now = self.clock.now();
        match plan::verdict(&pod, self.node_state(&pod.node, now), now) {
            Verdict::Keep => Ok(Next::OnWakeUp),
            Verdict::LookAgain(after) => Ok(Next::After(after)),
            Verdict::Orphaned if self.node_exists(&pod.node).await? => Ok(Next::OnWakeUp),
            Verdict::Orphaned => self.collect(key, &pod, Some("PodGC: node no longer exists")).await,
            Verdict::NeverStarted | Verdict::OutOfService => self.collect(key, &pod, None).await,
        }
    }

    /// How the node stands, and since when we know that it is missing.
    fn node_state(&self, node: &str, now: Timestamp) -> NodeState {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let present = self.nodes.get(&ObjectKey::cluster(node));
        if let Some(state) = present.map(|node| plan::state_of(&node)).or(node.is_empty().then_some(NodeState::Present))
        {
            missing.remove(node);
            return state;
        }
        NodeState::Missing(*missing.entry(node.to_owned()).or_insert(now))
    }

    /// Our copy may be behind; before we act, the API decides.
    async fn node_exists(&self, name: &str) -> Result<bool, Error> {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = nodes.get_opt(name).await.map_err(Error::during("looking for the Pod's node"))?;
        Ok(node.is_some())
    }

    /// Deletes the Pod; nobody else would say that it ended, which those wait for who hold it by a finalizer.
    async fn collect(&self, key: &ObjectKey, pod: &PodFacts, disruption: Option<&str>) -> Result<Next, Error> {
        let result = async {
            if !pod.is_terminated() {
                self.mark_failed(key, pod, disruption).await?;
            }
            self.delete(key, pod).await
        };
        match result.await {
            Err(error) if !is_not_found(&error) => Err(Error::during("collecting the Pod")(error)),
            _ => Ok(Next::OnWakeUp),
        }
    }

    async fn mark_failed(&self, key: &ObjectKey, pod: &PodFacts, disruption: Option<&str>) -> Result<(), kube::Error> {
        let condition = |message: &str| {
            json!({
                "type": "DisruptionTarget",
                "status": "True",
                "reason": "DeletionByPodGC",
                "message": message,
                "lastTransitionTime": Time(self.clock.now()),
            })
        };
        let conditions: Vec<_> = disruption.map(condition).into_iter().collect();
        let status = json!({ "phase": "Failed", "conditions": conditions });
        let patch = Patch::Strategic(json!({ "metadata": { "uid": pod.uid }, "status": status }));
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        pods.patch_status(&key.name, &PatchParams::default(), &patch).await.map(drop)
    }

    async fn delete(&self, key: &ObjectKey, pod: &PodFacts) -> Result<(), kube::Error> {
        let precondition = Preconditions { uid: Some(pod.uid.clone()), ..Preconditions::default() };
        let now = DeleteParams { preconditions: Some(precondition), ..DeleteParams::default().grace_period(0) };
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        pods.delete(&key.name, &now).await.map(drop)
    }

    async fn thin_out(&self) -> Result<Next, Error> {
        let terminated = self.pods.matching(|pod| pod.is_terminated() && pod.deleted_at.is_none());
        for pod in plan::oldest_beyond(terminated, TERMINATED_LIMIT) {
            self.collect(&pod.object_key(), &pod, None).await?;
        }
        Ok(Next::OnWakeUp)
    }
}
