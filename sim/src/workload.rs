//! What users do: a closed list of operations on a handful of names.

use client::Client;
use http::Request;
use serde_json::{Value, json};
use testkit::dice::Dice;

use crate::world::{Object, World};

/// Namespaces of the workload.
pub const NAMESPACES: &[&str] = &["a", "b"];
const NAMES: &[&str] = &["x", "y"];

/// What users make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Pods behind ReplicaSets.
    Deployment,
    /// Pods of one template.
    ReplicaSet,
    /// Pods with names.
    StatefulSet,
    /// Pods on every node.
    DaemonSet,
    /// Pods that run to an end.
    Job,
    /// Jobs now and then.
    CronJob,
    /// How many there may be.
    ResourceQuota,
    /// How many may be missing.
    PodDisruptionBudget,
}

/// What users make, by how often.
const KINDS: &[Kind] = &[
    Kind::Deployment,
    Kind::Deployment,
    Kind::Deployment,
    Kind::ReplicaSet,
    Kind::StatefulSet,
    Kind::StatefulSet,
    Kind::DaemonSet,
    Kind::Job,
    Kind::Job,
    Kind::CronJob,
    Kind::ResourceQuota,
    Kind::PodDisruptionBudget,
];

impl Kind {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::ReplicaSet => "ReplicaSet",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
            Self::Job => "Job",
            Self::CronJob => "CronJob",
            Self::ResourceQuota => "ResourceQuota",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
        }
    }

    fn version(self) -> &'static str {
        match self {
            Self::Deployment | Self::ReplicaSet | Self::StatefulSet | Self::DaemonSet => "apps/v1",
            Self::Job | Self::CronJob => "batch/v1",
            Self::ResourceQuota => "v1",
            Self::PodDisruptionBudget => "policy/v1",
        }
    }

    fn path(self, namespace: &str) -> String {
        let root = if self.version() == "v1" { "api" } else { "apis" };
        format!("/{root}/{}/namespaces/{namespace}/{}s", self.version(), self.name().to_lowercase())
    }
}

/// One act of a user.
#[derive(Debug, Clone, PartialEq)]
pub struct Act {
    method: &'static str,
    path: String,
    body: Value,
}

impl Act {
    /// Does it. Being refused is part of the game.
    pub async fn carry_out(&self, admin: &Client) -> String {
        let kind = match self.method {
            "PATCH" => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder().method(self.method).uri(&self.path).header("content-type", kind);
        let request = request.body(self.body.to_string().into_bytes()).expect("a request");
        match admin.request_text(request).await {
            Ok(_) => "done".to_owned(),
            Err(error) => error.to_string(),
        }
    }

    fn patch(path: String, body: Value) -> Self {
        Self { method: "PATCH", path, body }
    }
}

impl std::fmt::Display for Act {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} {} {}", self.method, self.path, self.body)
    }
}

/// A namespace.
pub fn namespace(name: &str) -> Act {
    let body = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
    Act { method: "POST", path: "/api/v1/namespaces".to_owned(), body }
}

/// No further Jobs, and nothing holds Pods back: what has to be before the cluster can come to rest.
pub fn suspend(namespace: &str, name: &str) -> Act {
    Act::patch(format!("{}/{name}", Kind::CronJob.path(namespace)), json!({ "spec": { "suspend": true } }))
}

/// The node takes Pods or does not.
pub fn cordon(node: &str, unschedulable: bool) -> Act {
    Act::patch(format!("/api/v1/nodes/{node}"), json!({ "spec": { "unschedulable": unschedulable } }))
}

/// Removes a Pod, with the eviction subresource or without.
pub fn remove_pod(dice: &mut Dice, world: &World, evict: bool) -> Option<Act> {
    let pods: Vec<_> = world.of_kind("Pod").filter(|(_, pod)| pod.is_active()).collect();
    if pods.is_empty() {
        return None;
    }
    let (key, _) = dice.choose(&pods);
    let path = format!("/api/v1/namespaces/{}/pods/{}", key.namespace, key.name);
    if !evict {
        return Some(Act { method: "DELETE", path, body: json!({}) });
    }
    let body = json!({ "apiVersion": "policy/v1", "kind": "Eviction",
                       "metadata": { "name": key.name, "namespace": key.namespace } });
    Some(Act { method: "POST", path: format!("{path}/eviction"), body })
}

/// What a user does next, given what there is.
pub fn next_act(dice: &mut Dice, world: &World) -> Act {
    let namespace = *dice.choose(NAMESPACES);
    if world.get("Namespace", "", namespace).is_none() {
        return self::namespace(namespace);
    }
    if dice.per_mille(15) {
        return Act { method: "DELETE", path: format!("/api/v1/namespaces/{namespace}"), body: json!({}) };
    }
    let (kind, name) = (*dice.choose(KINDS), *dice.choose(NAMES));
    match world.get(kind.name(), namespace, name) {
        None => make(dice, kind, namespace, name),
        Some(_) if dice.per_mille(200) => delete(dice, kind, namespace, name),
        Some(object) => change(dice, kind, namespace, name, object),
    }
}

fn delete(dice: &mut Dice, kind: Kind, namespace: &str, name: &str) -> Act {
    let policy = *dice.choose(&["Background", "Background", "Foreground", "Orphan"]);
    let path = format!("{}/{name}", kind.path(namespace));
    Act { method: "DELETE", path, body: json!({ "propagationPolicy": policy }) }
}

fn make(dice: &mut Dice, kind: Kind, namespace: &str, name: &str) -> Act {
    let body = json!({
        "apiVersion": kind.version(),
        "kind": kind.name(),
        "metadata": { "name": name },
        "spec": spec(dice, kind, name),
    });
    Act { method: "POST", path: kind.path(namespace), body }
}

