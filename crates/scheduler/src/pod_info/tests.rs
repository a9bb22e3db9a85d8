use serde_json::{Value, json};

use super::*;
use crate::fixtures::{node, pod};

#[test]
fn a_pods_requests_are_those_of_its_heaviest_moment() {
    let container = |cpu: &str| json!({ "name": "c", "resources": { "requests": { "cpu": cpu, "memory": "1Gi" } } });
    let sidecar = |cpu: &str| {
        let mut container = container(cpu);
        container["restartPolicy"] = json!("Always");
        container
    };
    let cases: [(&str, Value, i64); 6] = [
        ("containers add up", json!({ "containers": [container("1"), container("500m")] }), 1500),
        (
            "the largest init container counts",
            json!({ "initContainers": [container("3"), container("2")], "containers": [container("1")] }),
            3000,
        ),
        (
            "sidecars run beside what starts later",
            json!({ "initContainers": [sidecar("1"), container("3"), sidecar("1")], "containers": [container("1")] }),
            4000,
        ),
        (
            "sidecars run beside the containers",
            json!({ "initContainers": [container("1"), sidecar("2")], "containers": [container("1")] }),
            3000,
        ),
        (
            "the Pod's own requests replace the sum",
            json!({ "containers": [container("1")], "resources": { "requests": { "cpu": "5" } } }),
            5000,
        ),
        ("overhead comes on top", json!({ "containers": [container("1")], "overhead": { "cpu": "250m" } }), 1250),
    ];
    for (case, spec, cpu_milli) in cases {
        assert_eq!(pod("p", spec).facts.requests.exact.cpu_milli, cpu_milli, "{case}");
    }
}

#[test]
fn scoring_assumes_a_minimum_only_where_nothing_is_stated() {
    let requests = pod(
        "p",
        json!({ "containers": [
            { "name": "a" },
            { "name": "b", "resources": { "requests": { "cpu": "0", "nvidia.com/gpu": "2" } } },
        ] }),
    )
    .facts
    .requests
    .clone();
    assert_eq!((requests.exact.cpu_milli, requests.exact.memory_bytes), (0, 0));
    assert_eq!((requests.assumed.cpu_milli, requests.assumed.memory_bytes), (100, 400 * 1024 * 1024));
    assert_eq!(requests.exact.extended_amount("nvidia.com/gpu"), 2);
}

#[test]
fn stages_follow_node_phase_and_scheduler() {
    let stage = |changes: &[(&str, Value)]| {
        let mut object = json!({ "metadata": { "name": "p" }, "spec": { "containers": [] }, "status": {} });
        for (pointer, value) in changes {
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            object.pointer_mut(parent).unwrap()[key] = value.clone();
        }
        PodInfo::of(serde_json::from_value(object).unwrap()).stage
    };
    assert_eq!(stage(&[]), Stage::Waiting);
    assert_eq!(stage(&[("/spec/schedulerName", json!("default-scheduler"))]), Stage::Waiting);
    assert_eq!(stage(&[("/spec/schedulerName", json!("mine"))]), Stage::Waiting);
    assert_eq!(stage(&[("/metadata/deletionTimestamp", json!("2026-01-01T00:00:00Z"))]), Stage::Gone);
    assert_eq!(stage(&[("/spec/nodeName", json!("n"))]), Stage::Assigned("n".into()));
    assert_eq!(stage(&[("/spec/nodeName", json!("n")), ("/status/phase", json!("Failed"))]), Stage::Ended);
}

#[test]
fn node_affinity_follows_labels_and_names() {
    let labelled = node("n1", json!({ "metadata": { "labels": { "disk": "ssd", "cores": "8" } } }));
    let required = |term: Value| {
        json!({ "containers": [], "affinity": { "nodeAffinity": {
            "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": term } } } })
    };
    let expression = |operator: &str, values: Value| json!([{ "matchExpressions": [{ "key": "cores", "operator": operator, "values": values }] }]);
    let cases = [
        ("a matching selector", json!({ "containers": [], "nodeSelector": { "disk": "ssd" } }), true),
        ("another value", json!({ "containers": [], "nodeSelector": { "disk": "hdd" } }), false),
        ("In", required(expression("In", json!(["4", "8"]))), true),
        ("NotIn", required(expression("NotIn", json!(["8"]))), false),
        ("Gt", required(expression("Gt", json!(["7"]))), true),
        ("Lt", required(expression("Lt", json!(["8"]))), false),
        ("DoesNotExist", required(expression("DoesNotExist", Value::Null)), false),
        ("an unknown operator holds nowhere", required(expression("Near", json!(["8"]))), false),
        ("an empty term holds nowhere", required(json!([{}])), false),
        (
            "one of several terms",
            required(json!([{}, { "matchFields": [{ "key": "metadata.name", "operator": "In", "values": ["n1"] }] }])),
            true,
        ),
    ];
    for (case, spec, allowed) in cases {
        assert_eq!(pod("p", spec).facts.node_affinity.allows(&labelled), allowed, "{case}");
    }
}

#[test]
fn host_ports_conflict_by_protocol_and_address() {
    let ports = |host_ip: &str, protocol: &str| {
        let port = json!({ "containerPort": 1, "hostPort": 80, "hostIP": host_ip, "protocol": protocol });
        pod("p", json!({ "containers": [{ "name": "c", "ports": [port] }] })).facts.host_ports[0].clone()
    };
    let held = ports("127.0.0.1", "TCP");
    assert!(held.conflicts_with(&ports("127.0.0.1", "TCP")));
    assert!(held.conflicts_with(&ports("", "TCP")), "no address is every address");
    assert!(!held.conflicts_with(&ports("127.0.0.2", "TCP")));
    assert!(!held.conflicts_with(&ports("127.0.0.1", "UDP")));
}
