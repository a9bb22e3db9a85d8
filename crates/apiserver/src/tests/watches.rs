use std::time::Duration;

use serde_json::json;

use super::Cluster;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn a_watch_starts_with_what_there_is_and_goes_on_with_changes() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({})).await;
    let mut watch = cluster.watch(&format!("{CONFIG_MAPS}?watch=1")).await;
    assert_eq!(watch.brief().await, "ADDED a");
    cluster.config_map("b", json!({})).await;
    assert_eq!(watch.brief().await, "ADDED b");
    cluster.merge(&format!("{CONFIG_MAPS}/b"), json!({"data": {"k": "v"}})).await.expect(200);
    assert_eq!(watch.brief().await, "MODIFIED b");
    cluster.delete(&format!("{CONFIG_MAPS}/b")).await.expect(200);
    let event = watch.next().await.expect("an event");
    assert_eq!(event["type"], "DELETED");
    assert_eq!(event["object"]["data"], json!({"k": "v"}));
}

#[tokio::test]
async fn a_watch_resumes_after_a_revision() {
    let cluster = Cluster::start().await;
    let first = cluster.config_map("a", json!({})).await;
    cluster.config_map("b", json!({})).await;
    cluster.delete(&format!("{CONFIG_MAPS}/a")).await.expect(200);
    let revision = first["metadata"]["resourceVersion"].as_str().expect("a revision");
    let mut watch = cluster.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={revision}")).await;
    assert_eq!(watch.brief().await, "ADDED b");
    assert_eq!(watch.brief().await, "DELETED a");
    cluster.config_map("c", json!({})).await;
    assert_eq!(watch.brief().await, "ADDED c");
}

#[tokio::test]
async fn history_that_is_gone_ends_a_watch_with_an_error() {
    let cluster = Cluster::start().await;
    let store = std::sync::Arc::clone(&cluster.store);
    cluster.config_map("a", json!({})).await;
    store.compact(store.revision()).await.expect("compacts");
    let again = Cluster::on(store, std::sync::Arc::new(super::NoNodes)).await;
    let mut watch = again.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion=1")).await;
    let event = watch.next().await.expect("an event");
    assert_eq!((&event["type"], &event["object"]["code"]), (&json!("ERROR"), &json!(410)));
    assert_eq!(event["object"]["reason"], "Expired");
    assert_eq!(watch.next().await, None);
}

#[tokio::test]
async fn selectors_turn_changes_into_coming_and_going() {
    let cluster = Cluster::start().await;
    let body = json!({"metadata": {"name": "a", "labels": {"x": "1"}}, "data": {"k": "old"}});
    let created = cluster.post(CONFIG_MAPS, body).await.expect(201);
    let revision = created["metadata"]["resourceVersion"].as_str().expect("a revision");
    let path = format!("{CONFIG_MAPS}?watch=1&labelSelector=x%3D1&resourceVersion={revision}");
    let mut watch = cluster.watch(&path).await;
    let one = format!("{CONFIG_MAPS}/a");
    let patch = json!({"metadata": {"labels": {"x": "2"}}, "data": {"k": "new"}});
    let changed = cluster.merge(&one, patch).await.expect(200);
    cluster.merge(&one, json!({"data": {"k": "hidden"}})).await.expect(200);
    cluster.merge(&one, json!({"metadata": {"labels": {"x": "1"}}})).await.expect(200);
    let event = watch.next().await.expect("an event");
    assert_eq!((&event["type"], &event["object"]["data"]["k"]), (&json!("DELETED"), &json!("old")));
    assert_eq!(event["object"]["metadata"]["resourceVersion"], changed["metadata"]["resourceVersion"]);
    let event = watch.next().await.expect("an event");
    assert_eq!((&event["type"], &event["object"]["data"]["k"]), (&json!("ADDED"), &json!("hidden")));
}

