use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use super::disruption::Evictions;
use super::plan::{Plan, plan as plan_with};
use crate::NODE_MONITOR_GRACE_PERIOD as GRACE_PERIOD;

fn plan(node: &Node, seen_at: Timestamp, now: Timestamp) -> Plan {
    plan_with(node, seen_at, now, GRACE_PERIOD, Evictions::At(0.1))
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_000_000 + seconds).expect("in range")
}

fn node(ready: &str, spec: Value) -> Node {
    let condition = |kind: &str, status: &str| json!({ "type": kind, "status": status, "lastHeartbeatTime": "2026-01-01T00:00:00Z" });
    let conditions = match ready {
        "" => json!([]),
        ready => json!([condition("Ready", ready), condition("MemoryPressure", "False")]),
    };
    let node = json!({ "metadata": { "name": "n" }, "spec": spec, "status": { "conditions": conditions } });
    serde_json::from_value(node).expect("a Node")
}

/// `key:effect` of the planned taints, or `unchanged`.
fn taints(node: &Node, silence_seconds: i64) -> Vec<String> {
    match plan(node, at(0), at(silence_seconds)).taints {
        None => vec!["unchanged".to_owned()],
        Some(taints) => {
            let short = |key: &str| key.trim_start_matches("node.kubernetes.io/").to_owned();
            taints.iter().map(|taint| format!("{}:{}", short(&taint.key), taint.effect)).collect()
        }
    }
}

#[test]
fn conditions_and_cordon_become_taints() {
    let not_ready = json!({ "taints": [
        { "key": "node.kubernetes.io/not-ready", "effect": "NoSchedule" },
        { "key": "mine", "effect": "NoExecute" },
    ] });
    let cases: [(Node, &[&str]); 6] = [
        (node("True", json!({})), &["unchanged"]),
        (node("False", json!({})), &["not-ready:NoSchedule", "not-ready:NoExecute"]),
        (node("True", json!({ "unschedulable": true })), &["unschedulable:NoSchedule"]),
        (node("True", not_ready.clone()), &["mine:NoExecute"]),
        (node("False", not_ready.clone()), &["not-ready:NoSchedule", "mine:NoExecute", "not-ready:NoExecute"]),
        (node("", not_ready), &["unchanged"]),
    ];
    for (node, expected) in cases {
        assert_eq!(taints(&node, 0), expected, "{node:?}");
    }
}

#[test]
fn silence_for_the_grace_period_makes_a_node_unknown_and_unreachable() {
    let silent = node("True", json!({}));
    let before = plan(&silent, at(0), at(49));
    assert_eq!((before.conditions.len(), before.look_again.as_secs(), before.taints), (0, 1, None));
    let after = plan(&silent, at(0), at(50));
    let said: Vec<String> = after
        .conditions
        .iter()
        .map(|c| format!("{} {} {}", c.type_, c.status, c.message.as_deref().unwrap_or_default()))
        .collect();
    assert_eq!(
        said,
        [
            "Ready Unknown Kubelet stopped posting node status.",
            "MemoryPressure Unknown Kubelet stopped posting node status.",
            "DiskPressure Unknown Kubelet never posted node status.",
            "PIDPressure Unknown Kubelet never posted node status.",
        ]
    );
    assert_eq!(taints(&silent, 50), ["unreachable:NoSchedule", "unreachable:NoExecute"]);
    assert_eq!(after.look_again, GRACE_PERIOD);
}

#[test]
fn a_taint_that_stays_keeps_its_time() {
    let first = plan(&node("False", json!({})), at(0), at(1)).taints.expect("new taints");
    let again = node("False", json!({ "taints": first }));
    assert_eq!(plan(&again, at(0), at(30)).taints, None);
}

#[test]
fn nothing_is_evicted_where_everything_seems_lost() {
    let silent = node("True", json!({}));
    let taints = |evictions: Evictions, node: &Node| {
        let plan = plan_with(node, at(0), at(60), GRACE_PERIOD, evictions);
        let taints = plan.taints.unwrap_or_default();
        taints.into_iter().map(|taint| taint.effect).collect::<Vec<_>>()
    };
    assert_eq!(taints(Evictions::At(0.1), &silent), ["NoSchedule", "NoExecute"]);
    assert_eq!(taints(Evictions::Stopped, &silent), ["NoSchedule"]);
    assert_eq!(taints(Evictions::Paused, &silent), ["NoSchedule"]);
    let evicting = json!({ "taints": [{ "key": "node.kubernetes.io/unreachable", "effect": "NoExecute" }] });
    let told = node("Unknown", evicting);
    assert_eq!(taints(Evictions::Stopped, &told), ["NoSchedule"]);
    let evicts = |node: &Node| plan_with(node, at(0), at(60), GRACE_PERIOD, Evictions::At(0.1)).evicts;
    assert!(evicts(&silent) && !evicts(&told), "only the first taint counts");
    assert_eq!(taints(Evictions::Paused, &told), ["NoExecute", "NoSchedule"]);
}
