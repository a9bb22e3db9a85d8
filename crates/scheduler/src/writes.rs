//! Carrying decisions to the API. Each write runs in its own task and reports its outcome to the loop, always.

use std::sync::Arc;
use std::time::Duration;

use client::{Client, Lister, ObjectKey, is_not_found};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Binding, ObjectReference, PersistentVolume, PersistentVolumeClaim, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use crate::pod_info::{NodeName, PREEMPTED, PodInfo, ScheduledCondition};
use crate::volume_binding::{SELECTED_NODE, VolumeWrite, is_bound};

/// How long a Pod waits for its volumes before it is decided anew.
const BIND_TIMEOUT: Duration = Duration::from_secs(600);

/// Why a Pod did not get its volumes.
#[derive(Debug, thiserror::Error)]
enum VolumeProblem {
    #[error(transparent)]
    Request(#[from] kube::Error),
    #[error("binding volumes: context deadline exceeded")]
    Timeout,
    #[error("the Pod is gone")]
    Gone,
}

/// What became of a write.
#[derive(Debug)]
pub enum Written {
    /// The API took the binding.
    Bound {
        /// The Pod.
        pod: Arc<PodInfo>,
        /// Its node.
        node: NodeName,
    },
    /// The API did not take the binding.
    NotBound {
        /// The Pod.
        pod: Arc<PodInfo>,
        /// Why.
        error: String,
        /// The Pod is gone, so there is nothing to try again.
        gone: bool,
    },
    /// A condition was written, or could not be.
    Condition,
    /// A Pod goes to make room.
    Preempted {
        /// For this Pod.
        pod: Arc<PodInfo>,
        /// On this node.
        node: NodeName,
        /// The one that goes.
        victim: Arc<PodInfo>,
    },
    /// A Pod was to go to make room, and the API did not take it.
    NotPreempted {
        /// For this Pod.
        pod: Arc<PodInfo>,
        /// The one that stays.
        victim: Arc<PodInfo>,
        /// Why.
        error: String,
    },
}

/// What becomes of `status.nominatedNodeName`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Nomination<'a> {
    /// It stays as it is.
    Keep,
    /// Room is made there.
    Set(&'a str),
    /// No room is made anywhere.
    Clear,
}

/// Sends the outcome when dropped, so that the loop hears of a write even when its task panics.
pub struct Report {
    outcome: Option<Written>,
    scheduler: mpsc::UnboundedSender<Written>,
}

impl Report {
    /// A report that says `unless_told` if nobody says better.
    pub fn new(scheduler: mpsc::UnboundedSender<Written>, unless_told: Written) -> Self {
        Self { outcome: Some(unless_told), scheduler }
    }

