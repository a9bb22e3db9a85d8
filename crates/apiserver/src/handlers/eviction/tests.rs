use serde_json::{Value, json};

use super::*;

fn attempt(status: Value) -> Result<PodDisruptionBudgetStatus, String> {
    let mut status: PodDisruptionBudgetStatus = serde_json::from_value(status).expect("a status");
    let now = "2026-01-01T00:00:00Z".parse().expect("a time");
    match take_one(&mut status, "b", 2, "p", now) {
        Ok(()) => Ok(status),
        Err(Error::TooManyRequests { causes, .. }) => Err(causes[0].message.clone()),
        Err(error) => Err(error.to_string()),
    }
}

#[test]
fn a_budget_is_charged_while_it_lasts() {
    let charged = attempt(json!({"observedGeneration": 2, "disruptionsAllowed": 2})).expect("allowed");
    assert_eq!((charged.disruptions_allowed, charged.conditions), (Some(1), None));
    assert!(charged.disrupted_pods.expect("pods").contains_key("p"));
    let last = attempt(json!({"observedGeneration": 2, "disruptionsAllowed": 1})).expect("allowed");
    assert_eq!(last.conditions.expect("conditions")[0].reason, "InsufficientPods");
}

#[test]
fn a_budget_objects_in_upstreams_words() {
    let failed = json!({"type": "DisruptionAllowed", "status": "False", "reason": "SyncFailed", "message": "m",
        "lastTransitionTime": "2026-01-01T00:00:00Z"});
    for (status, text) in [
        (json!({"observedGeneration": 1}), "The disruption budget b is still being processed by the server."),
        (
            json!({"observedGeneration": 2, "desiredHealthy": 3, "currentHealthy": 1}),
            "The disruption budget b needs 3 healthy pods and has 1 currently",
        ),
        (
            json!({"observedGeneration": 2, "conditions": [failed]}),
            "The disruption budget b does not allow evicting pods currently because it failed sync: m",
        ),
        (
            json!({"observedGeneration": 2, "disruptionsAllowed": -1}),
            "poddisruptionbudget.policy \"b\" is forbidden: pdb disruptions allowed is negative",
        ),
    ] {
        assert_eq!(attempt(status.clone()), Err(text.to_owned()), "{status}");
    }
}
