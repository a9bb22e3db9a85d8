//! Probes of whole Pods.

use super::*;

fn with_probe(kind: &str, threshold: u32) -> Value {
    let probe = json!({ "exec": { "command": ["probe"] }, "periodSeconds": 10, "failureThreshold": threshold });
    json!({ "containers": [{ "name": "app", "image": "nginx", kind: probe }] })
}

fn answers(node: &Node, exit_code: i32) {
    node.cri.behave(|fake| fake.commands.extend([("probe".to_owned(), (exit_code, "what it says".to_owned()))]));
}

fn is_unready(node: &Node) -> bool {
    let found = |name: &str, status: &str| {
        let conditions = node.status()["conditions"].as_array().cloned().unwrap_or_default();
        conditions.iter().any(|one| one["type"] == name && one["status"] == status)
    };
    found("Ready", "False") && found("ContainersReady", "False")
}

#[tokio::test(start_paused = true)]
async fn a_pod_leaves_ready_with_the_verdict_that_settles_it() {
    let node = Node::new();
    node.create(with_probe("readinessProbe", 2));
    node.until_running().await;
    answers(&node, 1);
    let before = Instant::now();
    node.until("the second failure", |node| node.events.count("Unhealthy") == 2).await;
    assert!((10..21).contains(&before.elapsed().as_secs()), "{:?}", before.elapsed());
    tokio::time::sleep(Duration::from_millis(5)).await;
    assert!(is_unready(&node), "{}", node.status());
    assert_eq!(node.container(0)["restartCount"], 0);
    assert!(node.events.all().contains(&"Unhealthy: Readiness probe failed: what it says".to_owned()));
    answers(&node, 0);
    node.until("Ready again", Node::is_ready).await;
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_ends_is_still_asked_whether_it_is_ready_and_not_whether_it_lives() {
    let node = Node::new();
    let mut spec = with_probe("readinessProbe", 1);
    spec["containers"][0]["livenessProbe"] = with_probe("livenessProbe", 1)["containers"][0]["livenessProbe"].clone();
    node.cri.behave(|fake| fake.deaf.push("app".to_owned()));
    node.create(spec);
    node.until_running().await;
    node.delete(60);
    answers(&node, 1);
    node.until("unready while ending", is_unready).await;
    assert_eq!(node.container(0)["ready"], false);
    assert!(node.container(0)["state"]["running"].is_object(), "{}", node.status());
    assert!(!node.events.all().iter().any(|event| event.contains("Liveness")), "{:?}", node.events.all());
    node.until_gone().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_of_the_kubelet_makes_no_pod_unready() {
    let mut node = Node::new();
    let mut spec = with_probe("readinessProbe", 1);
    spec["containers"][0]["startupProbe"] = with_probe("startupProbe", 1)["containers"][0]["startupProbe"].clone();
    node.create(spec);
    node.until_running().await;
    let patches = node.status_patches();
    node.restart().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(node.is_ready());
    assert_eq!(node.status_patches(), patches);
    answers(&node, 1);
    node.until("unready", is_unready).await;
}

#[tokio::test(start_paused = true)]
async fn a_container_that_cannot_be_asked_is_neither_well_nor_ill() {
    let node = Node::new();
    let probe = json!({ "httpGet": { "port": "nowhere" }, "failureThreshold": 1 });
    node.create(json!({ "containers": [{ "name": "app", "image": "nginx", "livenessProbe": probe }] }));
    node.until_running().await;
    tokio::time::sleep(Duration::from_secs(35)).await;
    assert_eq!(node.container(0)["restartCount"], 0);
    let text =
        "Liveness probe errored and resulted in unknown state: strconv.Atoi: parsing \"nowhere\": invalid syntax";
    assert!(node.events.all().contains(&format!("Unhealthy: {text}")), "{:?}", node.events.all());
}
