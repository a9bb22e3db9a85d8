use std::time::Duration;

use platform::clock::SystemClock;
use platform::random::SystemRandom;
use serde_json::{Value, json};
use testkit::fake_api::FakeApi;

use super::*;
use crate::Configuration;

fn node(name: &str, labels: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Node", "metadata": { "name": name, "labels": labels },
            "status": { "allocatable": { "cpu": "2", "memory": "4Gi", "pods": "110" } } })
}

fn pod(name: &str, spec: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "namespace": "ns", "generation": 1 },
            "spec": spec, "status": { "phase": "Pending" } })
}

fn one_cpu() -> Value {
    json!({ "containers": [{ "name": "c", "resources": { "requests": { "cpu": "1" } } }] })
}

fn path(name: &str) -> String {
    format!("/api/v1/namespaces/ns/pods/{name}")
}

/// A scheduler over a fake API; it stops when dropped.
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
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let config = Config {
            clock,
            random,
            instance: "host".into(),
            configuration: Configuration::default(),
            verdicts: crate::Verdicts::default(),
            metrics: crate::Metrics::default(),
        };
        let cancel = CancellationToken::new();
        spawn(TaskKind::Worker, "scheduler", run(api.client(), config, cancel.clone()));
        Self { api, cancel }
    }

    async fn node_of(&self, name: &str) -> String {
        let bound = |api: &FakeApi| {
            api.get(&path(name))?["spec"]["nodeName"].as_str().filter(|node| !node.is_empty()).map(str::to_owned)
        };
        self.api.until("a node", bound).await
    }

    async fn condition(&self, name: &str, message: &str) -> Value {
        let says = |api: &FakeApi| {
            let pod = api.get(&path(name))?;
            let conditions = pod["status"]["conditions"].as_array()?;
            conditions.iter().find(|c| c["message"].as_str().is_some_and(|m| m.contains(message))).cloned()
        };
        self.api.until(message, says).await
    }

    async fn event(&self, reason: &str) -> Value {
        let reported = |api: &FakeApi| {
            let names = api.requests();
            assert!(names.len() < 10_000, "the scheduler spins");
            api.list("/api/v1/events").into_iter().find(|event| event["reason"] == reason)
        };
        self.api.until(reason, reported).await
    }
}

#[tokio::test]
async fn a_pod_is_bound_through_the_binding_subresource_and_told_of() {
    let api = FakeApi::new();
    api.put(node("n1", json!({})));
    api.put(pod("web", one_cpu()));
    let bench = Bench::start(api);
    assert_eq!(bench.node_of("web").await, "n1");
    assert!(bench.api.requests().contains(&format!("POST {}/binding", path("web"))));
    let event = bench.event("Scheduled").await;
    assert_eq!(event["message"], "Successfully assigned ns/web to n1");
    assert_eq!((&event["type"], &event["action"]), (&json!("Normal"), &json!("Binding")));
    assert_eq!(event["reportingComponent"], "default-scheduler");
    assert_eq!(event["reportingInstance"], "default-scheduler-host");
    assert_eq!(event["involvedObject"]["uid"], bench.api.get(&path("web")).unwrap()["metadata"]["uid"]);
}

