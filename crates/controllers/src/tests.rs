//! All controllers together, over a fake API.

use std::sync::Arc;
use std::time::Duration;

use platform::clock::SystemClock;
use platform::random::SystemRandom;
use platform::tasks::{TaskKind, spawn};
use serde_json::{Value, json};
use testkit::fake_api::FakeApi;

use super::*;

/// The controllers over a fake API; they stop when dropped.
struct Bench {
    api: FakeApi,
    cancel: CancellationToken,
}

impl Drop for Bench {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

impl Bench {
    fn start(api: FakeApi) -> Self {
        let config = Config {
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            authority: None,
            secret_tokens: Arc::new(|_| Ok("token".to_owned())),
            bootstrap_tokens: true,
            root_ca: "PEM".into(),
            local_path: None,
            node_monitor_grace_period: NODE_MONITOR_GRACE_PERIOD,
            eviction_rates: EvictionRates::default(),
            autoscaling: Autoscaling::default(),
        };
        let cancel = CancellationToken::new();
        let (shared, of) = (api.client(), api.client());
        let clients = Clients::new(shared, move |_| of.clone());
        spawn(TaskKind::Worker, "controllers", run(clients, config, cancel.clone()));
        Self { api, cancel }
    }

    async fn gone(&self, path: &str) {
        self.api.until(&format!("{path} gone"), |api| api.get(path).is_none().then_some(())).await;
    }

    async fn there(&self, path: &str) -> Value {
        self.api.until(path, |api| api.get(path)).await
    }
}

fn namespace(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name },
            "spec": { "finalizers": ["kubernetes"] }, "status": { "phase": "Active" } })
}

fn object(kind: &str, name: &str, metadata: Value) -> Value {
    let mut object = json!({ "apiVersion": "v1", "kind": kind,
                             "metadata": { "name": name, "namespace": "ns", "uid": name }, "spec": {} });
    testkit::fake_api::merge(&mut object["metadata"], metadata);
    object
}

fn owned_by(owners: &[&str]) -> Value {
    let owner = |name: &&str| json!({ "apiVersion": "v1", "kind": "ConfigMap", "name": name, "uid": name });
    json!({ "ownerReferences": owners.iter().map(owner).collect::<Vec<_>>() })
}

const CA: &str = "/api/v1/namespaces/ns/configmaps/kube-root-ca.crt";
const ACCOUNT: &str = "/api/v1/namespaces/ns/serviceaccounts/default";

fn config_map(name: &str) -> String {
    format!("/api/v1/namespaces/ns/configmaps/{name}")
}

#[tokio::test]
async fn a_namespace_gets_its_account_and_ca_and_gets_them_back() {
    let bench = Bench::start(FakeApi::new());
    bench.api.put(namespace("ns"));
    bench.there(ACCOUNT).await;
    assert_eq!(bench.there(CA).await["data"], json!({ "ca.crt": "PEM" }));
    bench.api.delete(ACCOUNT);
    bench.api.patch(CA, json!({ "data": { "ca.crt": "forged", "more": "x" } }));
    bench.there(ACCOUNT).await;
    let restored = |api: &FakeApi| (api.get(CA)?["data"] == json!({ "ca.crt": "PEM" })).then_some(());
    bench.api.until("the CA restored", restored).await;
    bench.api.delete(CA);
    bench.there(CA).await;
}

#[tokio::test]
async fn a_namespace_goes_after_its_pods_and_then_its_content() {
    let bench = Bench::start(FakeApi::new());
    bench.api.put(namespace("ns"));
    bench.there(CA).await;
    bench.api.put(object("Pod", "slow", json!({ "finalizers": ["x/pod"] })));
    bench.api.put(object("ConfigMap", "held", json!({ "finalizers": ["x/config"] })));
    bench.api.delete("/api/v1/namespaces/ns");
    let remaining = |api: &FakeApi| {
        let namespace = api.get("/api/v1/namespaces/ns")?;
        let conditions = namespace["status"]["conditions"].as_array()?;
        let content = conditions.iter().find(|condition| condition["type"] == "NamespaceContentRemaining")?;
        content["message"].as_str().map(str::to_owned)
    };
    let message = bench.api.until("conditions", remaining).await;
    assert_eq!(message, "Some resources are remaining: pods. has 1 resource instances");
    assert!(bench.api.get(&config_map("held")).unwrap()["metadata"]["deletionTimestamp"].is_null());
    bench.api.patch("/api/v1/namespaces/ns/pods/slow", json!({ "metadata": { "finalizers": [] } }));
    let next = |api: &FakeApi| remaining(api).filter(|message| message.contains("configmaps. has 1 "));
    bench.api.until("the rest deleted", next).await;
    bench.gone(CA).await;
    bench.api.patch(&config_map("held"), json!({ "metadata": { "finalizers": [] } }));
    bench.gone("/api/v1/namespaces/ns").await;
}

