use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::endpoints::behind;
use super::plan::{Plan, plan};
use super::*;
use crate::pod_facts::{Network, PodFacts};

fn service(change: Value) -> Service {
    let mut service = json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "svc", "labels": {"team": "a"}},
        "spec": {"clusterIP": "10.0.0.9", "ipFamilies": ["IPv4"], "selector": {"app": "web"},
                 "ports": [{"name": "http", "port": 80, "targetPort": "web", "protocol": "TCP"}]},
    });
    testkit::fake_api::merge(&mut service["spec"], change);
    serde_json::from_value(service).unwrap()
}

fn pod(number: usize) -> PodFacts {
    let port = serde_json::from_value(json!({"name": "web", "containerPort": 8080, "protocol": "TCP"})).unwrap();
    PodFacts {
        key: Some(ObjectKey::new("ns", format!("p{number}"))),
        uid: format!("u{number}"),
        node: "n".into(),
        ready: true,
        phase: "Running".into(),
        network: Network {
            addresses: vec![format!("10.1.{}.{}", number / 256, number % 256), format!("fd00::{number}")],
            ports: vec![port],
            ..Network::default()
        },
        ..PodFacts::default()
    }
}

fn node(name: &str) -> Option<Arc<Node>> {
    let zone = json!({"topology.kubernetes.io/zone": "z"});
    let node = json!({"metadata": {"name": name, "labels": zone}});
    (name != "gone").then(|| Arc::new(serde_json::from_value(node).unwrap()))
}

fn planned(service: &Service, pods: Vec<PodFacts>, slices: &[EndpointSlice]) -> Plan {
    let pods: Vec<_> = pods.into_iter().map(Arc::new).collect();
    let slices: Vec<_> = slices.iter().cloned().map(Arc::new).collect();
    plan(service, &behind(service, &pods, node), &slices)
}

/// The slices after a plan was carried out.
fn after(plan: Plan, mut slices: Vec<EndpointSlice>) -> Vec<EndpointSlice> {
    slices.retain(|slice| !plan.delete.iter().any(|gone| gone.metadata.name == slice.metadata.name));
    for changed in plan.update {
        let place = slices.iter_mut().find(|slice| slice.metadata.name == changed.metadata.name).unwrap();
        *place = changed;
    }
    for mut made in plan.create {
        made.metadata.name = Some(format!("web-{}", slices.len()));
        slices.push(made);
    }
    slices
}

fn sizes(slices: &[EndpointSlice]) -> Vec<usize> {
    slices.iter().map(|slice| slice.endpoints.as_ref().map_or(0, Vec::len)).collect()
}

