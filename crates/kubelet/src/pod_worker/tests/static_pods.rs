//! Static Pods and their mirrors. Files are real, time is not.

use std::path::PathBuf;

use super::*;
use crate::pod_source::StaticPodConfig;

const MIRROR: &str = "/api/v1/namespaces/default/pods/web-n1";

fn manifest(image: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n  containers: [{{name: app, image: {image}}}]\n"
    )
}

/// A node whose API knows the Node object, with these files.
fn node(files: &[(&str, &str)]) -> Node {
    let node = unregistered(files);
    node.context.node.send_modify(|node| Arc::make_mut(node).metadata.uid = Some("node-uid".to_owned()));
    node
}

fn unregistered(files: &[(&str, &str)]) -> Node {
    Node::with(|config| {
        let directory = config.paths.root.with_file_name("static");
        std::fs::create_dir_all(&directory).unwrap();
        for (name, text) in files {
            std::fs::write(directory.join(name), text).unwrap();
        }
        config.pods.static_pods = StaticPodConfig { path: Some(directory), url: None };
    })
}

impl Node {
    fn file(&self, name: &str) -> PathBuf {
        self.context.paths.root.with_file_name("static").join(name)
    }

    /// As an editor: the old file or the new one is there at any time.
    fn replace_file(&self, name: &str, text: &str) {
        let new = self.file(".new");
        std::fs::write(&new, text).unwrap();
        std::fs::rename(new, self.file(name)).unwrap();
    }

    fn mirror(&self) -> Value {
        self.api.get(MIRROR).unwrap_or_default()
    }

    async fn until_mirrored(&self) -> Value {
        self.until("a mirror that runs", |node| node.mirror()["status"]["phase"] == "Running").await;
        self.mirror()
    }
}

#[tokio::test(start_paused = true)]
async fn a_file_becomes_a_pod_and_a_mirror() {
    let node = node(&[("web.yaml", &manifest("nginx"))]);
    let mirror = node.until_mirrored().await;
    let annotations = &mirror["metadata"]["annotations"];
    assert_eq!(annotations["kubernetes.io/config.source"], "file");
    assert_eq!(annotations["kubernetes.io/config.mirror"], annotations["kubernetes.io/config.hash"]);
    assert!(annotations["kubernetes.io/config.seen"].is_string());
    let owner = json!([{ "apiVersion": "v1", "kind": "Node", "name": "n1", "uid": "node-uid", "controller": true }]);
    assert_eq!(mirror["metadata"]["ownerReferences"], owner);
    assert_ne!(mirror["metadata"]["uid"], annotations["kubernetes.io/config.hash"]);
    assert_eq!(mirror["spec"]["nodeName"], "n1");
    assert_eq!(node.cri.calls(), ["run sandbox web-n1-0", "pull nginx:latest", "create app", "start app"]);
}

#[tokio::test(start_paused = true)]
async fn a_static_pod_runs_without_an_api_and_is_mirrored_when_there_is_one() {
    let node = unregistered(&[("web.yaml", &manifest("nginx"))]);
    for _ in 0..5 {
        node.api.fail_next("/pods", 503);
    }
    node.until("the container", |node| node.cri.is_running("app")).await;
    node.cri.exit("app", 1);
    node.until("its restart", |node| node.cri.calls().iter().filter(|call| *call == "start app").count() == 2).await;
    assert_eq!(node.mirror(), Value::Null);
    node.context.node.send_modify(|node| Arc::make_mut(node).metadata.uid = Some("node-uid".to_owned()));
    let mirror = node.until_mirrored().await;
    assert_eq!(mirror["status"]["containerStatuses"][0]["restartCount"], 1);
}

