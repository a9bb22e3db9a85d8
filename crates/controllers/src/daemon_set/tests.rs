use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetSpec, DaemonSetUpdateStrategy, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::{NodeSpec, PodSpec, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::nodes::{self, Suits, suits};
use super::plan::{View, plan, status};
use super::*;

const NOW: i64 = 1000;

fn at(seconds: i64) -> jiff::Timestamp {
    jiff::Timestamp::from_second(seconds).unwrap()
}

fn taint(key: &str, effect: &str) -> Taint {
    Taint { key: key.into(), effect: effect.into(), ..Taint::default() }
}

fn node(name: &str, taints: Vec<Taint>) -> Arc<Node> {
    let labels = Some([("zone".to_owned(), "a".to_owned())].into());
    Arc::new(Node {
        metadata: ObjectMeta { name: Some(name.into()), labels, ..ObjectMeta::default() },
        spec: Some(NodeSpec { taints: Some(taints), ..NodeSpec::default() }),
        status: None,
    })
}

fn rolling(surge: i32, unavailable: &str) -> DaemonSetUpdateStrategy {
    DaemonSetUpdateStrategy {
        type_: Some("RollingUpdate".into()),
        rolling_update: Some(RollingUpdateDaemonSet {
            max_surge: Some(IntOrString::Int(surge)),
            max_unavailable: Some(
                unavailable.parse().map_or(IntOrString::String(unavailable.into()), IntOrString::Int),
            ),
        }),
    }
}

fn set(strategy: DaemonSetUpdateStrategy) -> DaemonSet {
    DaemonSet {
        metadata: ObjectMeta { name: Some("d".into()), namespace: Some("ns".into()), ..ObjectMeta::default() },
        spec: Some(DaemonSetSpec { update_strategy: Some(strategy), ..DaemonSetSpec::default() }),
        status: None,
    }
}

/// A Pod by what is written of it: `name@node`, then words: `old`, `down` (not ready), `failed`, `ended`, `leaving`,
/// `unbound`.
fn pod(text: &str) -> Facts {
    let mut words = text.split_whitespace();
    let (name, node) = words.next().unwrap().split_once('@').unwrap();
    let words: Vec<&str> = words.collect();
    let is = |word: &str| words.contains(&word);
    let hash = if is("old") { "old" } else { "new" };
    Arc::new(PodFacts {
        key: Some(ObjectKey::new("ns", name)),
        uid: name.into(),
        labels: [(POD_LABEL.to_owned(), hash.to_owned())].into(),
        node: if is("unbound") { String::new() } else { node.into() },
        pinned: node.into(),
        phase: if is("failed") {
            "Failed"
        } else if is("ended") {
            "Succeeded"
        } else {
            "Running"
        }
        .into(),
        ready: !is("down") && !is("failed"),
        ready_since: Some(at(NOW - 100)),
        created_at: Some(at(NOW - 200)),
        deleted_at: is("leaving").then(|| at(NOW)),
        ..PodFacts::default()
    })
}

/// What is done about Pods on the nodes `n1` to `n3`: `+node` and `-pod`.
fn done(set: &DaemonSet, pods: &[&str]) -> String {
    let all: Vec<_> = ["n1", "n2", "n3"].iter().map(|name| node(name, Vec::new())).collect();
    let pods: Vec<_> = pods.iter().map(|text| pod(text)).collect();
    let view = View::new(set, &all, &pods, "new", at(NOW));
    let mut found = plan(&view, |_| Duration::ZERO);
    if found.create.is_empty() && found.delete.is_empty() {
        found = rolling::plan(&view, found.next);
    }
    let create = found.create.iter().map(|node| format!("+{node}"));
    let delete = found.delete.iter().map(|pod| format!("-{}", pod.name()));
    create.chain(delete).collect::<Vec<_>>().join(" ")
}

#[test]
fn every_node_that_suits_has_one_pod_that_runs() {
    let set = set(rolling(0, "1"));
    let cases: &[(&[&str], &str)] = &[
        (&[], "+n1 +n2 +n3"),
        (&["a@n1", "b@n2 down", "c@n3 unbound"], ""),
        (&["a@n1", "b@n2", "c@n3 leaving"], ""),
        (&["a@n1", "b@n2", "c@n3 failed"], "-c"),
        (&["a@n1", "b@n2", "c@n3 ended"], "-c"),
        (&["a@n1", "b@n2", "c@n3 failed leaving"], "+n3"),
        (&["a@n1", "b@n2", "c@n3", "d@n3 unbound"], "-d"),
        (&["a@n1", "b@n2", "c@n3", "d@gone unbound"], "-d"),
        (&["a@n1", "b@n2", "c@n3", "d@gone"], ""),
    ];
    for (pods, expected) in cases {
        assert_eq!(done(&set, pods), *expected, "{pods:?}");
    }
}

#[test]
fn old_pods_are_replaced_within_bounds() {
    let on_delete = DaemonSetUpdateStrategy { type_: Some("OnDelete".into()), rolling_update: None };
    let old = ["a@n1 old", "b@n2 old", "c@n3 old"];
    let cases: &[(DaemonSetUpdateStrategy, &[&str], &str)] = &[
        (on_delete, &old, ""),
        (rolling(0, "1"), &old, "-a"),
        (rolling(0, "2"), &old, "-a -b"),
        (rolling(0, "50%"), &old, "-a -b"),
        (rolling(0, "0"), &old, "-a"),
        (rolling(0, "1"), &["a@n1", "b@n2 old", "c@n3 old"], "-b"),
        (rolling(0, "1"), &["a@n1 down", "b@n2 old", "c@n3 old"], ""),
        (rolling(0, "1"), &["a@n1 old leaving", "b@n2 old", "c@n3 old"], ""),
        (rolling(0, "1"), &["a@n1 down", "b@n2 old down", "c@n3 old"], "-b"),
        (rolling(0, "1"), &["a@n1", "b@n2", "c@n3"], ""),
        (rolling(1, "0"), &old, "+n1"),
        (rolling(2, "0"), &old, "+n1 +n2"),
        (rolling(1, "0"), &["a@n1 old", "x@n1 down", "b@n2 old", "c@n3 old"], ""),
        (rolling(1, "0"), &["a@n1 old", "x@n1", "b@n2 old", "c@n3 old"], "-a"),
        (rolling(1, "0"), &["a@n1 old down", "x@n1 down", "b@n2", "c@n3"], "-a"),
        (rolling(1, "0"), &["x@n1", "b@n2 old down", "c@n3 old"], "+n2 +n3"),
        (rolling(1, "0"), &["x@n1", "y@n1", "b@n2", "c@n3"], "-y"),
    ];
    for (strategy, pods, expected) in cases {
        assert_eq!(done(&set(strategy.clone()), pods), *expected, "{strategy:?} {pods:?}");
    }
}

#[test]
fn a_failed_pod_stays_while_others_failed_there_just_now() {
    let (set, nodes) = (set(rolling(0, "1")), [node("n1", Vec::new())]);
    let pods = [pod("a@n1 failed")];
    let view = View::new(&set, &nodes, &pods, "new", at(NOW));
    let wait = Duration::from_secs(8);
    let held = plan(&view, |_| wait);
    assert_eq!((held.delete.len(), held.next), (0, Next::After(wait)));
    let told = plan(&view, |_| Duration::ZERO).events;
    let message = "Found failed daemon pod ns/a on node n1, will try to kill it";
    assert_eq!(told, [(EventType::Warning, "FailedDaemonPod", message.to_owned())]);
}

#[test]
fn nodes_suit_by_name_labels_and_taints() {
    let spec = |change: fn(&mut PodSpec)| {
        let mut set = set(rolling(0, "1"));
        change(set.spec.as_mut().unwrap().template.spec.get_or_insert_default());
        nodes::template(&set, "h").spec.unwrap()
    };
    let plain = spec(|_| ());
    let cases = [
        (&plain, taint("node.kubernetes.io/unschedulable", "NoSchedule"), Suits::Yes),
        (&plain, taint("node.kubernetes.io/not-ready", "NoExecute"), Suits::Yes),
        (&plain, taint("node.kubernetes.io/network-unavailable", "NoSchedule"), Suits::MayStay),
        (
            &spec(|spec| spec.host_network = Some(true)),
            taint("node.kubernetes.io/network-unavailable", "NoSchedule"),
            Suits::Yes,
        ),
        (&plain, taint("dedicated", "NoSchedule"), Suits::MayStay),
        (&plain, taint("dedicated", "NoExecute"), Suits::No),
        (&plain, taint("dedicated", "PreferNoSchedule"), Suits::Yes),
        (&spec(|spec| spec.node_name = Some("other".into())), taint("x", "PreferNoSchedule"), Suits::No),
        (&spec(|spec| spec.node_selector = Some([("zone".into(), "b".into())].into())), taint("x", ""), Suits::No),
        (&spec(|spec| spec.node_selector = Some([("zone".into(), "a".into())].into())), taint("x", ""), Suits::Yes),
    ];
    for (spec, taint, expected) in cases {
        assert_eq!(suits(spec, &node("n", vec![taint.clone()])), expected, "{taint:?}");
    }
}

#[test]
fn the_status_counts_nodes() {
    let set = set(rolling(0, "1"));
    let dedicated = vec![taint("dedicated", "NoSchedule")];
    let nodes = [node("n1", Vec::new()), node("n2", Vec::new()), node("n3", Vec::new()), node("n4", dedicated)];
    let pods = ["a@n1", "b@n2 old down", "d@n4"].map(pod);
    let status = status(&View::new(&set, &nodes, &pods, "new", at(NOW)));
    assert_eq!(
        (status.desired_number_scheduled, status.current_number_scheduled, status.number_misscheduled),
        (3, 2, 1)
    );
    assert_eq!((status.number_ready, status.number_available, status.number_unavailable), (1, Some(1), Some(2)));
    assert_eq!(status.updated_number_scheduled, Some(1));
}

#[test]
fn a_pod_is_meant_for_its_node_and_tells_its_template() {
    let mut set = set(rolling(0, "1"));
    set.metadata.annotations = Some([("deprecated.daemonset.template.generation".into(), "3".into())].into());
    let template = nodes::template(&set, "h");
    let pod = pod_control::pod_from_template("d", &template, ownership::controller_reference(&set));
    let facts = PodFacts::of(nodes::pinned_to(pod, "n7"));
    assert_eq!((facts.target(), facts.labels["pod-template-generation"].as_str()), ("n7", "3"));
    assert_eq!(facts.labels[POD_LABEL], "h");
    assert!(nodes::is_current(&set, &facts.labels, "other"), "by its generation");
    assert_eq!(facts.tolerations.len(), 6);
}
