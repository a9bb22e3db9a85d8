//! Whether an object is ready, and why not, in a word each. Pure.

use serde_json::Value;

/// What is said of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readiness {
    /// `2/3`, `True`, `False`, or `-` for kinds that are never anything else.
    pub ready: String,
    /// Why; empty when there is nothing to say.
    pub reason: String,
}

/// Reads what an object says of itself.
pub fn of(kind: &str, object: &Value) -> Readiness {
    let (spec, status) = (&object["spec"], &object["status"]);
    let count = |value: &Value| value.as_i64().unwrap_or(0);
    let shares = match kind {
        "DaemonSet" => Some((count(&status["numberReady"]), count(&status["desiredNumberScheduled"]))),
        "Job" => Some((count(&status["succeeded"]), spec["completions"].as_i64().unwrap_or(1))),
        "PodDisruptionBudget" => Some((count(&status["currentHealthy"]), count(&status["desiredHealthy"]))),
        _ if spec["replicas"].is_i64() => Some((count(&status["readyReplicas"]), count(&spec["replicas"]))),
        _ => None,
    };
    let ready = match (shares, condition(status, "Ready").or_else(|| condition(status, "Available"))) {
        (Some((ready, all)), _) => format!("{ready}/{all}"),
        (None, Some(condition)) => text(&condition["status"]),
        (None, None) => status["phase"].as_str().map_or_else(|| "-".to_owned(), str::to_owned),
    };
    Readiness { ready, reason: reason(object) }
}

fn reason(object: &Value) -> String {
    let status = &object["status"];
    if object["metadata"]["deletionTimestamp"].is_string() {
        return "Terminating".to_owned();
    }
    let containers = ["initContainerStatuses", "containerStatuses"].into_iter();
    let containers = containers.flat_map(|list| status[list].as_array().into_iter().flatten());
    let waiting = containers.filter_map(|container| container["state"]["waiting"]["reason"].as_str());
    // That a container is being made says less than why it is not.
    let waiting = waiting.min_by_key(|reason| matches!(*reason, "ContainerCreating" | "PodInitializing"));
    let wrong = [("ReplicaFailure", "True"), ("Failed", "True"), ("Progressing", "False"), ("Ready", "False")];
    let wrong = wrong.into_iter().chain([("PodScheduled", "False"), ("Available", "False"), ("Complete", "True")]);
    let told = wrong.filter_map(|(kind, state)| condition(status, kind).filter(|it| it["status"] == state));
    let told = told.map(|condition| text(&condition["reason"])).find(|reason| !reason.is_empty());
    waiting.or_else(|| status["reason"].as_str()).map(str::to_owned).or(told).unwrap_or_default()
}

fn condition<'a>(status: &'a Value, kind: &str) -> Option<&'a Value> {
    status["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn each_kind_says_it_its_own_way() {
        let condition =
            |kind: &str, status: &str, reason: &str| json!({"type": kind, "status": status, "reason": reason});
        let unready = condition("Ready", "False", "ContainersNotReady");
        let cases = [
            ("Deployment", json!({"spec": {"replicas": 3}, "status": {"readyReplicas": 2}}), "2/3", ""),
            (
                "Deployment",
                json!({"spec": {"replicas": 1}, "status": {"conditions":
                    [condition("Progressing", "False", "ProgressDeadlineExceeded")]}}),
                "0/1",
                "ProgressDeadlineExceeded",
            ),
            (
                "ReplicaSet",
                json!({"spec": {"replicas": 1}, "status": {"conditions":
                    [condition("ReplicaFailure", "True", "FailedCreate")]}}),
                "0/1",
                "FailedCreate",
            ),
            ("DaemonSet", json!({"status": {"numberReady": 1, "desiredNumberScheduled": 2}}), "1/2", ""),
            ("Job", json!({"spec": {"completions": 2}, "status": {"succeeded": 1}}), "1/2", ""),
            ("Pod", json!({"status": {"conditions": [unready]}}), "False", "ContainersNotReady"),
            (
                "Pod",
                json!({"status": {"conditions": [unready], "containerStatuses": [
                    {"state": {"waiting": {"reason": "ContainerCreating"}}},
                    {"state": {"waiting": {"reason": "ErrImagePull"}}}]}}),
                "False",
                "ErrImagePull",
            ),
            (
                "Pod",
                json!({"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"},
                       "status": {"conditions": [condition("Ready", "True", "")]}}),
                "True",
                "Terminating",
            ),
            ("Pod", json!({"status": {"phase": "Failed", "reason": "Evicted"}}), "Failed", "Evicted"),
            ("ConfigMap", json!({"data": {}}), "-", ""),
            ("PersistentVolumeClaim", json!({"status": {"phase": "Bound"}}), "Bound", ""),
        ];
        for (kind, object, ready, reason) in cases {
            let said = of(kind, &object);
            assert_eq!((said.ready.as_str(), said.reason.as_str()), (ready, reason), "{kind} {object}");
        }
    }
}