#[test]
fn a_pod_becomes_an_endpoint() {
    let plan = planned(&service(json!({})), vec![pod(1)], &[]);
    let slice = serde_json::to_value(&plan.create[0]).unwrap();
    assert_eq!(
        slice["metadata"]["labels"],
        json!({
            "team": "a", "kubernetes.io/service-name": "web",
            "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
        })
    );
    assert_eq!(slice["metadata"]["generateName"], "web-");
    assert_eq!(slice["metadata"]["ownerReferences"][0]["uid"], "svc");
    assert_eq!(slice["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
    assert_eq!(
        slice["endpoints"],
        json!([{
            "addresses": ["10.1.0.1"], "nodeName": "n", "zone": "z",
            "conditions": {"ready": true, "serving": true, "terminating": false},
            "targetRef": {"kind": "Pod", "namespace": "ns", "name": "p1", "uid": "u1"},
        }])
    );
}

#[test]
fn conditions_follow_the_pod_and_what_the_service_tolerates() {
    let leaving = PodFacts { deleted_at: Some(Timestamp::UNIX_EPOCH), ..pod(1) };
    let unready = PodFacts { ready: false, ..pod(1) };
    let cases = [
        (json!({}), pod(1), (true, true, false)),
        (json!({}), unready.clone(), (false, false, false)),
        (json!({}), leaving.clone(), (false, true, true)),
        (json!({"publishNotReadyAddresses": true}), unready, (true, false, false)),
        (json!({"publishNotReadyAddresses": true}), leaving, (true, true, true)),
    ];
    for (change, pod, expected) in cases {
        let plan = planned(&service(change), vec![pod], &[]);
        let endpoint = &plan.create[0].endpoints.as_ref().unwrap()[0];
        let found = endpoint.conditions.as_ref().unwrap();
        assert_eq!(
            (found.ready, found.serving, found.terminating),
            (Some(expected.0), Some(expected.1), Some(expected.2))
        );
    }
    let lost = PodFacts { node: "gone".into(), ..pod(1) };
    assert_eq!(sizes(&planned(&service(json!({})), vec![lost.clone()], &[]).create), [0]);
    assert_eq!(sizes(&planned(&service(json!({"publishNotReadyAddresses": true})), vec![lost], &[]).create), [1]);
}

#[test]
fn slices_hold_a_hundred_and_change_little() {
    let service = service(json!({}));
    let pods = |range: std::ops::Range<usize>| range.map(pod).collect::<Vec<_>>();
    let slices = after(planned(&service, pods(0..250), &[]), Vec::new());
    assert_eq!(sizes(&slices), [100, 100, 50]);
    assert_eq!(planned(&service, pods(0..250), &slices), Plan::default(), "nothing to do");
    let more = planned(&service, pods(0..260), &slices);
    assert_eq!((more.create.len(), sizes(&more.update)), (0, vec![60]), "the one with room");
    let moved = planned(&service, pods(10..260), &slices);
    assert_eq!((moved.create.len(), sizes(&moved.update)), (0, vec![100]), "the one that changes anyway");
    let none = planned(&service, Vec::new(), &slices);
    assert_eq!((none.delete.len(), sizes(&none.create)), (3, vec![0]), "an empty one in place of all");
    let empty = after(none, slices);
    assert_eq!(planned(&service, Vec::new(), &empty), Plan::default());
    let filled = planned(&service, pods(0..1), &empty);
    assert_eq!((filled.delete.len(), filled.create.len()), (1, 1));
}

#[test]
fn ports_and_families_divide_slices() {
    let mut other = pod(2);
    other.network.ports[0].container_port = 9090;
    let one = service(json!({}));
    assert_eq!(sizes(&planned(&one, vec![pod(1), other.clone(), pod(3)], &[]).create), [2, 1]);
    other.network.ports.clear();
    let plan = planned(&one, vec![other], &[]);
    assert!(plan.create[0].ports.as_ref().unwrap().is_empty(), "it does not have the port");
    let two = service(json!({"ipFamilies": ["IPv6", "IPv4"]}));
    let slices = after(planned(&two, vec![pod(1)], &[]), Vec::new());
    let types: Vec<_> = slices.iter().map(|slice| slice.address_type.as_str()).collect();
    assert_eq!(types, ["IPv6", "IPv4"]);
    let less = planned(&one, vec![pod(1)], &slices);
    assert_eq!((less.delete.len(), less.create.len()), (1, 0), "IPv6 is no longer wanted");
}

#[test]
fn slices_follow_their_service() {
    let slices = after(planned(&service(json!({})), vec![pod(1)], &[]), Vec::new());
    let headless = service(json!({"clusterIP": "None"}));
    let plan = planned(&headless, vec![pod(1)], &slices);
    let labels = plan.update[0].metadata.labels.as_ref().unwrap();
    assert_eq!(labels["service.kubernetes.io/headless"], "");
    let mut foreign = slices.clone();
    foreign[0].metadata.owner_references = None;
    let plan = planned(&service(json!({})), vec![pod(1)], &foreign);
    assert_eq!((plan.delete.len(), plan.create.len()), (1, 1));
    let mut named = pod(1);
    named.network.hostname = "first".into();
    let host = |pod: &PodFacts| {
        let plan = planned(&service(json!({})), vec![pod.clone()], &[]);
        plan.create[0].endpoints.as_ref().unwrap()[0].hostname.clone()
    };
    assert_eq!(host(&named), None);
    named.network.subdomain = "web".into();
    assert_eq!(host(&named).as_deref(), Some("first"));
}

#[test]
fn hints_say_whom_an_endpoint_is_for() {
    let hints = |distribution: &str, node: &str| {
        let service = service(json!({"trafficDistribution": distribution, "publishNotReadyAddresses": true}));
        let pods = vec![pod(1), PodFacts { node: node.into(), ..pod(2) }];
        let plan = planned(&service, pods, &[]);
        serde_json::to_value(&plan.create[0].endpoints.as_ref().unwrap()[0].hints).unwrap()
    };
    assert_eq!(hints("PreferSameZone", "n"), json!({"forZones": [{"name": "z"}]}));
    assert_eq!(hints("PreferClose", "n"), json!({"forZones": [{"name": "z"}]}));
    assert_eq!(hints("PreferClose", "gone"), Value::Null, "one has no zone");
    assert_eq!(hints("PreferSameNode", "gone"), json!({"forZones": [{"name": "z"}], "forNodes": [{"name": "n"}]}));
}
