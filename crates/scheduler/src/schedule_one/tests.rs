use std::sync::Arc;

use serde_json::json;

use super::*;
use crate::cache::Cache;
use crate::fixtures::{asking, cache, decide, node, pod, profile};
use crate::plugins::default_preemption::Outcome;

/// The text of a Pod's condition when no node takes it.
fn message(pod: &PodInfo, cache: &Cache) -> String {
    let profile = profile();
    let (decision, _) = schedule_one(&profile, pod, cache.snapshot(), Turn::default());
    let Decision::Unfit { unfit, state } = decision else { panic!("{decision:?}") };
    let preemption = profile.preemption.as_ref().expect("a plugin of the standard profile");
    match preemption.post_filter(&profile, &state, pod, cache.snapshot(), &unfit, 0) {
        Outcome::Nominated { .. } => unfit.message(None),
        Outcome::NotEligible(reason) => unfit.message(Some(reason)),
        Outcome::NotHelpful(text) => unfit.message(Some(&text)),
    }
}

#[test]
fn the_emptiest_node_wins_and_ties_are_random() {
    let mut cache = cache(["a", "b", "c"].map(|name| node(name, json!({}))));
    cache.assume(pod("other", asking(json!({ "cpu": "2" }))), &"b".into());
    let pod = pod("p", asking(json!({ "cpu": "1" })));
    let chosen = |random| match schedule_one(&profile(), &pod, cache.snapshot(), Turn { start: 0, random }).0 {
        Decision::Node { node, .. } => node.to_string(),
        other => panic!("{other:?}"),
    };
    assert_eq!((0..4).map(chosen).collect::<Vec<_>>(), ["a", "c", "a", "c"]);
}

#[test]
fn without_nodes_there_is_nothing_to_explain() {
    assert_eq!(decide(&pod("p", json!({ "containers": [] })), &Cache::default()), Err("no nodes".to_owned()));
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
    let volume = json!({ "name": "v", "persistentVolumeClaim": { "claimName": "none" } });
    let pod = pod("p", json!({ "containers": [], "volumes": [volume] }));
    assert_eq!(
        decide(&pod, &cache([node("only", json!({}))])),
        Err("0/1 nodes are available: persistentvolumeclaim \"none\" not found. not found".to_owned())
    );
}

#[test]
fn a_pod_that_names_its_nodes_is_shown_no_others() {
    let names = |names: &[&str]| {
        pod(
            "p",
            json!({ "containers": [], "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": [
                { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": names }] }] } } } }),
        )
    };
    let cordoned = node("b", json!({ "spec": { "unschedulable": true } }));
    let cache = cache([node("a", json!({})), cordoned, node("c", json!({}))]);
    assert_eq!(decide(&names(&["a"]), &cache), Ok("a".to_owned()));
    assert_eq!(
        decide(&names(&["b", "elsewhere"]), &cache),
        Err("0/3 nodes are available: 1 node(s) were unschedulable, \
             2 node(s) didn't satisfy plugin(s) [NodeAffinity]."
            .to_owned())
    );
}

#[test]
fn room_that_is_made_for_one_pod_is_not_given_to_a_lesser_one() {
    let mut cache = cache([node("a", json!({}))]);
    let wanting = |name: &str, priority: i32| {
        let mut spec = asking(json!({ "cpu": "3" }));
        spec["priority"] = json!(priority);
        pod(name, spec)
    };
    cache.nominate(&wanting("nominated", 5), Some(&"a".into()));
    assert!(decide(&wanting("p", 4), &cache).is_err());
    assert!(decide(&wanting("p", 5), &cache).is_err(), "first come, first served");
    assert!(decide(&wanting("p", 6), &cache).is_ok());
    assert!(decide(&wanting("nominated", 5), &cache).is_ok(), "its own room");
}

#[test]
fn large_clusters_are_searched_in_part_and_in_turn() {
    let profile = profile();
    assert_eq!([1, 99, 100, 1000, 5000, 10_000].map(|nodes| enough(nodes, &profile)), [1, 99, 100, 420, 500, 500]);
    let cache = cache((0..200).map(|number| node(&format!("n{number}"), json!({}))));
    let pod = pod("p", asking(json!({ "cpu": "1" })));
    let mut chosen = std::collections::BTreeSet::new();
    let mut start = 0;
    for _ in 0..2 {
        let (decision, seen) = schedule_one(&profile, &pod, cache.snapshot(), Turn { start, random: 0 });
        let Decision::Node { node, .. } = decision else { panic!("{decision:?}") };
        chosen.insert(Arc::clone(&node));
        start = (start + seen) % 200;
        assert_eq!(seen, 100);
    }
    assert_eq!((chosen.len(), start), (2, 0));
}
