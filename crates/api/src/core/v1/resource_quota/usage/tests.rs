use serde_json::{Value, json};

use super::*;

fn show(usage: &Amounts) -> String {
    let shown = usage.iter().filter(|(_, amount)| !amount.is_zero()).map(|(name, amount)| format!("{name}={amount}"));
    shown.collect::<Vec<_>>().join(" ")
}

fn pod(pod: Value) -> Pod {
    serde_json::from_value(pod).unwrap()
}

#[test]
fn pods_count_with_what_they_ask_for() {
    let now = Timestamp::from_second(1_000).unwrap();
    let pods = Counted::new("", "pods");
    let subject = pod(json!({"spec": {"containers": [{"name": "a", "resources": {
        "requests": {"cpu": "100m", "memory": "1Gi", "hugepages-2Mi": "4Mi", "example.com/gpu": "2"},
        "limits": {"cpu": "1", "hugepages-2Mi": "4Mi", "example.com/gpu": "2"}}}],
        "initContainers": [{"name": "i", "resources": {"requests": {"cpu": "150m"}}}],
        "overhead": {"cpu": "50m"}}}));
    assert_eq!(
        show(&pods.usage(Item::Pod(&subject), now)),
        "count/pods=1 cpu=200m hugepages-2Mi=4Mi limits.cpu=1050m memory=1Gi pods=1 requests.cpu=200m \
         requests.example.com/gpu=2 requests.hugepages-2Mi=4Mi requests.memory=1Gi"
    );
    let ended = pod(json!({"spec": {"containers": []}, "status": {"phase": "Failed"}}));
    assert_eq!(show(&pods.usage(Item::Pod(&ended), now)), "count/pods=1");
    let deleted = |at: &str| {
        let metadata = json!({"deletionTimestamp": at, "deletionGracePeriodSeconds": 30});
        show(&pods.usage(Item::Pod(&pod(json!({"metadata": metadata, "spec": {"containers": []}}))), now))
    };
    assert_eq!(deleted("1970-01-01T00:16:00Z"), "count/pods=1");
    assert_eq!(deleted("1970-01-01T00:16:30Z"), "count/pods=1 pods=1");
}

#[test]
fn services_and_claims_count_with_ports_and_sizes() {
    let now = Timestamp::UNIX_EPOCH;
    let service = |spec: Value| {
        let service = serde_json::from_value(json!({ "spec": spec })).unwrap();
        show(&Counted::new("", "services").usage(Item::Service(&service), now))
    };
    let ports = json!([{"port": 1, "nodePort": 30000}, {"port": 2}]);
    assert_eq!(service(json!({"type": "ClusterIP", "ports": ports})), "count/services=1 services=1");
    let both = "count/services=1 services=1 services.nodeports=2";
    assert_eq!(service(json!({"type": "NodePort", "ports": ports})), both);
    let balanced = "count/services=1 services=1 services.loadbalancers=1 services.nodeports=2";
    assert_eq!(service(json!({"type": "LoadBalancer", "ports": ports})), balanced);
    let without = json!({"type": "LoadBalancer", "allocateLoadBalancerNodePorts": false, "ports": ports});
    assert_eq!(service(without), "count/services=1 services=1 services.loadbalancers=1 services.nodeports=1");
    let claim = serde_json::from_value(json!({
        "spec": {"storageClassName": "gold", "resources": {"requests": {"storage": "1Gi"}}},
        "status": {"allocatedResources": {"storage": "2Gi"}},
    }));
    assert_eq!(
        show(&Counted::new("", "persistentvolumeclaims").usage(Item::Claim(&claim.unwrap()), now)),
        "count/persistentvolumeclaims=1 gold.storageclass.storage.k8s.io/persistentvolumeclaims=1 \
         gold.storageclass.storage.k8s.io/requests.storage=2Gi persistentvolumeclaims=1 requests.storage=2Gi"
    );
}

#[test]
fn resources_count_as_what_quotas_name() {
    let check = |group: &str, plural: &str, names: &[&str], others: &[&str]| {
        let counted = Counted::new(group, plural);
        assert_eq!(names.iter().find(|name| !counted.counts_as(name)), None);
        assert_eq!(others.iter().find(|name| counted.counts_as(name)), None);
    };
    check(
        "",
        "pods",
        &[
            "pods",
            "count/pods",
            "cpu",
            "requests.memory",
            "limits.ephemeral-storage",
            "hugepages-1Gi",
            "requests.hugepages-2Mi",
            "requests.nvidia.com/gpu",
        ],
        &[
            "services",
            "requests.storage",
            "gold.storageclass.storage.k8s.io/requests.storage",
            "nvidia.com/gpu",
            "count/secrets",
        ],
    );
    check("", "configmaps", &["configmaps", "count/configmaps"], &["secrets", "pods"]);
    check("apps", "deployments", &["count/deployments.apps"], &["deployments", "count/deployments"]);
    check(
        "",
        "persistentvolumeclaims",
        &["requests.storage", "gold.storageclass.storage.k8s.io/persistentvolumeclaims"],
        &["requests.cpu", "storage"],
    );
    assert_eq!(
        show(&Counted::new("", "secrets").usage(Item::Other, Timestamp::UNIX_EPOCH)),
        "count/secrets=1 secrets=1"
    );
    let deployments = Counted::new("apps", "deployments");
    assert_eq!(show(&deployments.usage(Item::Other, Timestamp::UNIX_EPOCH)), "count/deployments.apps=1");
}

#[test]
fn containers_must_say_what_is_limited() {
    let subject = |spec: Value| pod(json!({ "spec": spec }));
    let check = |pod: &Pod, limited: &[&str], expected: Option<&str>| {
        assert_eq!(unsaid(Item::Pod(pod), limited.iter().copied()).as_deref(), expected);
    };
    let both = subject(json!({
        "containers": [{"name": "b"}, {"name": "a", "resources": {"requests": {"cpu": "1"}}}],
        "initContainers": [{"name": "i", "resources": {"limits": {"memory": "1"}}}],
    }));
    check(&both, &["pods", "ephemeral-storage", "requests.example.com/gpu"], None);
    check(
        &both,
        &["requests.cpu", "limits.memory"],
        Some("must specify limits.memory for: a,b; requests.cpu for: b,i"),
    );
    let whole = subject(json!({"containers": [{"name": "b"}], "resources": {"requests": {"cpu": "1"}}}));
    check(&whole, &["requests.cpu", "cpu"], None);
    check(&whole, &["memory"], Some("must specify memory for: b"));
}