fn replicas(dice: &mut Dice) -> usize {
    dice.below(7)
}

fn template(dice: &mut Dice, labels: &Value, restart: &str) -> Value {
    let cpu = *dice.choose(&["100m", "250m", "500m"]);
    let version = dice.below(4);
    let container = json!({ "name": "c", "image": format!("image:{version}"),
                            "resources": { "requests": { "cpu": cpu } } });
    let spec = json!({ "containers": [container], "restartPolicy": restart });
    json!({ "metadata": { "labels": labels }, "spec": spec })
}

fn share(dice: &mut Dice, least: usize) -> Value {
    match dice.below(3) {
        0 => json!(format!("{}%", 25 * (dice.below(3) + least))),
        _ => json!(dice.below(3) + least),
    }
}

fn spec(dice: &mut Dice, kind: Kind, name: &str) -> Value {
    let labels = json!({ "kind": kind.name(), "app": name });
    let selector = json!({ "matchLabels": labels });
    match kind {
        Kind::Deployment => {
            let mut spec = json!({ "replicas": replicas(dice), "selector": selector,
                                   "template": template(dice, &labels, "Always"),
                                   "revisionHistoryLimit": dice.below(3) });
            spec["strategy"] = if dice.one_in(5) { json!({ "type": "Recreate" }) } else { rolling(dice) };
            spec
        }
        Kind::ReplicaSet => json!({ "replicas": replicas(dice), "selector": selector,
                                    "template": template(dice, &labels, "Always") }),
        Kind::StatefulSet => {
            let policy = *dice.choose(&["OrderedReady", "OrderedReady", "Parallel"]);
            let mut spec = json!({ "replicas": dice.below(5), "selector": selector, "serviceName": name,
                                   "podManagementPolicy": policy, "template": template(dice, &labels, "Always") });
            if dice.one_in(4) {
                let partition = dice.below(4);
                spec["updateStrategy"] =
                    json!({ "type": "RollingUpdate", "rollingUpdate": { "partition": partition } });
            }
            spec
        }
        Kind::DaemonSet => {
            let mut spec = json!({ "selector": selector, "template": template(dice, &labels, "Always") });
            spec["updateStrategy"] = match dice.below(4) {
                0 => json!({ "type": "OnDelete" }),
                1 => json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": 0 } }),
                _ => json!({ "type": "RollingUpdate", "rollingUpdate": { "maxUnavailable": dice.below(2) + 1 } }),
            };
            spec
        }
        Kind::Job => job(dice, name),
        Kind::CronJob => {
            let policy = *dice.choose(&["Allow", "Forbid", "Replace"]);
            let mut job = job(dice, name);
            job["completions"] = json!(1);
            job["parallelism"] = json!(1);
            json!({ "schedule": "* * * * *", "concurrencyPolicy": policy, "jobTemplate": { "spec": job },
                    "successfulJobsHistoryLimit": dice.below(3), "failedJobsHistoryLimit": dice.below(2) })
        }
        Kind::ResourceQuota => json!({ "hard": hard(dice) }),
        Kind::PodDisruptionBudget => {
            let kind = *dice.choose(&["Deployment", "ReplicaSet", "StatefulSet"]);
            let bound = *dice.choose(&["minAvailable", "maxUnavailable"]);
            json!({ bound: share(dice, 0), "selector": { "matchLabels": { "kind": kind, "app": name } } })
        }
    }
}

fn rolling(dice: &mut Dice) -> Value {
    let (surge, unavailable) = (dice.below(3), share(dice, 0));
    let unavailable = if surge == 0 { share(dice, 1) } else { unavailable };
    json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable } })
}

fn job(dice: &mut Dice, name: &str) -> Value {
    let labels = json!({ "job": name });
    let mut spec = json!({ "completions": dice.below(5) + 1, "parallelism": dice.below(4) + 1,
                           "backoffLimit": dice.below(5), "template": template(dice, &labels, "Never") });
    if dice.one_in(2) {
        spec["completionMode"] = json!("Indexed");
    }
    if dice.one_in(4) {
        spec["ttlSecondsAfterFinished"] = json!(dice.below(60));
    }
    spec
}

fn hard(dice: &mut Dice) -> Value {
    json!({ "pods": (dice.below(20) + 4).to_string(), "requests.cpu": (dice.below(6) + 1).to_string() })
}

fn change(dice: &mut Dice, kind: Kind, namespace: &str, name: &str, object: &Object) -> Act {
    let labels = object.at("/spec/template/metadata/labels").cloned().unwrap_or_default();
    let spec = match kind {
        Kind::Deployment => match dice.below(8) {
            0..=2 => json!({ "replicas": replicas(dice) }),
            3..=5 => json!({ "template": template(dice, &labels, "Always") }),
            6 => json!({ "strategy": rolling(dice) }),
            _ => json!({ "paused": object.at("/spec/paused") != Some(&Value::Bool(true)) }),
        },
        Kind::ReplicaSet => json!({ "replicas": replicas(dice) }),
        Kind::StatefulSet if dice.one_in(2) => json!({ "replicas": dice.below(5) }),
        Kind::StatefulSet | Kind::DaemonSet => json!({ "template": template(dice, &labels, "Always") }),
        Kind::Job if dice.one_in(3) => json!({ "suspend": object.at("/spec/suspend") != Some(&Value::Bool(true)) }),
        Kind::Job => json!({ "parallelism": dice.below(4) }),
        Kind::CronJob => json!({ "suspend": dice.one_in(2) }),
        Kind::ResourceQuota => json!({ "hard": hard(dice) }),
        Kind::PodDisruptionBudget => json!({ "selector": object.at("/spec/selector") }),
    };
    Act::patch(format!("{}/{name}", kind.path(namespace)), json!({ "spec": spec }))
}
