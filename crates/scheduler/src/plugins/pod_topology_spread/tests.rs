use client::Lister;
use serde_json::{Value, json};

use super::counts::Verdict;
use super::*;
use crate::cache::Cache;
use crate::fixtures::{cache, decide, node, pod_of};
use crate::objects::Objects;

/// Nodes a and b in zone x, c in zone y, d in zone z with a taint.
fn zones() -> Cache {
    let node = |name: &str, zone: &str| {
        node(name, json!({ "metadata": { "labels": { "zone": zone, "kubernetes.io/hostname": name } } }))
    };
    let mut cache = cache([node("a", "x"), node("b", "x"), node("c", "y")]);
    let tainted = json!({ "metadata": { "labels": { "zone": "z" } },
                          "spec": { "taints": [{ "key": "k", "effect": "NoSchedule" }] } });
    cache.set_node(crate::fixtures::node("d", tainted));
    cache
}

fn fill(cache: &mut Cache, counts: &[(&str, usize)]) {
    for (node, count) in counts {
        for number in 0..*count {
            cache.assume(pod_of(&format!("{node}{number}"), json!({ "app": "web" }), json!({})), &(*node).into());
        }
    }
}

fn constrained(more: Value) -> Value {
    let mut constraint = json!({ "maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule",
                                 "labelSelector": { "matchLabels": { "app": "web" } } });
    crate::fixtures::merge(&mut constraint, more);
    json!({ "spec": { "topologySpreadConstraints": [constraint] } })
}

fn allowed(labels: Value, changes: &Value, cache: &Cache) -> String {
    let fits = |name: &&str| {
        let mut changes = changes.clone();
        crate::fixtures::merge(&mut changes, json!({ "spec": { "nodeName": name } }));
        decide(&pod_of("p", labels.clone(), changes), cache).is_ok()
    };
    ["a", "b", "c", "d"].into_iter().filter(fits).collect()
}

#[test]
fn no_domain_gets_more_than_the_skew_ahead() {
    let mut cache = zones();
    fill(&mut cache, &[("a", 2), ("c", 1)]);
    let web = || json!({ "app": "web" });
    let cases = [
        ("zone z is empty, and counts though it is tainted", web(), json!({}), ""),
        ("taints honored: z is no domain", web(), json!({ "nodeTaintsPolicy": "Honor" }), "c"),
        ("a larger skew", web(), json!({ "maxSkew": 3 }), "abc"),
        ("a Pod that is not counted itself", json!({}), json!({}), "c"),
        ("fewer domains than asked for", web(), json!({ "nodeTaintsPolicy": "Honor", "minDomains": 3 }), ""),
        ("by node", web(), json!({ "topologyKey": "kubernetes.io/hostname" }), "b"),
        ("no label", web(), json!({ "topologyKey": "rack" }), ""),
        ("only ranking", web(), json!({ "whenUnsatisfiable": "ScheduleAnyway" }), "abc"),
        (
            "its own version has no Pods yet",
            json!({ "app": "web", "v": "2" }),
            json!({ "matchLabelKeys": ["v"] }),
            "abc",
        ),
    ];
    for (case, labels, more, expected) in cases {
        assert_eq!(allowed(labels, &constrained(more), &cache), expected, "{case}");
    }
    let elsewhere = json!({ "spec": { "nodeSelector": { "zone": "x" } } });
    let mut changes = constrained(json!({}));
    crate::fixtures::merge(&mut changes, elsewhere);
    assert_eq!(allowed(web(), &changes, &cache), "ab", "other zones are no domains for a Pod that may not go there");
    let reasons = decide(&pod_of("p", web(), constrained(json!({ "topologyKey": "rack" }))), &cache).unwrap_err();
    assert!(reasons.contains("didn't match pod topology spread constraints (missing required label)"), "{reasons}");
}

#[test]
fn pods_that_leave_are_not_counted() {
    let mut cache = zones();
    let leaving = json!({ "metadata": { "deletionTimestamp": "2026-01-01T00:00:00Z" } });
    cache.assume(pod_of("leaving", json!({ "app": "web" }), leaving), &"a".into());
    assert_eq!(allowed(json!({ "app": "web" }), &constrained(json!({})), &cache), "abc");
}

