use serde_json::{Value, json};

use crate::cache::Cache;
use crate::cluster_event::ClusterEvent;
use crate::fixtures::{cache, decide, node, pod_of};
use crate::framework::{Filter, Score};
use crate::plugins::inter_pod_affinity::InterPodAffinity;

fn in_zone(name: &str, zone: &str) -> std::sync::Arc<crate::node_info::NodeFacts> {
    node(name, json!({ "metadata": { "labels": { "zone": zone, "kubernetes.io/hostname": name } } }))
}

/// Zone x with nodes a and b, zone y with node c, and node d in no zone.
fn zones() -> Cache {
    cache([in_zone("a", "x"), in_zone("b", "x"), in_zone("c", "y"), node("d", json!({}))])
}

fn term(labels: Value, more: Value) -> Value {
    let mut term = json!({ "topologyKey": "zone", "labelSelector": { "matchLabels": labels } });
    crate::fixtures::merge(&mut term, more);
    term
}

fn with(kind: &str, strength: &str, terms: Value) -> Value {
    json!({ "spec": { "affinity": { kind: { format!("{strength}DuringSchedulingIgnoredDuringExecution"): terms } } } })
}

/// The nodes a Pod may go to.
fn allowed(labels: Value, changes: &Value, cache: &Cache) -> String {
    let nodes = ["a", "b", "c", "d"].into_iter().filter(|name| {
        let mut changes = changes.clone();
        crate::fixtures::merge(&mut changes, json!({ "spec": { "nodeName": name } }));
        let pod = pod_of("p", labels.clone(), changes);
        decide(&pod, cache).is_ok()
    });
    nodes.collect()
}

#[test]
fn required_terms_draw_to_and_keep_from_domains() {
    let mut cache = zones();
    cache.assume(pod_of("web", json!({ "app": "web", "v": "1" }), json!({})), &"a".into());
    cache.set_namespace("ns", [("team".to_owned(), "a".to_owned())].into());
    let near = |terms: Value| with("podAffinity", "required", terms);
    let far = |terms: Value| with("podAntiAffinity", "required", terms);
    let web = || json!({ "app": "web" });
    let cases = [
        ("near", near(json!([term(web(), json!({}))])), "ab"),
        ("far", far(json!([term(web(), json!({}))])), "cd"),
        ("nobody to be near to", near(json!([term(json!({ "app": "db" }), json!({}))])), ""),
        ("the first of its group", near(json!([term(json!({ "app": "p" }), json!({}))])), "abc"),
        ("all terms mean one Pod", near(json!([term(web(), json!({})), term(json!({ "v": "2" }), json!({}))])), ""),
        ("another namespace", near(json!([term(web(), json!({ "namespaces": ["other"] }))])), ""),
        ("all namespaces", near(json!([term(web(), json!({ "namespaceSelector": {} }))])), "ab"),
        (
            "namespaces by label",
            near(json!([term(web(), json!({ "namespaceSelector": { "matchLabels": { "team": "a" } } }))])),
            "ab",
        ),
        (
            "no such namespace",
            near(json!([term(web(), json!({ "namespaceSelector": { "matchLabels": { "team": "b" } } }))])),
            "",
        ),
        ("with its own value", far(json!([term(web(), json!({ "matchLabelKeys": ["v"] }))])), "abcd"),
        ("with another value", far(json!([term(web(), json!({ "mismatchLabelKeys": ["v"] }))])), "cd"),
        ("by node", far(json!([term(web(), json!({ "topologyKey": "kubernetes.io/hostname" }))])), "bcd"),
    ];
    for (case, changes, expected) in cases {
        assert_eq!(allowed(json!({ "app": "p", "v": "2" }), &changes, &cache), expected, "{case}");
    }
}

