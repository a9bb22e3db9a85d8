//! Addresses and ports of Services: given once, kept through crashes, given back.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures::future::join_all;
use serde_json::{Value, json};

use super::{Cluster, NoNodes};

const SERVICES: &str = "/api/v1/namespaces/default/services";
const RANGES: &str = "/apis/networking.k8s.io/v1/servicecidrs";
const ADDRESSES: &str = "/apis/networking.k8s.io/v1/ipaddresses";

async fn cluster(range: &str) -> Cluster {
    let cluster = Cluster::start().await;
    cluster.post(RANGES, json!({"metadata": {"name": "kubernetes"}, "spec": {"cidrs": [range]}})).await.expect(201);
    cluster
}

fn service(name: &str, spec: Value) -> Value {
    let mut whole = json!({"metadata": {"name": name}, "spec": {"ports": [{"port": 80}]}});
    whole["spec"].as_object_mut().expect("a map").extend(spec.as_object().expect("a map").clone());
    whole
}

async fn addresses(cluster: &Cluster) -> BTreeSet<String> {
    let list = cluster.get(ADDRESSES).await.expect(200);
    let names = list["items"].as_array().expect("items").iter();
    names.map(|item| item["metadata"]["name"].as_str().expect("a name").to_owned()).collect()
}

#[tokio::test]
async fn an_address_belongs_to_one_service_until_it_goes() {
    let cluster = cluster("10.96.0.0/16").await;
    let created = cluster.post(SERVICES, service("a", json!({"clusterIP": "10.96.0.7"}))).await.expect(201);
    assert_eq!(created["spec"]["clusterIPs"], json!(["10.96.0.7"]));
    assert_eq!(
        (&created["spec"]["ipFamilies"], &created["spec"]["ipFamilyPolicy"]),
        (&json!(["IPv4"]), &json!("SingleStack"))
    );
    assert_eq!(created["status"], json!({"loadBalancer": {}}));
    let claim = cluster.get(&format!("{ADDRESSES}/10.96.0.7")).await.expect(200);
    assert_eq!(claim["spec"]["parentRef"], json!({"resource": "services", "namespace": "default", "name": "a"}));
    let taken = cluster.post(SERVICES, service("b", json!({"clusterIP": "10.96.0.7"}))).await.failure();
    let text = "Service \"b\" is invalid: spec.clusterIPs: Invalid value: [\"10.96.0.7\"]: failed to allocate IP 10.96.0.7: \
                provided IP is already allocated";
    assert_eq!(taken, (422, text.to_owned()));
    let foreign = cluster.post(SERVICES, service("b", json!({"clusterIP": "192.0.2.1"}))).await.failure();
    assert!(foreign.1.ends_with("the provided network does not match the current range"), "{foreign:?}");
    cluster.delete(&format!("{SERVICES}/a")).await.expect(200);
    assert!(addresses(&cluster).await.is_empty());
    cluster.post(SERVICES, service("b", json!({"clusterIP": "10.96.0.7"}))).await.expect(201);
}

#[tokio::test]
async fn a_refused_service_keeps_nothing() {
    let cluster = cluster("10.96.0.0/16").await;
    let bad = service("a", json!({"type": "NodePort", "ports": [{"port": 0, "nodePort": 30001}]}));
    cluster.post(SERVICES, bad).await.expect(422);
    assert!(addresses(&cluster).await.is_empty());
    let good = service("a", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}));
    let dry = cluster.post(&format!("{SERVICES}?dryRun=All"), good.clone()).await.expect(201);
    assert_eq!(dry["spec"]["clusterIP"], "10.96.0.0");
    cluster.post(SERVICES, good.clone()).await.expect(201);
    let other = cluster.post(SERVICES, service("b", good["spec"].clone())).await.failure();
    assert!(
        other.1.ends_with("spec.ports[0].nodePort: Invalid value: 30001: provided port is already allocated"),
        "{other:?}"
    );
    assert_eq!(addresses(&cluster).await.len(), 1);
}