#[test]
fn what_is_thought_away_moves_the_minimum() {
    let mut cache = zones();
    fill(&mut cache, &[("a", 3), ("c", 2)]);
    let pod = pod_of("p", json!({ "app": "web" }), constrained(json!({ "nodeTaintsPolicy": "Honor" })));
    let (constraints, snapshot) = (pod.facts.spread.clone(), cache.snapshot());
    let verdicts = |counts: &Counts| ["a", "c"].map(|name| counts.verdict(&cache.node(name).unwrap().facts.labels));
    let counts = Counts::of(constraints, &pod, snapshot);
    assert_eq!(verdicts(&counts), [Verdict::Uneven, Verdict::Even]);
    let gone = &snapshot.node("a").unwrap().usage.pods[0];
    let mut fewer = counts.clone();
    fewer.change(&pod, gone, &snapshot.node("a").unwrap().facts, -1);
    assert_eq!(verdicts(&fewer), [Verdict::Even, Verdict::Even]);
    fewer.change(&pod, gone, &snapshot.node("a").unwrap().facts, -1);
    assert_eq!(verdicts(&fewer), [Verdict::Even, Verdict::Uneven]);
    assert_eq!(verdicts(&counts), [Verdict::Uneven, Verdict::Even], "the thought changed only its copy");
}

/// The ranks of nodes a, b and c.
fn scores(plugin: &PodTopologySpread, pod: &PodInfo, cache: &Cache) -> Option<Vec<i64>> {
    let (mut state, snapshot) = (CycleState::default(), cache.snapshot());
    let nodes: Vec<_> = snapshot.nodes().iter().take(3).collect();
    plugin.pre_score(&mut state, pod, snapshot, &nodes).then(|| {
        let mut scores: Vec<i64> = nodes.iter().map(|node| plugin.score(&state, pod, node, snapshot)).collect();
        plugin.normalize(&state, &nodes, &mut scores);
        scores
    })
}

#[test]
fn soft_constraints_rank_crowded_domains_lower() {
    let mut cache = zones();
    fill(&mut cache, &[("a", 3), ("c", 1)]);
    let plugin = PodTopologySpread { defaults: Defaults::system(), workloads: Objects::none().workloads };
    let soft = |key: &str| constrained(json!({ "whenUnsatisfiable": "ScheduleAnyway", "topologyKey": key }));
    let pod = |key: &str| pod_of("p", json!({ "app": "web" }), soft(key));
    // Weights are ln(2 + 2) for two zones, ln(3 + 2) for three nodes.
    assert_eq!(scores(&plugin, &pod("zone"), &cache), Some(vec![25, 25, 100]));
    assert_eq!(scores(&plugin, &pod("kubernetes.io/hostname"), &cache), Some(vec![0, 100, 60]));
    assert_eq!(scores(&plugin, &pod("rack"), &cache), Some(vec![0, 0, 0]));
    assert_eq!(scores(&plugin, &pod_of("p", json!({ "app": "web" }), json!({})), &cache), None, "in no group");
}

#[test]
fn pods_of_a_service_or_owner_are_spread_by_default() {
    let mut cache = zones();
    fill(&mut cache, &[("a", 3)]);
    let service = json!({ "metadata": { "name": "web", "namespace": "ns" }, "spec": { "selector": { "app": "web" } } });
    let set = json!({ "metadata": { "name": "web-1", "namespace": "ns" },
                      "spec": { "selector": { "matchLabels": { "app": "web" } } } });
    let owner = json!({ "metadata": { "ownerReferences": [{
        "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "web-1", "uid": "u", "controller": true }] } });
    let workloads = || Objects::none().workloads;
    let by_service =
        Workloads { services: Lister::of_objects([serde_json::from_value(service).unwrap()]), ..workloads() };
    let by_set = Workloads { replica_sets: Lister::of_objects([serde_json::from_value(set).unwrap()]), ..workloads() };
    for (workloads, changes) in [(by_service, json!({})), (by_set, owner)] {
        let plugin = PodTopologySpread { defaults: Defaults::system(), workloads };
        let pod = pod_of("p", json!({ "app": "web" }), changes);
        let scores = scores(&plugin, &pod, &cache).unwrap();
        assert!(scores[0] < scores[1] && scores[1] == scores[2], "{scores:?}");
    }
}
