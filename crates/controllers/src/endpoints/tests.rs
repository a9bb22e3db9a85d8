use std::sync::Arc;

use k8s_openapi::api::core::v1::{Endpoints, Service};
use serde_json::{Value, json};

use super::*;
use crate::pod_facts::{Network, PodFacts};

fn service(change: Value) -> Service {
    let mut service = json!({
        "metadata": {"name": "web", "namespace": "ns", "uid": "svc", "labels": {"team": "a"}},
        "spec": {"clusterIP": "10.0.0.9", "ipFamilies": ["IPv4"], "selector": {"app": "web"},
                 "ports": [{"name": "http", "port": 80, "targetPort": 8080},
                           {"name": "other", "port": 81, "targetPort": "other"}]},
    });
    testkit::fake_api::merge(&mut service["spec"], change);
    serde_json::from_value(service).unwrap()
}

fn pod(number: u32, ready: bool, other: Option<i32>) -> Arc<PodFacts> {
    let port = |number: i32| serde_json::from_value(json!({"name": "other", "containerPort": number})).unwrap();
    Arc::new(PodFacts {
        key: Some(ObjectKey::new("ns", format!("p{number}"))),
        uid: format!("u{number}"),
        node: "n".into(),
        ready,
        network: Network {
            addresses: vec![format!("10.1.{}.{}", number / 256, number % 256)],
            ports: other.map(port).into_iter().collect(),
            ..Network::default()
        },
        ..PodFacts::default()
    })
}

fn planned(service: &Service, pods: &[Arc<PodFacts>]) -> Endpoints {
    plan::plan(service, pods, None).unwrap()
}

/// A Pod's number, whether it is ready, and the number of its port `other`.
type Case = (u32, bool, Option<i32>);

/// `ready|not ready:ports`, one subset after the other.
fn told(endpoints: &Endpoints) -> String {
    let ips = |list: &Option<Vec<k8s_openapi::api::core::v1::EndpointAddress>>| {
        list.iter()
            .flatten()
            .map(|address| address.ip.trim_start_matches("10.1.0.").to_owned())
            .collect::<Vec<_>>()
            .join(",")
    };
    let subset = |subset: &k8s_openapi::api::core::v1::EndpointSubset| {
        let ports: Vec<_> = subset.ports.iter().flatten().map(|port| port.port.to_string()).collect();
        format!("{}|{}:{}", ips(&subset.addresses), ips(&subset.not_ready_addresses), ports.join(","))
    };
    endpoints.subsets.iter().flatten().map(subset).collect::<Vec<_>>().join(" ")
}

#[test]
fn ports_reached_at_the_same_addresses_are_one_subset() {
    let service = service(json!({}));
    let cases: &[(&[Case], &str)] = &[
        (&[], ""),
        (&[(1, true, None)], "1|:8080"),
        (&[(1, true, Some(90)), (2, true, Some(90))], "1,2|:8080,90"),
        (&[(1, true, Some(90)), (2, false, Some(90))], "1|2:8080,90"),
        (&[(1, true, Some(90)), (2, true, Some(91))], "1|:90 1,2|:8080 2|:91"),
        (&[(1, false, None)], "|1:8080"),
    ];
    for (pods, expected) in cases {
        let pods: Vec<_> = pods.iter().map(|(number, ready, other)| pod(*number, *ready, *other)).collect();
        assert_eq!(told(&planned(&service, &pods)), *expected, "{pods:?}");
    }
}

#[test]
fn what_they_say_is_written_once() {
    let service = service(json!({}));
    let endpoints = planned(&service, &[pod(1, true, None)]);
    assert_eq!(plan::plan(&service, &[pod(1, true, None)], Some(&endpoints)), None);
    assert_eq!(
        endpoints.metadata.labels,
        Some(
            [
                ("endpoints.kubernetes.io/managed-by".to_owned(), "endpoint-controller".to_owned()),
                ("team".to_owned(), "a".to_owned()),
            ]
            .into()
        )
    );
    let address = serde_json::to_value(&endpoints.subsets.unwrap()[0]).unwrap();
    assert_eq!(
        address["addresses"],
        json!([{
            "ip": "10.1.0.1", "nodeName": "n",
            "targetRef": {"kind": "Pod", "namespace": "ns", "name": "p1", "uid": "u1"},
        }])
    );
    assert_eq!(address["ports"], json!([{"name": "http", "port": 8080, "protocol": "TCP"}]));
}

#[test]
fn a_service_without_ports_or_address_and_one_that_does_not_wait() {
    let headless = service(json!({"clusterIP": "None", "ports": null}));
    let endpoints = planned(&headless, &[pod(1, true, None)]);
    assert_eq!(told(&endpoints), "1|:");
    assert!(endpoints.metadata.labels.unwrap().contains_key("service.kubernetes.io/headless"));
    let any = service(json!({"publishNotReadyAddresses": true}));
    assert_eq!(told(&planned(&any, &[pod(1, false, None)])), "1|:8080");
}

#[test]
fn a_thousand_are_enough() {
    let pods: Vec<_> = (0..1100).map(|number| pod(number, number % 2 == 0, None)).collect();
    let endpoints = planned(&service(json!({})), &pods);
    assert_eq!(endpoints.metadata.annotations.as_ref().unwrap()["endpoints.kubernetes.io/over-capacity"], "truncated");
    let subset = &endpoints.subsets.as_ref().unwrap()[0];
    let count = |list: &Option<Vec<_>>| list.as_ref().map_or(0, Vec::len);
    assert_eq!((count(&subset.addresses), count(&subset.not_ready_addresses)), (550, 450));
    assert_eq!(plan::plan(&service(json!({})), &pods, Some(&endpoints)), None);
}