#[tokio::test]
async fn writes_at_once_get_different_addresses_and_ports() {
    let cluster = cluster("10.96.0.0/26").await;
    let writes = (0..70).map(|index| {
        let body = service(&format!("s{index}"), json!({"type": "NodePort"}));
        let cluster = &cluster;
        async move { cluster.post(SERVICES, body).await }
    });
    let answers = join_all(writes).await;
    let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.code == 201);
    let field = |path: &str| -> BTreeSet<String> {
        made.iter().map(|answer| answer.json().pointer(path).expect("is set").to_string()).collect()
    };
    assert_eq!((made.len(), field("/spec/clusterIP").len(), field("/spec/ports/0/nodePort").len()), (62, 62, 62));
    for answer in refused {
        let text = "Internal error occurred: failed to allocate a serviceIP: range is full";
        assert_eq!(answer.failure(), (500, text.to_owned()));
    }
}

#[tokio::test]
async fn a_change_of_type_moves_what_a_service_has() {
    let cluster = cluster("10.96.0.0/16").await;
    let path = format!("{SERVICES}/a");
    let created = cluster.post(SERVICES, service("a", json!({"type": "NodePort"}))).await.expect(201);
    let (address, port) = (created["spec"]["clusterIP"].clone(), created["spec"]["ports"][0]["nodePort"].clone());
    let merge = |spec: Value| cluster.merge(&path, json!({ "spec": spec }));
    let balanced = merge(json!({"type": "LoadBalancer"})).await.expect(200);
    assert_eq!((&balanced["spec"]["clusterIP"], &balanced["spec"]["ports"][0]["nodePort"]), (&address, &port));
    let plain = merge(json!({"type": "ClusterIP"})).await.expect(200);
    assert_eq!((&plain["spec"]["clusterIP"], &plain["spec"]["ports"][0]["nodePort"]), (&address, &Value::Null));
    let asked = json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": port}]});
    cluster.post(SERVICES, service("b", asked)).await.expect(201);
    let external = merge(json!({"type": "ExternalName", "externalName": "a.b"})).await.expect(200);
    assert_eq!(external["spec"]["clusterIP"], Value::Null);
    assert_eq!(addresses(&cluster).await.len(), 1);
    let back = merge(json!({"type": "ClusterIP"})).await.expect(200);
    assert!(back["spec"]["clusterIP"].is_string());
}

#[tokio::test]
async fn a_restart_puts_right_what_a_crash_left() {
    let before = cluster("10.96.0.0/16").await;
    let kept = service(
        "kept",
        json!({"type": "NodePort", "clusterIP": "10.96.0.7", "ports": [{"port": 80, "nodePort": 30001}]}),
    );
    before.post(SERVICES, kept).await.expect(201);
    before.delete(&format!("{ADDRESSES}/10.96.0.7")).await.expect(200);
    let orphan = json!({
        "metadata": {"name": "10.96.0.8", "labels": {"ipaddress.kubernetes.io/managed-by": "ipallocator.k8s.io"}},
        "spec": {"parentRef": {"resource": "services", "namespace": "default", "name": "never"}},
    });
    before.post(ADDRESSES, orphan).await.expect(201);
    let foreign =
        json!({"metadata": {"name": "10.96.0.9"}, "spec": {"parentRef": {"resource": "things", "name": "x"}}});
    before.post(ADDRESSES, foreign).await.expect(201);
    let after = Cluster::on(Arc::clone(&before.store), Arc::new(NoNodes)).await;
    assert_eq!(addresses(&after).await, ["10.96.0.7", "10.96.0.9"].map(str::to_owned).into());
    let taken = service("b", json!({"type": "NodePort", "ports": [{"port": 80, "nodePort": 30001}]}));
    let refused = after.post(SERVICES, taken).await.failure();
    assert!(refused.1.ends_with("provided port is already allocated"), "{refused:?}");
}
