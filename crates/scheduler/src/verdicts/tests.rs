use serde_json::{Value, json};

use super::*;
use crate::fixtures::{asking, cache, merge, node, pod, profile};
use crate::node_info::NodeFacts;
use crate::schedule_one::{Decision, Turn, schedule_one};

fn attempt(nodes: Vec<Arc<NodeFacts>>, spec: Value) -> Attempt {
    let (profile, pod, cache) = (profile(), pod("web", spec), cache(nodes));
    let (Decision::Unfit { state, .. }, _) = schedule_one(&profile, &pod, cache.snapshot(), Turn::default()) else {
        panic!("a node took it")
    };
    Attempt::explain(&profile, &state, &pod, cache.snapshot())
}

fn check(nodes: Vec<Arc<NodeFacts>>, spec: Value, expected: &str) {
    assert_eq!(attempt(nodes, spec).nearest.as_deref(), Some(expected));
}

fn tainted(name: &str) -> Arc<NodeFacts> {
    node(name, json!({ "spec": { "taints": [{ "key": "x", "value": "y", "effect": "NoSchedule" }] } }))
}

fn with(mut spec: Value, more: Value) -> Value {
    merge(&mut spec, more);
    spec
}

#[test]
fn the_nearest_miss_is_said_in_one_sentence() {
    let cpu = |amount: &str| asking(json!({ "cpu": amount }));
    check(vec![node("n1", json!({}))], cpu("4200m"), "needs 200m more CPU on n1");
    check(vec![node("n1", json!({}))], cpu("6"), "needs 2 more CPU on n1");
    check(vec![tainted("n1")], cpu("1"), "tolerate taint x=y:NoSchedule and it fits n1");
    let cordoned = node("n1", json!({ "spec": { "unschedulable": true } }));
    check(vec![cordoned], cpu("1"), "uncordon n1 and it fits n1");
    let large = asking(json!({ "cpu": "5", "memory": "9Gi" }));
    check(vec![node("n1", json!({}))], large, "needs 1 more CPU and 1Gi more memory on n1");
    check(vec![tainted("n1")], cpu("5"), "needs 1 more CPU on n1; tolerate taint x=y:NoSchedule");
    let gpu = asking(json!({ "example.com/gpu": "2" }));
    check(vec![node("n1", json!({}))], gpu, "needs 2 more example.com/gpu on n1");
    let ssd = with(cpu("1"), json!({ "nodeSelector": { "disk": "ssd", "zone": "a" } }));
    let in_zone = node("n1", json!({ "metadata": { "labels": { "zone": "a" } } }));
    check(vec![in_zone], ssd, "label n1 disk=ssd and it fits n1");
    let full = node("n1", json!({ "status": { "allocatable": { "pods": "0" } } }));
    check(vec![full], cpu("1"), "needs room for one more Pod on n1");
    let terms = json!([{ "matchExpressions": [{ "key": "gpu", "operator": "Exists" }] }]);
    let affinity =
        json!({ "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms } } });
    let picky = with(cpu("1"), json!({ "affinity": affinity }));
    check(vec![node("n1", json!({}))], picky, "on n1: node(s) didn't match Pod's node affinity/selector");
}

#[test]
fn the_node_with_the_fewest_and_smallest_obstacles_is_the_nearest() {
    let smaller = node("n0", json!({ "status": { "allocatable": { "cpu": "1" } } }));
    let nodes = vec![smaller, tainted("n1"), node("n2", json!({}))];
    let attempt = attempt(nodes, asking(json!({ "cpu": "4200m" })));
    assert_eq!(attempt.nearest.as_deref(), Some("needs 200m more CPU on n2"));
    let order: Vec<&str> = attempt.nodes.iter().map(|verdict| verdict.node.as_str()).collect();
    assert_eq!(order, ["n2", "n0", "n1"]);
    let plugins: Vec<&str> = attempt.nodes[2].obstacles.iter().map(|obstacle| &*obstacle.plugin).collect();
    assert_eq!(plugins, ["TaintToleration", "NodeResourcesFit"]);
}

#[test]
fn a_large_cluster_is_told_of_in_part() {
    let nodes = (0..NODES_PER_POD + 5).map(|number| node(&format!("n{number}"), json!({}))).collect();
    let attempt = attempt(nodes, asking(json!({ "cpu": "9" })));
    assert_eq!((attempt.nodes.len(), attempt.omitted), (NODES_PER_POD, 5));
}

#[test]
fn the_oldest_attempts_are_forgotten_first() {
    let verdicts = Verdicts::default();
    let verdict = NodeVerdict { node: "n".to_owned(), obstacles: Vec::new() };
    let attempt = |pod: &PodInfo| Attempt { nodes: vec![verdict.clone(); 99], ..Attempt::nowhere(pod) };
    let pods: Vec<_> =
        (0..=NODES_LIMIT / 100).map(|number| pod(&format!("p{number}"), json!({"containers": []}))).collect();
    verdicts.keep(&pods[0].key, attempt(&pods[0]));
    for pod in &pods[1..] {
        verdicts.keep(&pod.key, attempt(pod));
        // The first is tried again and again, so the second is the oldest.
        verdicts.keep(&pods[0].key, attempt(&pods[0]));
    }
    assert!(verdicts.of("ns", "p0").is_some());
    assert!(verdicts.of("ns", "p1").is_none());
    assert!(verdicts.of("ns", "p2").is_some());
    verdicts.forget(&pods[2].key);
    assert!(verdicts.of("ns", "p2").is_none());
}
