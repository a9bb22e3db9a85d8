use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::plan::{Act, Failure, act, differs, next_look, status};
use super::*;
use crate::pod_facts::ContainerFacts;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

/// A Pod on a node that runs and is ready since second 100.
fn pod(name: &str) -> PodFacts {
    PodFacts {
        key: Some(ObjectKey::new("ns", name)),
        uid: name.to_owned(),
        labels: labels(&[("app", "a")]),
        node: "n".into(),
        phase: "Running".into(),
        ready: true,
        ready_since: Some(at(100)),
        created_at: Some(at(90)),
        ..PodFacts::default()
    }
}

fn set(min_ready_seconds: i32) -> ReplicaSet {
    let template = PodTemplateSpec {
        metadata: Some(ObjectMeta { labels: Some(labels(&[("app", "a"), ("tier", "b")])), ..ObjectMeta::default() }),
        spec: None,
    };
    let spec = ReplicaSetSpec {
        min_ready_seconds: Some(min_ready_seconds),
        template: Some(template),
        ..ReplicaSetSpec::default()
    };
    let metadata = ObjectMeta { generation: Some(7), ..ObjectMeta::default() };
    ReplicaSet { metadata, spec: Some(spec), status: None }
}

#[test]
fn the_number_is_brought_about_in_bursts() {
    assert_eq!(act(3, 3), Act::Nothing);
    assert_eq!(act(3, 1), Act::Create(2));
    assert_eq!(act(1, 3), Act::Delete(2));
    assert_eq!(act(0, 0), Act::Nothing);
    assert_eq!(act(2000, 0), Act::Create(500));
    assert_eq!(act(0, 2000), Act::Delete(500));
}

#[test]
fn those_missed_least_go_first() {
    let now = at(1000);
    let annotated = |name: &str, cost: &str| {
        let annotations = labels(&[("controller.kubernetes.io/pod-deletion-cost", cost)]);
        PodFacts { annotations, ..pod(name) }
    };
    let restarted = |name: &str, restarts: i32| {
        let container = ContainerFacts { restarts, ..ContainerFacts::default() };
        PodFacts { containers: vec![container], ..pod(name) }
    };
    let unready = |name: &str| PodFacts { ready: false, ..pod(name) };
    // Each is dearer than the one before it.
    let order = [
        PodFacts { node: String::new(), phase: "Pending".into(), ..unready("unassigned") },
        PodFacts { phase: "Pending".into(), ..unready("pending") },
        PodFacts { phase: "Unknown".into(), ..unready("unknown") },
        unready("unready"),
        annotated("cheap", "-5"),
        PodFacts { node: "crowded".into(), ..pod("crowded") },
        PodFacts { ready_since: None, ..pod("ready, nobody knows since when") },
        PodFacts { ready_since: Some(at(990)), ..pod("ready for ten seconds") },
        restarted("restarted often", 5),
        restarted("restarted", 1),
        PodFacts { created_at: Some(at(995)), ..pod("young") },
        pod("plain"),
        annotated("dear", "10"),
    ];
    let per_node = HashMap::from([("crowded".to_owned(), 2), ("n".to_owned(), 1)]);
    for pair in order.windows(2) {
        for pods in [[&pair[0], &pair[1]], [&pair[1], &pair[0]]] {
            let pods = pods.map(|pod| Arc::new(pod.clone()));
            let gone = first_to_go(&pods, &per_node, 1, now);
            assert_eq!(gone[0].uid, pair[0].uid, "before {}", pair[1].uid);
        }
    }
}

#[test]
fn ages_of_one_magnitude_leave_it_to_chance() {
    let (a, b) = (pod("a"), PodFacts { ready_since: Some(at(101)), ..pod("b") });
    let gone = first_to_go(&[Arc::new(b), Arc::new(a)], &HashMap::new(), 1, at(1000));
    assert_eq!(gone[0].uid, "a", "the uid decides, though b is ready for a shorter time");
}

#[test]
fn the_status_counts_what_is_there() {
    let full = PodFacts { labels: labels(&[("app", "a"), ("tier", "b")]), ..pod("full") };
    let fresh = PodFacts { ready_since: Some(at(995)), ..pod("fresh") };
    let unready = PodFacts { ready: false, ..pod("unready") };
    let active: Vec<_> = [full, fresh, unready].into_iter().map(Arc::new).collect();
    let told = status(&set(10), &active, 2, None, at(1000));
    assert_eq!(
        (told.replicas, told.fully_labeled_replicas, told.ready_replicas, told.available_replicas),
        (3, Some(1), Some(2), Some(1))
    );
    assert_eq!((told.terminating_replicas, told.observed_generation), (Some(2), Some(7)));
    assert!(differs(&set(10), &told));
    let mut current = set(10);
    current.set_status(told.clone());
    assert!(!differs(&current, &told));
    assert_eq!(next_look(&active, 10, at(1000)), Next::After(Duration::from_secs(5)));
    assert_eq!(next_look(&active, 0, at(1000)), Next::OnWakeUp);
    assert_eq!(next_look(&active, 10, at(1005)), Next::OnWakeUp);
}

#[test]
fn a_failure_is_a_condition_until_it_is_over() {
    let status_of = |set: &ReplicaSet, failure: Option<&Failure>, now| status(set, &[], 0, failure, at(now));
    let refused = kube::core::Status::failure("pods \"x-\" is forbidden: exceeded quota", "Forbidden");
    let failure = Failure { reason: "FailedCreate", source: kube::Error::Api(Box::new(refused)) };
    let mut set = set(0);
    set.set_status(status_of(&set, Some(&failure), 1));
    let conditions = set.status().conditions.unwrap();
    assert_eq!(conditions[0].reason.as_deref(), Some("FailedCreate"));
    assert_eq!(conditions[0].message.as_deref(), Some("pods \"x-\" is forbidden: exceeded quota"));
    assert!(!differs(&set, &status_of(&set, Some(&failure), 2)), "the first failure stands");
    assert_eq!(status_of(&set, None, 3).conditions, None);
}