#[tokio::test]
async fn initial_events_end_with_a_bookmark() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({})).await;
    let query = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let mut watch = cluster.watch(&format!("{CONFIG_MAPS}?{query}")).await;
    assert_eq!(watch.brief().await, "ADDED a");
    let event = watch.next().await.expect("a bookmark");
    assert_eq!(event["type"], "BOOKMARK");
    assert_eq!(event["object"]["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test(start_paused = true)]
async fn bookmarks_tell_how_far_a_quiet_watch_is() {
    let cluster = Cluster::start().await;
    let path = format!("{CONFIG_MAPS}?watch=1&allowWatchBookmarks=true&fieldSelector=metadata.name=none");
    let mut watch = cluster.watch(&path).await;
    let created = cluster.config_map("a", json!({})).await;
    let event = watch.next().await.expect("a bookmark");
    assert_eq!((&event["type"], &event["object"]["kind"]), (&json!("BOOKMARK"), &json!("ConfigMap")));
    assert_eq!(event["object"]["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
}

#[tokio::test(start_paused = true)]
async fn a_watch_ends_when_its_time_is_up() {
    let cluster = Cluster::start().await;
    let mut watch = cluster.watch(&format!("{CONFIG_MAPS}?watch=1&timeoutSeconds=5")).await;
    let ended = tokio::time::timeout(Duration::from_secs(6), watch.next()).await;
    assert_eq!(ended.expect("in time"), None);
}

#[tokio::test]
async fn a_watcher_that_does_not_read_is_dropped() {
    let cluster = Cluster::start().await;
    let mut watch = cluster.watch(&format!("{CONFIG_MAPS}?watch=1")).await;
    cluster.config_map("a", json!({})).await;
    let count = crate::watch_cache::WATCH_BACKLOG + 10;
    for n in 0..count {
        cluster.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"n": n.to_string()}})).await.expect(200);
    }
    assert_eq!(watch.next().await, None, "nothing is kept for it");
}

#[tokio::test]
async fn tables_are_watched_with_columns_once() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({})).await;
    let request = http::Request::get(format!("{CONFIG_MAPS}?watch=1"))
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(http_body_util::Full::<bytes::Bytes>::default())
        .expect("a request");
    let Ok(response) = tower::ServiceExt::oneshot(cluster.admin.clone(), request).await;
    let mut watch = super::Watch { body: response.into_body(), rest: Vec::new() };
    let event = watch.next().await.expect("an event");
    assert_eq!(event["object"]["columnDefinitions"][0]["name"], "Name");
    cluster.config_map("b", json!({})).await;
    let event = watch.next().await.expect("an event");
    assert_eq!(event["object"]["columnDefinitions"], json!([]));
    assert_eq!(event["object"]["rows"][0]["cells"][0], "b");
}

#[tokio::test]
async fn one_object_can_be_watched_by_its_path() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({})).await;
    cluster.config_map("b", json!({})).await;
    let mut watch = cluster.watch("/api/v1/watch/namespaces/default/configmaps/b").await;
    assert_eq!(watch.brief().await, "ADDED b");
}

#[tokio::test]
async fn watches_resume_across_a_restart() {
    let before = Cluster::start().await;
    let first = before.config_map("a", json!({})).await;
    before.config_map("b", json!({})).await;
    before.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {"k": "v"}})).await.expect(200);
    before.delete(&format!("{CONFIG_MAPS}/b")).await.expect(200);
    let after = Cluster::on(std::sync::Arc::clone(&before.store), std::sync::Arc::new(super::NoNodes)).await;
    let revision = first["metadata"]["resourceVersion"].as_str().expect("a revision");
    let mut watch = after.watch(&format!("{CONFIG_MAPS}?watch=1&resourceVersion={revision}")).await;
    assert_eq!(watch.brief().await, "ADDED b");
    assert_eq!(watch.brief().await, "MODIFIED a");
    assert_eq!(watch.brief().await, "DELETED b");
    after.config_map("c", json!({})).await;
    assert_eq!(watch.brief().await, "ADDED c");
}
