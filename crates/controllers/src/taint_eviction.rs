//! `NoExecute` taints drive Pods off a node, at once or when their toleration ends.

mod plan;

use client::{Client, EventRecorder, EventType, Lister, ObjectKey, is_not_found};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, ObjectReference, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, Preconditions};
use platform::clock::SharedClock;
use serde_json::json;

use crate::assembly::{Controllers, Wiring};
use crate::runtime::{Error, Next, Reconcile};
use crate::watches::PodFacts;
use plan::Verdict;

/// Keys are those of Pods.
struct TaintEviction {
    client: Client,
    clock: SharedClock,
    events: EventRecorder,
    nodes: Lister<Node>,
    pods: Lister<PodFacts>,
}

/// Starts the controller: it wakes when a Pod gets a node, when a node's taints change, and when a toleration ends.
pub fn start(controllers: &mut Controllers) {
    let mut wiring = Wiring::new();
    let nodes = wiring.reads(&controllers.watches.nodes);
    let pods = wiring.reads(&controllers.watches.pods);
    let known = nodes.clone();
    wiring.wakes(&mut controllers.watches.pods, move |change| {
        let pod = change.object().filter(|pod| !pod.node.is_empty())?;
        let node = known.get(&ObjectKey::cluster(&pod.node))?;
        plan::evicts_anybody(&node).then(|| pod.object_key())
    });
    let known = pods.clone();
    let mut evicting = std::collections::HashSet::new();
    wiring.wakes(&mut controllers.watches.nodes, move |change| {
        let Some(node) = change.object() else { return Vec::new() };
        let name = node.metadata.name.clone().unwrap_or_default();
        // Heartbeats of healthy nodes pass by here without a look at the Pods.
        let evicts = plan::evicts_anybody(node);
        let evicted = if evicts { !evicting.insert(name.clone()) } else { evicting.remove(&name) };
        if !evicts && !evicted {
            return Vec::new();
        }
        known.matching(|pod| pod.node == name).iter().map(|pod| pod.object_key()).collect()
    });
    let controller = TaintEviction {
        client: controllers.client_of("node-controller"),
        clock: controllers.clock.clone(),
        events: controllers.events("taint-eviction-controller"),
        nodes,
        pods,
    };
    controllers.add(controller, wiring, 2);
}

impl Reconcile for TaintEviction {
    type Key = ObjectKey;
    const NAME: &'static str = "taint eviction controller";

    async fn reconcile(&self, key: &ObjectKey) -> Result<Next, Error> {
        let Some(pod) = self.pods.get(key).filter(|pod| pod.deleted_at.is_none() && !pod.is_terminated()) else {
            return Ok(Next::OnWakeUp);
        };
        let Some(node) = self.nodes.get(&ObjectKey::cluster(&pod.node)) else { return Ok(Next::OnWakeUp) };
        let now = self.clock.now();
        match plan::verdict(&pod.tolerations, plan::taints(&node), now) {
            Verdict::Stays => Ok(Next::OnWakeUp),
            Verdict::StaysFor(time) => Ok(Next::After(time)),
            Verdict::Goes => self.evict(key, &pod, now).await.map(|()| Next::OnWakeUp),
        }
    }
}

impl TaintEviction {
    async fn evict(&self, key: &ObjectKey, pod: &PodFacts, now: Timestamp) -> Result<(), Error> {
        let reference = ObjectReference {
            api_version: Some("v1".into()),
            kind: Some("Pod".into()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(pod.uid.clone()),
            ..ObjectReference::default()
        };
        let message = format!("Marking for deletion Pod {key}");
        self.events.event(&reference, EventType::Normal, "TaintManagerEviction", message);
        match self.mark_and_delete(key, pod, now).await {
            Err(error) if !is_not_found(&error) => Err(Error::during("evicting the Pod")(error)),
            _ => Ok(()),
        }
    }

    async fn mark_and_delete(&self, key: &ObjectKey, pod: &PodFacts, now: Timestamp) -> Result<(), kube::Error> {
        let pods: Api<Pod> = Api::namespaced(self.client.clone(), &key.namespace);
        let condition = json!({
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "DeletionByTaintManager",
            "message": "Taint manager: deleting due to NoExecute taint",
            "lastTransitionTime": Time(now),
        });
        let status = json!({ "metadata": { "uid": pod.uid }, "status": { "conditions": [condition] } });
        pods.patch_status(&key.name, &PatchParams::default(), &Patch::Strategic(status)).await?;
        let precondition = Preconditions { uid: Some(pod.uid.clone()), ..Preconditions::default() };
        let parameters = DeleteParams { preconditions: Some(precondition), ..DeleteParams::default() };
        pods.delete(&key.name, &parameters).await.map(drop)
    }
}