    fn tell(mut self, outcome: Written) {
        self.outcome = Some(outcome);
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        if let Some(outcome) = self.outcome.take() {
            // The loop is gone only when the scheduler stops.
            let _ = self.scheduler.send(outcome);
        }
    }
}

/// What a Pod's claims need before the Pod itself can be bound.
pub struct VolumeWrites {
    /// What is to be written.
    pub writes: Vec<VolumeWrite>,
    /// The claims as they become.
    pub claims: Lister<PersistentVolumeClaim>,
    /// Says when to look at them.
    pub changes: watch::Receiver<()>,
    /// Cancelled when nobody needs them any more: the Pod is gone.
    pub gone: CancellationToken,
}

/// Gives the Pod's claims their volumes where they have none, and posts the binding.
pub async fn bind(client: Client, pod: Arc<PodInfo>, node: NodeName, volumes: VolumeWrites, report: Report) {
    if let Err(problem) = bind_volumes(&client, &pod, &node, volumes).await {
        let error = format!("running PreBind plugin \"VolumeBinding\": {problem}");
        return report.tell(Written::NotBound { pod, error, gone: matches!(problem, VolumeProblem::Gone) });
    }
    let outcome = match post_binding(client, &pod, &node).await {
        Ok(()) => Written::Bound { pod, node },
        Err(error) => {
            let text = format!("running Bind plugin \"DefaultBinder\": {error}");
            Written::NotBound { pod, gone: is_not_found(&error), error: text }
        }
    };
    report.tell(outcome);
}

async fn bind_volumes(
    client: &Client,
    pod: &PodInfo,
    node: &NodeName,
    mut volumes: VolumeWrites,
) -> Result<(), VolumeProblem> {
    if volumes.writes.is_empty() {
        return Ok(());
    }
    for write in &volumes.writes {
        write_volume(client, node, write).await?;
    }
    let all_bound = async {
        while !pod.facts.claims.iter().all(|name| {
            let key = ObjectKey::new(pod.key.namespace.as_str(), name.claim.as_str());
            volumes.claims.get(&key).is_some_and(|claim| is_bound(&claim))
        }) {
            if volumes.changes.changed().await.is_err() {
                // The scheduler stops; whoever comes next decides anew.
                return Err(VolumeProblem::Timeout);
            }
        }
        Ok(())
    };
    tokio::select! {
        () = volumes.gone.cancelled() => Err(VolumeProblem::Gone),
        bound = tokio::time::timeout(BIND_TIMEOUT, all_bound) => bound.unwrap_or(Err(VolumeProblem::Timeout)),
    }
}

async fn write_volume(client: &Client, node: &NodeName, write: &VolumeWrite) -> Result<(), kube::Error> {
    match write {
        VolumeWrite::Reserve(volume, claim) => {
            let claim_ref = json!({
                "apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.metadata.namespace,
                "name": claim.metadata.name, "uid": claim.metadata.uid,
            });
            let mut metadata = json!({ "resourceVersion": volume.metadata.resource_version });
            if volume.spec.as_ref().is_some_and(|spec| spec.claim_ref.is_none()) {
                metadata["annotations"] = json!({ "pv.kubernetes.io/bound-by-controller": "yes" });
            }
            let patch = Patch::Merge(json!({ "metadata": metadata, "spec": { "claimRef": claim_ref } }));
            let volumes: Api<PersistentVolume> = Api::all(client.clone());
            let name = volume.metadata.name.as_deref().unwrap_or_default();
            volumes.patch(name, &PatchParams::default(), &patch).await.map(drop)
        }
        VolumeWrite::Provision(claim) => {
            let metadata = json!({ "uid": claim.metadata.uid, "annotations": { SELECTED_NODE: &**node } });
            let claims: Api<PersistentVolumeClaim> =
                Api::namespaced(client.clone(), claim.metadata.namespace.as_deref().unwrap_or_default());
            let name = claim.metadata.name.as_deref().unwrap_or_default();
            let patch = Patch::Merge(json!({ "metadata": metadata }));
            claims.patch(name, &PatchParams::default(), &patch).await.map(drop)
        }
    }
}

async fn post_binding(client: Client, pod: &PodInfo, node: &NodeName) -> Result<(), kube::Error> {
    let binding = Binding {
        metadata: ObjectMeta {
            name: Some(pod.key.name.clone()),
            namespace: Some(pod.key.namespace.clone()),
            uid: Some(pod.uid.to_string()),
            ..ObjectMeta::default()
        },
        target: ObjectReference {
            kind: Some("Node".into()),
            name: Some(node.to_string()),
            ..ObjectReference::default()
        },
    };
    let pods: Api<Pod> = Api::namespaced(client, &pod.key.namespace);
    let post = PostParams::default();
    pods.create_subresource::<_, Value>("binding", &pod.key.name, &post, &binding).await.map(drop)
}

/// Writes the `PodScheduled` condition. A failure is logged only: the next attempt writes it again.
pub async fn write_condition(client: Client, pod: Arc<PodInfo>, patch: Value, report: Report) {
    let pods: Api<Pod> = Api::namespaced(client, &pod.key.namespace);
    let result = pods.patch_status(&pod.key.name, &PatchParams::default(), &Patch::Strategic(patch)).await;
    if let Err(error) = result
        && !is_not_found(&error)
    {
        tracing::warn!(pod = %pod.key, %error, "condition not written");
    }
    drop(report);
}

/// Makes a Pod go: says why in its status, and deletes it.
pub async fn preempt(
    client: Client,
    pod: Arc<PodInfo>,
    node: NodeName,
    victim: Arc<PodInfo>,
    now: Timestamp,
    report: Report,
) {
    let pods: Api<Pod> = Api::namespaced(client, &victim.key.namespace);
    let result = async {
        let patch = Patch::Strategic(disruption(&pod, &victim, now));
        pods.patch_status(&victim.key.name, &PatchParams::default(), &patch).await?;
        let preconditions = Some(Preconditions { uid: Some(victim.uid.to_string()), resource_version: None });
        let parameters = DeleteParams { preconditions, ..DeleteParams::default() };
        pods.delete(&victim.key.name, &parameters).await.map(drop)
    };
    report.tell(match result.await {
        Err(error) if !is_not_found(&error) => Written::NotPreempted { pod, victim, error: error.to_string() },
        _ => Written::Preempted { pod, node, victim },
    });
}

fn disruption(pod: &PodInfo, victim: &PodInfo, now: Timestamp) -> Value {
    let condition = json!({
        "type": "DisruptionTarget",
        "status": "True",
        "reason": PREEMPTED,
        "message": format!("{}: preempting to accommodate a higher priority pod", pod.scheduler_name),
        "observedGeneration": victim.generation,
        "lastTransitionTime": Time(now),
    });
    json!({ "metadata": { "uid": &*victim.uid }, "status": { "conditions": [condition] } })
}

/// The patch that makes a Pod's condition say `wanted` as of `now`; none when it says so already. Pure.
pub fn plan_condition(
    pod: &PodInfo,
    wanted: &ScheduledCondition,
    nomination: Nomination<'_>,
    now: Timestamp,
) -> Option<Value> {
    let nominated = match nomination {
        Nomination::Set(node) => Some(json!(node)),
        Nomination::Clear if pod.nominated_node.is_some() => Some(Value::Null),
        Nomination::Keep | Nomination::Clear => None,
    };
    if pod.scheduled_condition.as_ref() == Some(wanted) && nominated.is_none() {
        return None;
    }
    let mut condition = json!({
        "type": "PodScheduled",
        "status": wanted.status,
        "reason": wanted.reason,
        "message": wanted.message,
        "observedGeneration": pod.generation,
    });
    // The time is that of the last change of status, not of wording.
    if pod.scheduled_condition.as_ref().is_none_or(|present| present.status != wanted.status) {
        condition["lastTransitionTime"] = json!(Time(now));
    }
    let mut status = json!({ "conditions": [condition] });
    if let Some(nominated) = nominated {
        status["nominatedNodeName"] = nominated;
    }
    // The uid is a precondition: a new Pod of the same name is somebody else.
    Some(json!({ "metadata": { "uid": &*pod.uid }, "status": status }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_is_written_once_and_keeps_its_time_when_only_words_change() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let condition = |message: &str| ScheduledCondition {
            status: "False".into(),
            reason: "Unschedulable".into(),
            message: message.into(),
        };
        let pod = |present| {
            let pod = serde_json::from_value(json!({
                "metadata": { "name": "web", "namespace": "shop", "uid": "u1", "generation": 3 }
            }));
            PodInfo { scheduled_condition: present, ..PodInfo::of(pod.unwrap()) }
        };
        let patch = plan_condition(&pod(None), &condition("no"), Nomination::Keep, now).unwrap();
        assert_eq!(
            patch,
            json!({ "metadata": { "uid": "u1" }, "status": { "conditions": [{
                "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "no",
                "observedGeneration": 3, "lastTransitionTime": "1970-01-12T13:46:40Z" }] } })
        );
        assert_eq!(plan_condition(&pod(Some(condition("no"))), &condition("no"), Nomination::Keep, now), None);
        let patch = plan_condition(&pod(Some(condition("no"))), &condition("still no"), Nomination::Keep, now).unwrap();
        assert_eq!(patch["status"]["conditions"][0].get("lastTransitionTime"), None);
    }
}