#[tokio::test]
async fn objects_go_with_their_last_owner() {
    let api = FakeApi::new();
    for owner in ["owner", "other"] {
        api.put(object("ConfigMap", owner, json!({})));
    }
    api.put(object("Secret", "orphan", owned_by(&["nobody"])));
    api.put(object("Secret", "child", owned_by(&["owner"])));
    api.put(object("Secret", "shared", owned_by(&["owner", "other"])));
    api.put(object(
        "Secret",
        "strange",
        json!({ "ownerReferences": [
        { "apiVersion": "x.io/v1", "kind": "Unknown", "name": "u", "uid": "u" }] }),
    ));
    let bench = Bench::start(api);
    let secret = |name: &str| format!("/api/v1/namespaces/ns/secrets/{name}");
    bench.gone(&secret("orphan")).await;
    assert!(bench.api.get(&secret("child")).is_some());
    bench.api.delete(&config_map("owner"));
    bench.gone(&secret("child")).await;
    let only_other = |api: &FakeApi| {
        let owners = api.get(&secret("shared"))?["metadata"]["ownerReferences"].as_array()?.clone();
        (owners.len() == 1 && owners[0]["uid"] == "other").then_some(())
    };
    bench.api.until("one owner left", only_other).await;
    assert!(bench.api.get(&secret("strange")).is_some(), "nobody can say whether its owner is gone");
}

#[tokio::test]
async fn deletion_in_the_foreground_waits_for_dependents_and_orphaning_frees_them() {
    let api = FakeApi::new();
    api.put(object("ConfigMap", "front", json!({ "finalizers": ["foregroundDeletion"] })));
    api.put(object("ConfigMap", "loose", json!({ "finalizers": ["orphan"] })));
    let mut blocking = owned_by(&["front"]);
    blocking["ownerReferences"][0]["blockOwnerDeletion"] = json!(true);
    blocking["finalizers"] = json!(["x/y"]);
    api.put(object("Secret", "blocking", blocking));
    api.put(object("Secret", "freed", owned_by(&["loose"])));
    let bench = Bench::start(api);
    bench.there(&config_map("front")).await;
    bench.api.delete(&config_map("front"));
    bench.api.delete(&config_map("loose"));
    bench.gone(&config_map("loose")).await;
    let freed = bench.api.get("/api/v1/namespaces/ns/secrets/freed").unwrap();
    assert_eq!(freed["metadata"]["ownerReferences"], json!([]));
    let deleting = |api: &FakeApi| {
        let blocking = api.get("/api/v1/namespaces/ns/secrets/blocking")?;
        blocking["metadata"]["deletionTimestamp"].is_string().then_some(())
    };
    bench.api.until("the dependent deleted", deleting).await;
    assert!(bench.api.get(&config_map("front")).is_some());
    bench.api.patch("/api/v1/namespaces/ns/secrets/blocking", json!({ "metadata": { "finalizers": [] } }));
    bench.gone(&config_map("front")).await;
}

#[tokio::test]
async fn a_node_that_is_not_ready_is_tainted_and_loses_pods_that_do_not_stand_it() {
    let api = FakeApi::new();
    let ready = |status: &str| json!({ "status": { "conditions": [{ "type": "Ready", "status": status }] } });
    let mut node = json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": "n1" }, "spec": {} });
    testkit::fake_api::merge(&mut node, ready("True"));
    // Another that is well: where all nodes are lost nothing is evicted.
    let mut other = node.clone();
    other["metadata"]["name"] = json!("n2");
    api.put(node);
    api.put(other);
    let mut standing = object("Pod", "standing", json!({}));
    standing["spec"] = json!({ "nodeName": "n1", "tolerations": [{ "operator": "Exists" }] });
    let mut fragile = object("Pod", "fragile", json!({}));
    fragile["spec"] = json!({ "nodeName": "n1" });
    api.put(standing);
    api.put(fragile);
    let bench = Bench::start(api);
    let taints = |api: &FakeApi| api.get("/api/v1/nodes/n1")?["spec"]["taints"].as_array().map(Vec::len);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(taints(&bench.api), None, "a healthy node is left alone");
    bench.api.patch("/api/v1/nodes/n1", ready("False"));
    bench.gone("/api/v1/namespaces/ns/pods/fragile").await;
    assert_eq!(taints(&bench.api), Some(2));
    bench.api.patch("/api/v1/nodes/n1", ready("True"));
    bench.api.until("untainted", |api| taints(api).filter(|count| *count == 0)).await;
    assert!(bench.api.get("/api/v1/namespaces/ns/pods/standing").is_some());
}

#[tokio::test]
async fn nothing_is_asked_for_while_nothing_happens() {
    let bench = Bench::start(FakeApi::new());
    bench.api.put(namespace("ns"));
    bench.there(CA).await;
    bench.there(ACCOUNT).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = bench.api.requests().len();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(bench.api.requests().len(), before, "{:#?}", bench.api.requests());
}