#[tokio::test]
async fn a_label_on_the_node_binds_the_pod_that_waited_for_it_at_once() {
    let api = FakeApi::new();
    api.put(node("n1", json!({})));
    api.put(pod("picky", json!({ "containers": [], "nodeSelector": { "disktype": "ssd" } })));
    let bench = Bench::start(api);
    let condition = bench.condition("picky", "node affinity").await;
    assert_eq!(
        condition["message"],
        "0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector. no new claims to deallocate, \
         preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    );
    assert_eq!((&condition["status"], &condition["reason"]), (&json!("False"), &json!("Unschedulable")));
    assert_eq!(condition["observedGeneration"], 1);
    assert_eq!(bench.event("FailedScheduling").await["message"], condition["message"]);
    let start = Instant::now();
    bench.api.patch("/api/v1/nodes/n1", json!({ "metadata": { "labels": { "disktype": "ssd" } } }));
    assert_eq!(bench.node_of("picky").await, "n1");
    assert!(start.elapsed() < Duration::from_millis(500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn pods_wait_for_a_first_node_and_for_room() {
    let bench = Bench::start(FakeApi::new());
    for name in ["a", "b", "c"] {
        bench.api.put(pod(name, one_cpu()));
    }
    bench.condition("a", "no nodes available to schedule pods").await;
    bench.api.put(node("n1", json!({})));
    // Two fit; the third waits with the reason, and goes when one ends.
    let waiting = bench.api.until("two bound", |api| {
        let pods: Vec<Value> = ["a", "b", "c"].iter().filter_map(|name| api.get(&path(name))).collect();
        let (bound, waiting): (Vec<_>, Vec<_>) = pods.into_iter().partition(|pod| pod["spec"]["nodeName"].is_string());
        (bound.len() == 2).then(|| (bound[0]["metadata"]["name"].clone(), waiting[0]["metadata"]["name"].clone()))
    });
    let (bound, waiting) = waiting.await;
    let (bound, waiting) = (bound.as_str().unwrap(), waiting.as_str().unwrap());
    bench.condition(waiting, "1 Insufficient cpu").await;
    bench.api.patch(&path(bound), json!({ "status": { "phase": "Succeeded" } }));
    assert_eq!(bench.node_of(waiting).await, "n1");
}

#[tokio::test]
async fn a_failed_binding_is_tried_again() {
    let api = FakeApi::new();
    api.put(node("n1", json!({})));
    api.fail_next("/binding", 500);
    api.put(pod("web", one_cpu()));
    let bench = Bench::start(api);
    bench.condition("web", "running Bind plugin").await;
    assert_eq!(bench.node_of("web").await, "n1");
}

#[tokio::test]
async fn pods_of_other_schedulers_are_counted_but_not_scheduled() {
    let api = FakeApi::new();
    api.put(node("n1", json!({})));
    let mut other = one_cpu();
    other["schedulerName"] = json!("mine");
    api.put(pod("other", other.clone()));
    other["nodeName"] = json!("n1");
    other["containers"][0]["resources"]["requests"]["cpu"] = json!("2");
    api.put(pod("placed", other));
    api.put(pod("web", one_cpu()));
    let bench = Bench::start(api);
    bench.condition("web", "Insufficient cpu").await;
    assert!(bench.api.get(&path("other")).unwrap()["spec"]["nodeName"].is_null());
}

#[tokio::test]
async fn a_burst_is_spread_without_overbooking() {
    let api = FakeApi::new();
    for name in ["n1", "n2", "n3", "n4"] {
        api.put(node(name, json!({})));
    }
    let bench = Bench::start(api);
    for number in 0..10 {
        bench.api.put(pod(&format!("p{number}"), one_cpu()));
    }
    let counts = bench.api.until("eight bound", |api| {
        let mut counts = std::collections::BTreeMap::new();
        for number in 0..10 {
            if let Some(node) = api.get(&path(&format!("p{number}")))?["spec"]["nodeName"].as_str() {
                *counts.entry(node.to_owned()).or_insert(0) += 1;
            }
        }
        (counts.values().sum::<i32>() == 8).then_some(counts)
    });
    assert_eq!(counts.await.into_values().collect::<Vec<_>>(), [2, 2, 2, 2]);
}

#[tokio::test]
async fn pods_that_wait_for_volumes_hold_up_nobody_once_they_are_gone() {
    let api = FakeApi::new();
    let mut large = node("n1", json!({}));
    large["status"]["allocatable"]["pods"] = json!("1000");
    api.put(large);
    api.put(json!({ "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": { "name": "slow" },
                    "provisioner": "example.com/never", "volumeBindingMode": "WaitForFirstConsumer" }));
    api.put(json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
                    "metadata": { "name": "data", "namespace": "ns", "uid": "d" },
                    "spec": { "storageClassName": "slow", "accessModes": ["ReadWriteMany"],
                              "resources": { "requests": { "storage": "1Gi" } } } }));
    let waiting = |number: usize| {
        let volume = json!({ "name": "v", "persistentVolumeClaim": { "claimName": "data" } });
        let mut pod = pod(&format!("w{number}"), json!({ "containers": [{ "name": "c" }], "volumes": [volume] }));
        pod["metadata"]["uid"] = json!(format!("u{number}"));
        pod
    };
    let bench = Bench::start(api);
    (0..WRITES_LIMIT).for_each(|number| bench.api.put(waiting(number)));
    bench
        .api
        .until("all writes under way", |api| {
            let patches =
                api.requests().iter().filter(|request| request.contains("persistentvolumeclaims/data")).count();
            (patches >= WRITES_LIMIT).then_some(())
        })
        .await;
    (0..WRITES_LIMIT).for_each(|number| bench.api.delete(&path(&format!("w{number}"))));
    bench.api.put(pod("web", one_cpu()));
    assert_eq!(bench.node_of("web").await, "n1");
}

#[tokio::test]
async fn a_pod_of_higher_priority_takes_the_place_of_a_lesser_one() {
    let api = FakeApi::new();
    api.put(node("n1", json!({})));
    let asking = |priority: i32| {
        let mut spec = one_cpu();
        spec["priority"] = json!(priority);
        spec["containers"][0]["resources"]["requests"]["cpu"] = json!("2");
        spec
    };
    api.put(pod("lesser", asking(1)));
    let bench = Bench::start(api);
    assert_eq!(bench.node_of("lesser").await, "n1");
    bench.api.put(pod("greater", asking(2)));
    assert_eq!(bench.node_of("greater").await, "n1");
    let requests = bench.api.requests();
    assert!(requests.contains(&format!("DELETE {}", path("lesser"))), "{requests:?}");
    let event = bench.event("Preempted").await;
    assert_eq!(event["involvedObject"]["name"], "lesser");
    let uid = bench.api.get(&path("greater")).unwrap()["metadata"]["uid"].as_str().unwrap().to_owned();
    assert_eq!(event["message"], format!("Preempted by pod {uid} on node n1"));
    let failed = bench.event("FailedScheduling").await;
    assert_eq!(failed["message"], "0/1 nodes are available: 1 Insufficient cpu.");
}
