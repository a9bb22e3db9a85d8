use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::json;

use super::Cluster;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_patches_are_all_applied() {
    let cluster = Arc::new(Cluster::start().await);
    cluster.config_map("a", json!({})).await;
    let writers = (0..16).map(|n: u32| {
        let cluster = Arc::clone(&cluster);
        async move {
            cluster.merge(&format!("{CONFIG_MAPS}/a"), json!({"data": {n.to_string(): "x"}})).await.expect(200);
        }
    });
    futures::future::join_all(writers).await;
    let all = cluster.get(&format!("{CONFIG_MAPS}/a")).await.expect(200);
    assert_eq!(all["data"].as_object().map(serde_json::Map::len), Some(16));
}

#[tokio::test(flavor = "multi_thread")]
async fn of_conditional_updates_one_wins() {
    let cluster = Arc::new(Cluster::start().await);
    let created = cluster.config_map("a", json!({})).await;
    let writers = (0..8).map(|n: u32| {
        let (cluster, mut body) = (Arc::clone(&cluster), created.clone());
        async move {
            body["data"] = json!({"winner": n.to_string()});
            cluster.put(&format!("{CONFIG_MAPS}/a"), body).await.code.as_u16()
        }
    });
    let mut codes = futures::future::join_all(writers).await;
    codes.sort_unstable();
    assert_eq!(codes, [200, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test(flavor = "multi_thread")]
async fn everyone_reads_what_they_wrote_and_watchers_see_all_of_it_in_order() {
    let cluster = Arc::new(Cluster::start().await);
    let mut watch = cluster.watch(&format!("{CONFIG_MAPS}?watch=1")).await;
    let writers = (0..50).map(|n: u32| {
        let cluster = Arc::clone(&cluster);
        async move {
            let name = format!("c{n}");
            let created = cluster.config_map(&name, json!({})).await;
            let read = cluster.get(&format!("{CONFIG_MAPS}/{name}")).await.expect(200);
            assert_eq!(read, created);
        }
    });
    futures::future::join_all(writers).await;
    let mut revisions = Vec::new();
    let mut names = BTreeSet::new();
    for _ in 0..50 {
        let event = watch.next().await.expect("an event");
        let meta = &event["object"]["metadata"];
        revisions.push(meta["resourceVersion"].as_str().and_then(|text| text.parse::<u64>().ok()).expect("a number"));
        names.insert(meta["name"].as_str().expect("a name").to_owned());
    }
    assert!(revisions.is_sorted(), "{revisions:?}");
    assert_eq!(names.len(), 50);
}

#[tokio::test]
async fn a_pod_gets_a_node_once() {
    let cluster = Cluster::start().await;
    cluster.pod("p", json!({})).await;
    let path = "/api/v1/namespaces/default/pods/p/binding";
    let binding = |node: &str| json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": node}});
    cluster.post(path, binding("n1")).await.expect(201);
    let answer = cluster.post(path, binding("n2")).await;
    assert_eq!(
        answer.failure(),
        (
            409,
            "Operation cannot be fulfilled on pods/binding \"p\": pod p is already assigned to node \"n1\"".to_owned()
        )
    );
    let pod = cluster.get("/api/v1/namespaces/default/pods/p").await.expect(200);
    assert_eq!(pod["spec"]["nodeName"], "n1");
    assert_eq!(
        (&pod["status"]["conditions"][0]["type"], &pod["status"]["conditions"][0]["status"]),
        (&json!("PodScheduled"), &json!("True"))
    );
}

#[tokio::test]
async fn status_is_written_through_its_subresource_alone() {
    let cluster = Cluster::start().await;
    cluster.pod("p", json!({})).await;
    let path = "/api/v1/namespaces/default/pods/p";
    let patch = json!({"status": {"phase": "Running"}, "metadata": {"labels": {"x": "y"}}});
    let whole = cluster.merge(path, patch.clone()).await.expect(200);
    assert_eq!((&whole["status"]["phase"], &whole["metadata"]["labels"]["x"]), (&json!("Pending"), &json!("y")));
    let patch = json!({"status": {"phase": "Running"}, "spec": {"activeDeadlineSeconds": 5}});
    let status = cluster.merge(&format!("{path}/status"), patch).await.expect(200);
    assert_eq!(status["status"]["phase"], "Running");
    assert!(status["spec"].get("activeDeadlineSeconds").is_none());
    assert_eq!(status["metadata"]["generation"], 1);
    let deadline = cluster.merge(path, json!({"spec": {"activeDeadlineSeconds": 5}})).await.expect(200);
    assert_eq!(deadline["metadata"]["generation"], 2);
}
