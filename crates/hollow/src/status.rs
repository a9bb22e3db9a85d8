//! The statuses that a hollow node writes. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde_json::{Value, json};

use crate::pod::{HollowPod, Hull};

/// The patch that says: it runs and is ready.
pub fn running(pod: &HollowPod, address: &str, now: Timestamp) -> Value {
    let state = json!({ "running": { "startedAt": Time(now) } });
    let ended = json!({ "terminated": { "exitCode": 0, "reason": "Completed", "startedAt": Time(now), "finishedAt": Time(now) } });
    let initial: Vec<Value> = pod.init_containers.iter().map(|one| container(pod, one, &ended, true, false)).collect();
    let regular: Vec<Value> = pod.containers.iter().map(|one| container(pod, one, &state, true, true)).collect();
    let mut status = json!({
        "phase": "Running", "startTime": Time(now),
        "podIP": address, "podIPs": [{ "ip": address }],
        "observedGeneration": pod.generation,
        "conditions": [
            condition("PodReadyToStartContainers", "True", None, now),
            condition("Initialized", "True", None, now),
            condition("Ready", "True", None, now),
            condition("ContainersReady", "True", None, now),
        ],
        "containerStatuses": regular,
    });
    if !initial.is_empty() {
        status["initContainerStatuses"] = json!(initial);
    }
    json!({ "metadata": { "uid": pod.uid }, "status": status })
}

/// The patch that says: it is ready after all.
pub fn recovered(pod: &HollowPod, now: Timestamp) -> Value {
    json!({ "metadata": { "uid": pod.uid }, "status": { "conditions": [condition("Ready", "True", None, now)] } })
}

/// The patch that says: it has succeeded.
pub fn succeeded(pod: &HollowPod, now: Timestamp) -> Value {
    let started = Time(pod.started.unwrap_or(now));
    let ended = json!({ "terminated": { "exitCode": 0, "reason": "Completed", "startedAt": started, "finishedAt": Time(now) } });
    let regular: Vec<Value> = pod.containers.iter().map(|one| container(pod, one, &ended, false, false)).collect();
    let completed = Some("PodCompleted");
    json!({ "metadata": { "uid": pod.uid }, "status": {
        "phase": "Succeeded",
        "conditions": [
            condition("PodReadyToStartContainers", "False", None, now),
            condition("Initialized", "True", completed, now),
            condition("Ready", "False", completed, now),
            condition("ContainersReady", "False", completed, now),
        ],
        "containerStatuses": regular,
    } })
}

fn container(pod: &HollowPod, Hull { name, image }: &Hull, state: &Value, ready: bool, started: bool) -> Value {
    json!({
        "name": name, "image": image, "imageID": image, "containerID": format!("hollow://{}/{name}", pod.uid),
        "ready": ready, "started": started, "restartCount": 0, "state": state,
    })
}

fn condition(kind: &str, status: &str, reason: Option<&str>, now: Timestamp) -> Value {
    let mut condition =
        json!({ "type": kind, "status": status, "lastProbeTime": null, "lastTransitionTime": Time(now) });
    if let Some(reason) = reason {
        condition["reason"] = json!(reason);
    }
    condition
}
