use std::sync::Arc;

use k8s_openapi::api::core::v1::Endpoints;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use super::is_mirrored;
use super::plan::{Mirrored, SUBSET_MAX, plan};

fn endpoints(metadata: Value, subsets: Value) -> Endpoints {
    let mut object = json!({"metadata": {"name": "db", "namespace": "ns", "uid": "1"}, "subsets": subsets});
    testkit::fake_api::merge(&mut object["metadata"], metadata);
    serde_json::from_value(object).unwrap()
}

fn addresses(list: &[&str]) -> Value {
    list.iter().map(|ip| json!({"ip": ip})).collect()
}

/// The slices as the server would have stored them.
fn stored(mirrored: &Mirrored) -> Vec<Arc<EndpointSlice>> {
    let named = mirrored.plan.create.iter().enumerate().map(|(number, slice)| {
        let mut slice = slice.clone();
        slice.metadata.name = Some(format!("db-{number}"));
        Arc::new(slice)
    });
    named.collect()
}

fn shown(slice: &EndpointSlice) -> Value {
    let ready = |endpoint: &k8s_openapi::api::discovery::v1::Endpoint| {
        json!([endpoint.addresses[0], endpoint.conditions.as_ref().and_then(|conditions| conditions.ready)])
    };
    let ports: Vec<_> = slice.ports.iter().flatten().map(|port| port.port).collect();
    json!([slice.address_type, ports, slice.endpoints.iter().flatten().map(ready).collect::<Vec<_>>()])
}

#[test]
fn each_family_and_each_set_of_ports_is_a_slice() {
    let web = json!([
        {"addresses": addresses(&["192.0.2.1", "2001:db8::1"]), "notReadyAddresses": addresses(&["192.0.2.2", "192.0.2.1"]),
         "ports": [{"port": 80}]},
        {"addresses": addresses(&["192.0.2.1"]), "ports": [{"name": "metrics", "port": 9090, "protocol": "UDP"}]},
    ]);
    let mirrored = plan(
        &endpoints(
            json!({"labels": {"a": "b"}, "annotations": {
        "kept": "x", "endpoints.kubernetes.io/last-change-trigger-time": "t",
        "kubectl.kubernetes.io/last-applied-configuration": "{}"}}),
            web,
        ),
        &[],
    );
    let slices: Vec<_> = mirrored.plan.create.iter().map(shown).collect();
    assert_eq!(
        slices,
        [
            json!(["IPv4", [80], [["192.0.2.1", true], ["192.0.2.2", false]]]),
            json!(["IPv4", [9090], [["192.0.2.1", true]]]),
            json!(["IPv6", [80], [["2001:db8::1", true]]]),
        ]
    );
    let metadata = serde_json::to_value(&mirrored.plan.create[0].metadata).unwrap();
    assert_eq!(
        metadata,
        json!({
            "generateName": "db-", "namespace": "ns", "annotations": {"kept": "x"},
            "labels": {"a": "b", "kubernetes.io/service-name": "db",
                       "endpointslice.kubernetes.io/managed-by": "endpointslicemirroring-controller.k8s.io"},
            "ownerReferences": [{"apiVersion": "v1", "kind": "Endpoints", "name": "db", "uid": "1",
                                 "controller": true, "blockOwnerDeletion": true}],
        })
    );
}

#[test]
fn what_is_the_same_is_left_alone_and_the_rest_is_reused() {
    let of = |metadata: Value, ips: &[&str], port: i32| {
        endpoints(metadata, json!([{"addresses": addresses(ips), "ports": [{"port": port}]}]))
    };
    let first = of(json!({}), &["192.0.2.1", "192.0.2.2"], 80);
    let present = stored(&plan(&first, &[]));
    let count = |change: &Endpoints, present: &[Arc<EndpointSlice>]| {
        let plan = plan(change, present).plan;
        (plan.create.len(), plan.update.len(), plan.delete.len())
    };
    assert_eq!(count(&of(json!({}), &["192.0.2.2", "192.0.2.1"], 80), &present), (0, 0, 0), "order says nothing");
    assert_eq!(count(&of(json!({}), &["192.0.2.1"], 80), &present), (0, 1, 0));
    assert_eq!(count(&of(json!({"labels": {"new": "one"}}), &["192.0.2.1", "192.0.2.2"], 80), &present), (0, 1, 0));
    assert_eq!(count(&of(json!({}), &["192.0.2.1"], 8080), &present), (0, 1, 0), "other ports, same slice");
    assert_eq!(count(&of(json!({}), &["2001:db8::1"], 80), &present), (1, 0, 1), "a slice keeps its family");
    assert_eq!(count(&endpoints(json!({}), Value::Null), &present), (0, 0, 1));
    let twice = [present[0].clone(), present[0].clone()];
    assert_eq!(count(&first, &twice), (0, 0, 1));
    let changed = plan(&of(json!({}), &["192.0.2.1"], 8080), &present).plan.update.remove(0);
    assert_eq!(changed.metadata.name.as_deref(), Some("db-0"));
    let leaving = json!({"deletionTimestamp": "2026-01-01T00:00:00Z"});
    assert_eq!(count(&of(leaving, &["192.0.2.1"], 80), &[]), (0, 0, 0));
}

#[test]
fn what_cannot_be_copied_is_counted() {
    let many: Vec<_> = (0..SUBSET_MAX + 5).map(|number| format!("10.0.{}.{}", number / 250, number % 250)).collect();
    let mut all: Vec<_> = vec!["here"];
    all.extend(many.iter().map(String::as_str));
    let mirrored = plan(&endpoints(json!({}), json!([{"addresses": addresses(&all), "ports": [{"port": 1}]}])), &[]);
    assert_eq!((mirrored.invalid, mirrored.left_out), (1, 5));
    assert_eq!(mirrored.plan.create[0].endpoints.as_ref().map(Vec::len), Some(SUBSET_MAX));
}

#[test]
fn some_endpoints_say_that_they_are_not_to_be_copied() {
    let check = |metadata: Value| is_mirrored(&endpoints(metadata, Value::Null));
    assert!(check(json!({})));
    assert!(check(json!({"labels": {"endpointslice.kubernetes.io/skip-mirror": "false"}})));
    assert!(!check(json!({"labels": {"endpointslice.kubernetes.io/skip-mirror": "true"}})));
    assert!(!check(json!({"annotations": {"control-plane.alpha.kubernetes.io/leader": "{}"}})));
}
