use serde_json::json;

use super::*;
use crate::fixtures::{asking, cache, node, pod};

fn cpu(cache: &Cache, name: &str) -> Option<i64> {
    cache.node(name).map(|node| node.usage.requested.cpu_milli)
}

#[test]
fn an_assumed_pod_counts_once_through_confirmation_and_end() {
    let mut cache = cache([node("a", json!({})), node("b", json!({}))]);
    let pod = pod("p", asking(json!({ "cpu": "1" })));
    cache.assume(Arc::clone(&pod), &"a".into());
    assert_eq!(cpu(&cache, "a"), Some(1000));
    assert_eq!(cache.set_pod(Arc::clone(&pod), &"a".into()), None);
    assert_eq!((cpu(&cache, "a"), cache.node("a").unwrap().usage.pods.len()), (Some(1000), 1));
    assert!(cache.forget("p").is_none(), "confirmed Pods are not forgotten");
    assert_eq!(cache.remove_pod("p").map(|(_, node)| node), Some("a".into()));
    assert_eq!((cpu(&cache, "a"), cache.has_pod("p")), (Some(0), false));
}

#[test]
fn a_failed_binding_frees_the_node_and_a_contradiction_moves_the_pod() {
    let mut cache = cache([node("a", json!({})), node("b", json!({}))]);
    let pod = pod("p", asking(json!({ "cpu": "1", "x.io/y": "2" })));
    cache.assume(Arc::clone(&pod), &"a".into());
    assert_eq!(cache.forget("p").map(|(_, node)| node), Some("a".into()));
    assert_eq!(cpu(&cache, "a"), Some(0));
    assert!(cache.node("a").unwrap().usage.requested.extended.is_empty());
    cache.assume(Arc::clone(&pod), &"a".into());
    assert_eq!(cache.set_pod(pod, &"b".into()), Some("a".into()));
    assert_eq!((cpu(&cache, "a"), cpu(&cache, "b")), (Some(0), Some(1000)));
}

#[test]
fn pods_of_an_unknown_node_count_when_it_appears() {
    let mut cache = Cache::default();
    cache.set_pod(pod("p", asking(json!({ "cpu": "1" }))), &"late".into());
    assert!(cache.snapshot().nodes().is_empty());
    cache.set_node(node("late", json!({})));
    assert_eq!(cpu(&cache, "late"), Some(1000));
    cache.remove_node("late");
    cache.set_node(node("late", json!({})));
    assert_eq!(cpu(&cache, "late"), Some(1000), "a node that comes back still runs its Pods");
}

#[test]
fn removing_a_node_keeps_the_others_addressable() {
    let mut cache = cache(["a", "b", "c"].map(|name| node(name, json!({}))));
    cache.remove_node("a");
    assert!(cache.node("a").is_none());
    for name in ["b", "c"] {
        assert_eq!(cache.node(name).unwrap().facts.name.as_ref(), name);
    }
}

#[test]
fn only_a_change_of_facts_is_a_change() {
    let mut cache = cache([node("a", json!({}))]);
    let heartbeat = node("a", json!({ "status": { "conditions": [{ "type": "Ready", "status": "True" }] } }));
    assert_eq!(cache.set_node(Arc::clone(&heartbeat)), Some(heartbeat.clone()));
    let labelled = node("a", json!({ "metadata": { "labels": { "disk": "ssd" } } }));
    assert_eq!(cache.set_node(labelled), Some(heartbeat));
}

#[test]
fn images_are_counted_by_node() {
    let having = |name: &str| node(name, json!({ "status": { "images": [{ "names": ["i:1"], "sizeBytes": 5 }] } }));
    let mut cache = cache([having("a"), having("b")]);
    assert_eq!(cache.snapshot().nodes_with_image("i:1"), 2);
    cache.set_node(having("a"));
    cache.remove_node("b");
    assert_eq!(cache.snapshot().nodes_with_image("i:1"), 1);
    cache.set_node(node("a", json!({})));
    assert_eq!(cache.snapshot().nodes_with_image("i:1"), 0);
}

#[test]
fn room_is_kept_for_one_pod_on_one_node() {
    let mut cache = cache([node("a", json!({})), node("b", json!({}))]);
    let pod = pod("p", json!({ "containers": [] }));
    cache.nominate(&pod, Some(&"a".into()));
    cache.nominate(&pod, Some(&"b".into()));
    let kept = |cache: &Cache| ["a", "b"].map(|node| cache.snapshot().nominated(node).len());
    assert_eq!(kept(&cache), [0, 1]);
    assert_eq!(cache.forget_nomination("p"), Some("b".into()));
    assert_eq!((kept(&cache), cache.forget_nomination("p")), ([0, 0], None));
}

#[test]
fn a_node_knows_whether_room_is_made_on_it() {
    let mut cache = cache([node("n", json!({}))]);
    let waiting = pod("p", asking(json!({ "cpu": "1" })));
    let awaited = |cache: &Cache| cache.node("n").is_some_and(|node| node.usage.awaited);
    cache.nominate(&waiting, Some(&Arc::from("n")));
    assert!(awaited(&cache));
    cache.remove_node("n");
    cache.set_node(node("n", json!({})));
    assert!(awaited(&cache), "a node that comes back is awaited as before");
    cache.forget_nomination("p");
    assert!(!awaited(&cache));
}
