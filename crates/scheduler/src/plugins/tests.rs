use serde_json::{Value, json};

use crate::cache::Cache;
use crate::cycle_state::CycleState;
use crate::fixtures::{asking, cache, node, pod, profile};
use crate::node_info::NodeInfo;

fn answer(cache: &Cache, pod_spec: Value) -> String {
    let (profile, mut state, pod) = (profile(), CycleState::default(), pod("p", pod_spec));
    profile.pre_filter(&mut state, &pod, cache.snapshot()).expect("nothing is wrong with all nodes");
    match profile.filter(&state, &pod, &cache.snapshot().nodes()[0]) {
        Ok(()) => "fits".to_owned(),
        Err(rejection) => {
            let cure = if rejection.curable { " (curable)" } else { "" };
            format!("{}{cure}", rejection.message())
        }
    }
}

#[test]
fn filters_say_why_in_upstreams_words() {
    let taint = |effect: &str| json!({ "spec": { "taints": [{ "key": "k", "value": "v", "effect": effect }] } });
    let tolerating = |toleration: Value| json!({ "containers": [{ "name": "c" }], "tolerations": [toleration] });
    let any = || json!({ "containers": [{ "name": "c" }] });
    let cordoned = || json!({ "spec": { "unschedulable": true } });
    let cases = [
        (json!({}), any(), "fits"),
        (cordoned(), any(), "node(s) were unschedulable"),
        (cordoned(), tolerating(json!({ "key": "node.kubernetes.io/unschedulable", "operator": "Exists" })), "fits"),
        (json!({}), json!({ "containers": [], "nodeName": "b" }), "node(s) didn't match the requested node name"),
        (taint("NoSchedule"), any(), "node(s) had untolerated taint(s)"),
        (taint("NoExecute"), any(), "node(s) had untolerated taint(s)"),
        (taint("PreferNoSchedule"), any(), "fits"),
        (taint("NoSchedule"), tolerating(json!({ "key": "k", "value": "v" })), "fits"),
        (taint("NoSchedule"), tolerating(json!({ "key": "k", "value": "w" })), "node(s) had untolerated taint(s)"),
        (taint("NoSchedule"), tolerating(json!({ "operator": "Exists" })), "fits"),
        (
            taint("NoSchedule"),
            tolerating(json!({ "key": "k", "operator": "Exists", "effect": "NoExecute" })),
            "node(s) had untolerated taint(s)",
        ),
        (
            json!({}),
            json!({ "containers": [], "nodeSelector": { "disk": "ssd" } }),
            "node(s) didn't match Pod's node affinity/selector",
        ),
        (json!({}), asking(json!({ "cpu": "4", "memory": "8Gi", "ephemeral-storage": "10Gi" })), "fits"),
        (json!({}), asking(json!({ "cpu": "5" })), "Insufficient cpu"),
        (json!({}), asking(json!({ "cpu": "5", "memory": "9Gi" })), "Insufficient cpu, Insufficient memory"),
        (json!({}), asking(json!({ "x.io/gpu": "1" })), "Insufficient x.io/gpu"),
        (
            json!({ "status": { "allocatable": { "pods": "0" } } }),
            asking(json!({ "ephemeral-storage": "11Gi" })),
            "Too many pods, Insufficient ephemeral-storage",
        ),
        (json!({ "status": { "allocatable": { "pods": "0" } } }), any(), "Too many pods (curable)"),
    ];
    for (node_changes, spec, expected) in cases {
        let cache = cache([node("a", node_changes.clone())]);
        assert_eq!(answer(&cache, spec.clone()), expected, "{node_changes} {spec}");
    }
}

#[test]
fn what_other_pods_use_can_be_cured() {
    let mut cache = cache([node("a", json!({}))]);
    let port = json!({ "containers": [{ "name": "c", "ports": [{ "containerPort": 80, "hostPort": 80 }],
                                        "resources": { "requests": { "cpu": "3" } } }] });
    cache.assume(pod("other", port.clone()), &"a".into());
    assert_eq!(answer(&cache, port), "node(s) didn't have free ports for the requested pod ports (curable)");
    assert_eq!(answer(&cache, asking(json!({ "cpu": "2" }))), "Insufficient cpu (curable)");
    assert_eq!(answer(&cache, asking(json!({ "cpu": "1" }))), "fits");
}

#[test]
fn scores_follow_free_share_balance_preferences_and_soft_taints() {
    let mut cache = cache([
        node("a", json!({ "metadata": { "labels": { "zone": "z" } } })),
        node("b", json!({ "spec": { "taints": [{ "key": "k", "effect": "PreferNoSchedule" }] } })),
    ]);
    cache.assume(pod("other", asking(json!({ "cpu": "2", "memory": "1Gi" }))), &"a".into());
    let preferring = json!({
        "containers": [{ "name": "c", "resources": { "requests": { "cpu": "1", "memory": "1Gi" } } }],
        "affinity": { "nodeAffinity": { "preferredDuringSchedulingIgnoredDuringExecution": [
            { "weight": 7, "preference": { "matchExpressions": [{ "key": "zone", "operator": "Exists" }] } }] } } });
    let pod = pod("p", preferring);
    let (profile, mut state) = (profile(), CycleState::default());
    let nodes: Vec<&NodeInfo> = cache.snapshot().nodes().iter().collect();
    let mut scores = Vec::new();
    for (weight, plugin) in &profile.scores {
        if plugin.pre_score(&mut state, &pod, cache.snapshot(), &nodes) {
            let mut of_nodes: Vec<i64> =
                nodes.iter().map(|node| plugin.score(&state, &pod, node, cache.snapshot())).collect();
            plugin.normalize(&state, &nodes, &mut of_nodes);
            scores.push((*weight, of_nodes[0], of_nodes[1]));
        }
    }
    // a: 3 of 4 CPUs and 2 of 8 GiB would be used; b: 1 of 4 and 1 of 8.
    assert_eq!(scores, [(3, 100, 0), (2, 100, 0), (1, 50, 81), (1, 75, 93)]);
}

#[test]
fn disks_named_by_pods_are_shared_by_readers_at_most() {
    let disk = |source: Value| json!({ "containers": [], "volumes": [{ "name": "v", "gcePersistentDisk": source }] });
    let aws = |id: &str| json!({ "containers": [], "volumes": [{ "name": "v", "awsElasticBlockStore": { "volumeID": id } }] });
    let mut cache = cache([node("a", json!({}))]);
    cache.assume(pod("reader", disk(json!({ "pdName": "d", "readOnly": true }))), &"a".into());
    cache.assume(pod("aws", aws("e")), &"a".into());
    let taken = "node(s) had no available disk (curable)";
    assert_eq!(answer(&cache, disk(json!({ "pdName": "d", "readOnly": true }))), "fits");
    assert_eq!(answer(&cache, disk(json!({ "pdName": "d" }))), taken);
    assert_eq!(answer(&cache, disk(json!({ "pdName": "other" }))), "fits");
    assert_eq!(answer(&cache, aws("e")), taken);
}
