use std::collections::VecDeque;
use std::sync::Mutex;

use http::{Request, Response};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::*;

fn config_map(name: &str, version: u32) -> Value {
    json!({ "apiVersion": "v1", "kind": "ConfigMap",
            "metadata": { "name": name, "namespace": "ns", "resourceVersion": version.to_string() } })
}

fn list(version: u32, items: &[Value]) -> (u16, String) {
    let list = json!({ "apiVersion": "v1", "kind": "ConfigMapList",
                       "metadata": { "resourceVersion": version.to_string() }, "items": items });
    (200, list.to_string())
}

fn watch(events: &[(&str, Value)]) -> (u16, String) {
    let lines = events.iter().map(|(kind, object)| json!({ "type": kind, "object": object }).to_string() + "\n");
    (200, lines.collect())
}

fn failure(code: u16) -> (u16, String) {
    let status = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": "X", "message": "x" });
    (code, status.to_string())
}

/// Answers requests in turn from a script, then never.
fn scripted(answers: Vec<(u16, String)>) -> (crate::Client, Arc<Mutex<Vec<String>>>) {
    let answers = Arc::new(Mutex::new(VecDeque::from(answers)));
    let requests = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&requests);
    let service = tower::service_fn(move |request: Request<Body>| {
        seen.lock().unwrap().push(request.uri().query().unwrap_or_default().to_owned());
        let answer = answers.lock().unwrap().pop_front();
        async move {
            let Some((code, body)) = answer else { std::future::pending().await };
            let response = Response::builder().status(code).body(Body::from(body.into_bytes())).unwrap();
            Ok::<_, std::convert::Infallible>(response)
        }
    });
    (crate::Client::new(service, "default"), requests)
}

/// Runs a reflector over the script and returns what its handler saw until nothing more comes.
async fn changes_of(answers: Vec<(u16, String)>) -> (Vec<String>, Vec<String>) {
    let (client, requests) = scripted(answers);
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let reflector = Reflector::<ConfigMap>::new(Api::all(client)).on_change(move |change| {
        let version = |object: &ConfigMap| object.metadata.resource_version.clone().unwrap();
        let name = |object: &ConfigMap| object.metadata.name.clone().unwrap();
        let line = match change {
            Change::Added(object) => format!("+{}@{}", name(object), version(object)),
            Change::Updated { old, new } => format!("~{}@{}>{}", name(new), version(old), version(new)),
            Change::Deleted(object) => format!("-{}", name(object)),
            Change::Synced => "synced".to_owned(),
        };
        sender.send(line).unwrap();
    });
    let lister = reflector.lister();
    let cancel = CancellationToken::new();
    let task = platform::tasks::spawn(platform::tasks::TaskKind::Worker, "reflector", reflector.run(cancel.clone()));
    lister.synced().await;
    tokio::time::sleep(Duration::from_secs(60)).await;
    cancel.cancel();
    task.await.unwrap();
    let mut lines = Vec::new();
    while let Ok(line) = receiver.try_recv() {
        lines.push(line);
    }
    let requests = requests.lock().unwrap().clone();
    (lines, requests)
}

#[tokio::test(start_paused = true)]
async fn lists_then_follows_the_watch() {
    let (lines, requests) = changes_of(vec![
        list(5, &[config_map("a", 3)]),
        watch(&[("ADDED", config_map("b", 6)), ("MODIFIED", config_map("a", 7)), ("DELETED", config_map("b", 8))]),
    ])
    .await;
    assert_eq!(lines, ["+a@3", "synced", "+b@6", "~a@3>7", "-b"]);
    assert!(requests[1].contains("resourceVersion=5"), "{requests:?}");
    assert!(requests[2].contains("resourceVersion=8"), "resumes where the watch ended: {requests:?}");
}

#[tokio::test(start_paused = true)]
async fn a_new_list_tells_what_changed_and_vanished_meanwhile() {
    let gone = json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": 410, "reason": "Expired", "message": "too old" });
    let (lines, _) = changes_of(vec![
        list(5, &[config_map("kept", 1), config_map("changed", 2), config_map("gone", 3)]),
        watch(&[("ERROR", gone)]),
        list(9, &[config_map("kept", 1), config_map("changed", 7), config_map("new", 8)]),
    ])
    .await;
    let (first, second) = lines.split_at(4);
    assert_eq!(first.last().map(String::as_str), Some("synced"));
    let mut second = second.to_vec();
    second.sort();
    assert_eq!(second, ["+new@8", "-gone", "~changed@2>7"]);
}

#[tokio::test(start_paused = true)]
async fn errors_are_retried_and_an_expired_watch_lists_again() {
    let (lines, requests) = changes_of(vec![
        failure(500),
        failure(403),
        list(5, &[config_map("a", 3)]),
        failure(410),
        list(6, &[config_map("a", 4)]),
    ])
    .await;
    assert_eq!(lines, ["+a@3", "synced", "~a@3>4"]);
    assert_eq!(requests.len(), 6, "{requests:?}");
}

#[tokio::test(start_paused = true)]
async fn the_delay_between_failing_lists_grows() {
    let mut answers: Vec<_> = std::iter::repeat_with(|| failure(500)).take(12).collect();
    answers.push(list(1, &[]));
    let start = tokio::time::Instant::now();
    let (lines, _) = changes_of(answers).await;
    assert_eq!(lines, ["synced"]);
    // 10 + 20 + ... + 5120 ms, then 10 s twice, and the test's own minute.
    assert_eq!((start.elapsed() - Duration::from_secs(60)).as_secs(), 30);
}
