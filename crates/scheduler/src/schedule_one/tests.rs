use serde_json::json;

use super::*;
use crate::fixtures::{asking, cache, node, pod};

fn no_claims() -> Result<VolumeNeeds, String> {
    Ok(VolumeNeeds::default())
}

#[test]
fn the_emptiest_node_wins_and_ties_are_random() {
    let mut cache = cache(["a", "b", "c"].map(|name| node(name, json!({}))));
    cache.assume(pod("other", asking(json!({ "cpu": "2" }))), &"b".into());
    let pod = pod("p", asking(json!({ "cpu": "1" })));
    let chosen = |random| match schedule_one(&pod, &no_claims(), cache.nodes(), random) {
        Decision::Node(node) => node.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!((0..4).map(chosen).collect::<Vec<_>>(), ["a", "c", "a", "c"]);
}

#[test]
fn without_nodes_there_is_nothing_to_explain() {
    assert_eq!(schedule_one(&pod("p", json!({ "containers": [] })), &no_claims(), &[], 0), Decision::NoNodes);
}

#[test]
fn reasons_are_counted_and_sorted_as_upstream_does() {
    let cordoned = json!({ "spec": { "unschedulable": true } });
    let mut nodes = cache([
        node("full", json!({})),
        node("cordoned", cordoned),
        node("small", json!({ "status": { "allocatable": { "cpu": "1" } } })),
    ]);
    nodes.assume(pod("other", asking(json!({ "cpu": "3" }))), &"full".into());
    let wanting = |extra: serde_json::Value| {
        let mut spec = asking(json!({ "cpu": "2" }));
        if let Some(policy) = extra.as_str() {
            spec["preemptionPolicy"] = json!(policy);
        }
        pod("p", spec)
    };
    let message = |pod: &PodInfo, cache: &crate::cache::Cache| match schedule_one(pod, &no_claims(), cache.nodes(), 0) {
        Decision::Unfit(unfit) => unfit.message(&pod.facts),
        other => panic!("{other:?}"),
    };
    assert_eq!(
        message(&wanting(json!(null)), &nodes),
        "0/3 nodes are available: 1 node(s) were unschedulable, 2 Insufficient cpu. \
         no new claims to deallocate, preemption: 0/3 nodes are available: \
         1 No preemption victims found for incoming pod, 2 Preemption is not helpful for scheduling."
    );
    assert!(
        message(&wanting(json!("Never")), &nodes).ends_with("preemption: not eligible due to preemptionPolicy=Never.")
    );
    let selecting = pod("p", json!({ "containers": [], "nodeSelector": { "disktype": "ssd" } }));
    assert_eq!(
        message(&selecting, &cache([node("only", json!({}))])),
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. \
         no new claims to deallocate, preemption: 0/1 nodes are available: \
         1 Preemption is not helpful for scheduling."
    );
}

#[test]
fn what_holds_for_all_nodes_ends_the_search_for_victims() {
    let claims = Err("pod has unbound immediate PersistentVolumeClaims".to_owned());
    let pod = pod("p", json!({ "containers": [] }));
    let Decision::Unfit(unfit) = schedule_one(&pod, &claims, cache([node("only", json!({}))]).nodes(), 0) else {
        panic!("no node may be chosen")
    };
    assert_eq!(
        unfit.message(&pod.facts),
        "0/1 nodes are available: pod has unbound immediate PersistentVolumeClaims. not found"
    );
}