#[tokio::test(start_paused = true)]
async fn a_mirror_that_is_deleted_comes_back_and_nothing_stops() {
    let node = node(&[("web.yaml", &manifest("nginx"))]);
    let first = node.until_mirrored().await;
    node.cri.forget_calls();
    node.api.delete(MIRROR);
    let is_new = |node: &Node, old: &Value| {
        let mirror = node.mirror();
        mirror["status"]["phase"] == "Running" && mirror["metadata"]["uid"] != old["metadata"]["uid"]
    };
    node.until("another mirror", |node| is_new(node, &first)).await;
    let second = node.mirror();
    let ending = json!({ "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": ["x"] });
    node.api.patch(MIRROR, json!({ "metadata": ending }));
    node.until("its deletion", |node| node.api.requests().contains(&format!("DELETE {MIRROR}"))).await;
    node.api.patch(MIRROR, json!({ "metadata": { "finalizers": [] } }));
    node.until("a third mirror", |node| is_new(node, &second)).await;
    assert_eq!(node.cri.calls(), [] as [&str; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_changed_manifest_starts_when_its_predecessor_has_ended() {
    let node = node(&[("web.yaml", &manifest("nginx"))]);
    let first = node.until_mirrored().await;
    node.cri.behave(|fake| fake.deaf.push("app".to_owned()));
    node.cri.forget_calls();
    node.replace_file("web.yaml", &manifest("busybox"));
    node.until("the stop", |node| node.cri.calls().contains(&"stop app 30".to_owned())).await;
    assert_eq!(node.cri.calls(), ["stop app 30"]);
    node.replace_file("web.yaml", &manifest("nginx:latest"));
    let is_new = |mirror: Value| {
        mirror["status"]["phase"] == "Running" && mirror["spec"]["containers"][0]["image"] == "nginx:latest"
    };
    node.until("the last of them", |node| is_new(node.mirror())).await;
    assert_ne!(node.mirror()["metadata"]["uid"], first["metadata"]["uid"]);
    let calls = node.cri.calls();
    let expected = ["stop app 30", "stop sandbox web-n1", "remove sandbox web-n1", "run sandbox web-n1-0"];
    assert_eq!(calls[..4], expected, "{calls:?}");
    assert_eq!(calls.iter().filter(|call| call.starts_with("start")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn without_its_file_a_pod_ends_with_its_mirror() {
    let node = node(&[("web.yaml", &manifest("nginx")), (".hidden", "x")]);
    node.until_mirrored().await;
    std::fs::remove_file(node.file("web.yaml")).unwrap();
    node.until("the end of both", |node| node.cri.sandboxes() == 0 && node.mirror() == Value::Null).await;
    assert_eq!(node.events.count("FailedValidation"), 0);
    std::fs::write(node.file("web.json"), manifest("nginx")).unwrap();
    node.until_mirrored().await;
}

#[tokio::test(start_paused = true)]
async fn what_went_while_the_kubelet_was_away_is_ended() {
    let mut node = node(&[("web.yaml", &manifest("nginx"))]);
    node.until_mirrored().await;
    node.cancel.cancel();
    std::fs::remove_file(node.file("web.yaml")).unwrap();
    node.restart().await;
    node.until("the end of both", |node| node.cri.sandboxes() == 0 && node.mirror() == Value::Null).await;
}

#[tokio::test(start_paused = true)]
async fn what_changed_while_the_kubelet_was_away_waits_for_its_predecessor() {
    let mut node = node(&[("web.yaml", &manifest("nginx"))]);
    let first = node.until_mirrored().await;
    node.cri.behave(|fake| fake.deaf.push("app".to_owned()));
    node.cri.forget_calls();
    node.cancel.cancel();
    node.replace_file("web.yaml", &manifest("busybox"));
    node.restart().await;
    let is_new =
        |mirror: Value| mirror["status"]["phase"] == "Running" && mirror["spec"]["containers"][0]["image"] == "busybox";
    node.until("its successor", |node| is_new(node.mirror())).await;
    assert_ne!(node.mirror()["metadata"]["uid"], first["metadata"]["uid"]);
    let calls = node.cri.calls();
    let position = |wanted: &str| calls.iter().position(|call| call.starts_with(wanted));
    assert!(position("stop app").is_some() && position("stop app") < position("run sandbox web-n1-0"), "{calls:?}");
    assert!(position("remove sandbox web-n1") < position("run sandbox web-n1-0"), "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn of_two_files_with_one_name_the_last_counts() {
    let node = node(&[("a.yaml", &manifest("first")), ("b.yaml", &manifest("second"))]);
    let mirror = node.until_mirrored().await;
    assert_eq!(mirror["spec"]["containers"][0]["image"], "second");
    std::fs::remove_file(node.file("b.yaml")).unwrap();
    node.until("the other one", |node| node.mirror()["spec"]["containers"][0]["image"] == "first").await;
    assert_eq!(node.cri.sandboxes(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_restarted_kubelet_takes_its_static_pods_over() {
    let mut node = node(&[("web.yaml", &manifest("nginx"))]);
    let mirror = node.until_mirrored().await;
    node.cri.forget_calls();
    node.restart().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!(node.cri.calls(), [] as [&str; 0]);
    assert_eq!(node.mirror()["metadata"]["uid"], mirror["metadata"]["uid"]);
}

#[tokio::test(start_paused = true)]
async fn a_broken_file_is_named_and_the_others_run() {
    let node = node(&[
        ("web.yaml", &manifest("nginx")),
        ("bad.yaml", "apiVersion: v1\nkind: Pod\nmetadata: {name: b}\nspec: {}\n"),
    ]);
    node.until_mirrored().await;
    let event = node.events.all().into_iter().find(|event| event.starts_with("FailedValidation")).unwrap();
    assert!(event.contains("/static/bad.yaml: invalid pod: [spec.containers: Required value"), "{event}");
    node.replace_file("web.yaml", "kind: Po");
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(node.cri.is_running("app"), "it may be an editor at work");
    node.until("the end of the broken one", |node| node.cri.sandboxes() == 0).await;
    assert_eq!(node.events.count("FailedValidation"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_pod_that_only_says_it_is_static_is_none() {
    let node = node(&[]);
    node.create(one());
    node.api.patch(POD, json!({ "metadata": { "annotations": { "kubernetes.io/config.source": "file" } } }));
    node.until_running().await;
    node.delete(1);
    node.until_gone().await;
    let mirror = json!({
        "name": "fake", "namespace": "default", "annotations": { "kubernetes.io/config.mirror": "x" },
    });
    node.api.put(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": mirror, "spec": one() }));
    let gone = "DELETE /api/v1/namespaces/default/pods/fake".to_owned();
    node.until("the end of a mirror of nothing", |node| node.api.requests().contains(&gone)).await;
}