#[test]
fn placed_pods_keep_others_away() {
    let mut cache = zones();
    let alone = with("podAntiAffinity", "required", json!([term(json!({ "app": "p" }), json!({}))]));
    cache.assume(pod_of("alone", json!({}), alone), &"a".into());
    assert_eq!(allowed(json!({ "app": "p" }), &json!({}), &cache), "cd");
    assert_eq!(allowed(json!({ "app": "q" }), &json!({}), &cache), "abcd");
    let pod = pod_of("p", json!({ "app": "p" }), json!({ "spec": { "nodeName": "b" } }));
    let reasons = decide(&pod, &cache).unwrap_err();
    assert!(reasons.contains("1 node(s) didn't satisfy existing pods anti-affinity rules"), "{reasons}");
    cache.remove_pod("alone");
    assert_eq!(allowed(json!({ "app": "p" }), &json!({}), &cache), "abcd");
}

#[test]
fn preferences_of_both_sides_rank_domains() {
    let mut cache = zones();
    let preferring = |kind: &str, app: &str, weight: i32| {
        let term = term(json!({ "app": app }), json!({}));
        with(kind, "preferred", json!([{ "weight": weight, "podAffinityTerm": term }]))
    };
    cache.assume(pod_of("web", json!({ "app": "web" }), json!({})), &"a".into());
    cache.assume(pod_of("fan", json!({}), preferring("podAffinity", "p", 30)), &"c".into());
    let needing = with("podAffinity", "required", json!([term(json!({ "app": "p" }), json!({}))]));
    cache.assume(pod_of("needing", json!({}), needing), &"c".into());
    let scores = |changes: Value| {
        let (plugin, pod) = (InterPodAffinity::default(), pod_of("p", json!({ "app": "p" }), changes));
        let (mut state, snapshot) = (crate::cycle_state::CycleState::default(), cache.snapshot());
        let nodes: Vec<_> = snapshot.nodes().iter().collect();
        assert!(plugin.pre_score(&mut state, &pod, snapshot, &nodes));
        let mut scores: Vec<i64> = nodes.iter().map(|node| plugin.score(&state, &pod, node, snapshot)).collect();
        let raw = scores.clone();
        plugin.normalize(&state, &nodes, &mut scores);
        (raw, scores)
    };
    assert_eq!(scores(json!({})), (vec![0, 0, 31, 0], vec![0, 0, 100, 0]));
    assert_eq!(scores(preferring("podAffinity", "web", 62)), (vec![62, 62, 31, 0], vec![100, 100, 50, 0]));
    assert_eq!(scores(preferring("podAntiAffinity", "web", 31)), (vec![-31, -31, 31, 0], vec![0, 0, 100, 50]));
}

#[test]
fn events_wake_those_they_could_help() {
    let cache = zones();
    let near =
        pod_of("near", json!({}), with("podAffinity", "required", json!([term(json!({ "app": "web" }), json!({}))])));
    let far = pod_of(
        "far",
        json!({}),
        with("podAntiAffinity", "required", json!([term(json!({ "app": "web" }), json!({}))])),
    );
    let (web, db) =
        (pod_of("web", json!({ "app": "web" }), json!({})), pod_of("db", json!({ "app": "db" }), json!({})));
    let hint = |pod: &std::sync::Arc<crate::pod_info::PodInfo>, event: ClusterEvent<'_>| {
        InterPodAffinity::default().hint(pod, &event, cache.snapshot())
    };
    assert!(hint(&near, ClusterEvent::PodAdded(&web)) && !hint(&near, ClusterEvent::PodAdded(&db)));
    assert!(!hint(&far, ClusterEvent::PodAdded(&web)));
    assert!(hint(&far, ClusterEvent::PodDeleted { pod: &web, node: None }));
    assert!(!hint(&far, ClusterEvent::PodDeleted { pod: &db, node: None }));
    assert!(!hint(&near, ClusterEvent::NamespaceChanged));
    let zoneless = ClusterEvent::NodeChanged { old: None, node: cache.node("d").unwrap() };
    assert!(hint(&far, zoneless) && !hint(&near, zoneless));
}
