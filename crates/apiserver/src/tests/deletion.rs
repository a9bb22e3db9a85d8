use serde_json::json;

use super::Cluster;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

async fn bind(cluster: &Cluster, pod: &str) {
    let binding = json!({"metadata": {"name": pod}, "target": {"kind": "Node", "name": "n1"}});
    cluster.post(&format!("{PODS}/{pod}/binding"), binding).await.expect(201);
}

#[tokio::test]
async fn deletes_answer_a_status_with_the_uid() {
    let cluster = Cluster::start().await;
    let created = cluster.config_map("a", json!({})).await;
    let answer = cluster.delete(&format!("{CONFIG_MAPS}/a")).await.expect(200);
    assert_eq!(
        answer,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
               "details": {"name": "a", "kind": "configmaps", "uid": created["metadata"]["uid"]}})
    );
    let answer = cluster.delete(&format!("{CONFIG_MAPS}/a")).await;
    assert_eq!(answer.failure(), (404, "configmaps \"a\" not found".to_owned()));
}

#[tokio::test]
async fn preconditions_protect_from_deleting_another() {
    let cluster = Cluster::start().await;
    let created = cluster.config_map("a", json!({})).await;
    let path = format!("{CONFIG_MAPS}/a");
    let delete = async |preconditions: serde_json::Value| {
        let body = json!({"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": preconditions});
        cluster.send("DELETE", &path, "application/json", body.to_string()).await
    };
    let answer = delete(json!({"uid": "1"})).await;
    let uid = created["metadata"]["uid"].as_str().expect("a uid");
    assert_eq!(
        answer.failure(),
        (
            409,
            format!(
                "Operation cannot be fulfilled on ConfigMap \"a\": the UID in the precondition (1) does not match the UID \
                 in record ({uid}). The object might have been deleted and then recreated"
            )
        )
    );
    assert_eq!(delete(json!({"resourceVersion": "1"})).await.code.as_u16(), 409);
    delete(json!({"uid": uid, "resourceVersion": created["metadata"]["resourceVersion"]})).await.expect(200);
}

#[tokio::test]
async fn finalizers_keep_an_object_until_they_are_gone() {
    let cluster = Cluster::start().await;
    let body = json!({"metadata": {"name": "a", "finalizers": ["a.b/c"]}});
    cluster.post(CONFIG_MAPS, body.clone()).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    let marked = cluster.delete(&path).await.expect(200);
    assert!(marked["metadata"]["deletionTimestamp"].is_string());
    let again = cluster.post(CONFIG_MAPS, body).await;
    assert_eq!(again.failure().1, "object is being deleted: configmaps \"a\" already exists");
    let unchanged = cluster.delete(&path).await.expect(200);
    assert_eq!(unchanged, marked);
    cluster.merge(&path, json!({"metadata": {"finalizers": null}})).await.expect(200);
    cluster.get(&path).await.expect(404);
}

#[tokio::test]
async fn propagation_policies_become_finalizers() {
    let cluster = Cluster::start().await;
    for (policy, finalizer) in [("Orphan", "orphan"), ("Foreground", "foregroundDeletion")] {
        cluster.config_map(finalizer.to_lowercase().as_str(), json!({})).await;
        let path = format!("{CONFIG_MAPS}/{}?propagationPolicy={policy}", finalizer.to_lowercase());
        let marked = cluster.delete(&path).await.expect(200);
        assert_eq!(marked["metadata"]["finalizers"], json!([finalizer]));
    }
    cluster.config_map("b", json!({})).await;
    cluster.delete(&format!("{CONFIG_MAPS}/b?propagationPolicy=Background")).await.expect(200);
    cluster.get(&format!("{CONFIG_MAPS}/b")).await.expect(404);
    let answer = cluster.delete(&format!("{CONFIG_MAPS}/b?propagationPolicy=Odd")).await;
    assert_eq!(answer.code.as_u16(), 422);
}

#[tokio::test]
async fn pods_without_a_node_go_at_once() {
    let cluster = Cluster::start().await;
    cluster.pod("p", json!({})).await;
    let deleted = cluster.delete(&format!("{PODS}/p")).await.expect(200);
    assert_eq!(deleted["kind"], "Pod");
    assert_eq!(
        (&deleted["metadata"]["deletionGracePeriodSeconds"], &deleted["metadata"]["generation"]),
        (&json!(0), &json!(2))
    );
    cluster.get(&format!("{PODS}/p")).await.expect(404);
}

#[tokio::test]
async fn pods_on_a_node_get_their_grace_period_which_can_only_shrink() {
    let cluster = Cluster::start().await;
    cluster.pod("p", json!({"terminationGracePeriodSeconds": 20})).await;
    bind(&cluster, "p").await;
    let path = format!("{PODS}/p");
    let marked = cluster.delete(&path).await.expect(200);
    assert_eq!(marked["metadata"]["deletionGracePeriodSeconds"], 20);
    assert_eq!(marked["metadata"]["generation"], 2);
    let longer = cluster.delete(&format!("{path}?gracePeriodSeconds=30")).await.expect(200);
    assert_eq!(longer, marked);
    let shorter = cluster.delete(&format!("{path}?gracePeriodSeconds=5")).await.expect(200);
    assert_eq!(shorter["metadata"]["deletionGracePeriodSeconds"], 5);
    assert_eq!(shorter["metadata"]["generation"], 2);
    cluster.get(&path).await.expect(200);
    cluster.delete(&format!("{path}?gracePeriodSeconds=0")).await.expect(200);
    cluster.get(&path).await.expect(404);
}

#[tokio::test]
async fn evictions_delete() {
    let cluster = Cluster::start().await;
    cluster.pod("p", json!({})).await;
    let eviction = json!({"apiVersion": "policy/v1", "kind": "Eviction", "metadata": {"name": "p"}});
    let answer = cluster.post(&format!("{PODS}/p/eviction"), eviction).await.expect(201);
    assert_eq!(answer["status"], "Success");
    cluster.get(&format!("{PODS}/p")).await.expect(404);
}

#[tokio::test]
async fn collections_are_deleted_as_far_as_selected() {
    let cluster = Cluster::start().await;
    for (name, labels) in [("a", json!({"x": "1"})), ("b", json!({"x": "1"})), ("c", json!({}))] {
        let body = json!({"metadata": {"name": name, "labels": labels}});
        cluster.post(CONFIG_MAPS, body).await.expect(201);
    }
    let answer = cluster.delete(&format!("{CONFIG_MAPS}?labelSelector=x")).await.expect(200);
    assert_eq!(answer["items"].as_array().map(Vec::len), Some(2));
    let left = cluster.get(CONFIG_MAPS).await.expect(200);
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
    assert_eq!(cluster.delete("/api/v1/configmaps").await.code.as_u16(), 405);
}

#[tokio::test]
async fn namespaces_terminate_until_they_are_finalized() {
    let cluster = Cluster::start().await;
    let created = cluster.post("/api/v1/namespaces", json!({"metadata": {"name": "n"}})).await.expect(201);
    assert_eq!(
        (&created["spec"]["finalizers"], &created["status"]["phase"]),
        (&json!(["kubernetes"]), &json!("Active"))
    );
    assert_eq!(created["metadata"]["labels"]["kubernetes.io/metadata.name"], "n");
    let mut marked = cluster.delete("/api/v1/namespaces/n").await.expect(200);
    assert_eq!(marked["status"]["phase"], "Terminating");
    let answer = cluster.post("/api/v1/namespaces/n/configmaps", json!({"metadata": {"name": "c"}})).await;
    assert_eq!(
        answer.failure(),
        (
            403,
            "configmaps \"c\" is forbidden: unable to create new content in namespace n because it is being terminated"
                .to_owned()
        )
    );
    assert_eq!(answer.json()["details"]["causes"][0]["reason"], "NamespaceTerminating");
    marked["spec"]["finalizers"] = json!([]);
    cluster.put("/api/v1/namespaces/n/finalize", marked).await.expect(200);
    cluster.get("/api/v1/namespaces/n").await.expect(404);
    let answer = cluster.delete("/api/v1/namespaces/default").await;
    let text = "namespaces \"default\" is forbidden: this namespace may not be deleted";
    assert_eq!(answer.failure(), (403, text.to_owned()));
}

#[tokio::test(start_paused = true)]
async fn events_end_an_hour_after_their_last_update() {
    let cluster = Cluster::start().await;
    let events = "/api/v1/namespaces/default/events";
    let minutes = |minutes: u64| tokio::time::sleep(std::time::Duration::from_secs(60 * minutes));
    for name in ["a", "b"] {
        let body =
            json!({"metadata": {"name": name}, "involvedObject": {"kind": "Pod", "name": "p", "namespace": "default"}});
        cluster.post(events, body).await.expect(201);
    }
    minutes(50).await;
    cluster.merge(&format!("{events}/b"), json!({"count": 2})).await.expect(200);
    minutes(15).await;
    cluster.get(&format!("{events}/a")).await.expect(404);
    cluster.get(&format!("{events}/b")).await.expect(200);
    minutes(50).await;
    cluster.get(&format!("{events}/b")).await.expect(404);
}

#[tokio::test]
async fn collections_are_deleted_page_by_page() {
    let cluster = Cluster::start().await;
    for name in ["a", "b", "c"] {
        cluster.config_map(name, json!({})).await;
    }
    let first = cluster.delete(&format!("{CONFIG_MAPS}?limit=2")).await.expect(200);
    assert_eq!(first["items"].as_array().map(Vec::len), Some(2));
    let token = first["metadata"]["continue"].as_str().expect("there are more");
    let second = cluster.delete(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.expect(200);
    assert_eq!((&second["items"][0]["metadata"]["name"], &second["metadata"]["continue"]), (&json!("c"), &json!(null)));
    assert_eq!(cluster.get(CONFIG_MAPS).await.expect(200)["items"], json!([]));
    let answer = cluster.delete(&format!("{CONFIG_MAPS}?resourceVersion=999999")).await;
    assert_eq!(answer.code.as_u16(), 504);
}

#[tokio::test]
async fn bodies_of_another_kind_delete_nothing() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({})).await;
    let path = format!("{CONFIG_MAPS}/a");
    let delete =
        async |body: serde_json::Value| cluster.send("DELETE", &path, "application/json", body.to_string()).await;
    let (code, text) = delete(json!({"kind": "Pod", "apiVersion": "v1"})).await.failure();
    assert!(code == 400 && text.starts_with("Pod in version \"v1\" cannot be handled as a DeleteOptions: "), "{text}");
    delete(json!({"kind": "DeleteOptions", "apiVersion": "apps/v1"})).await.expect(200);
}

#[tokio::test]
async fn the_old_way_to_ask_for_dependents_hears_of_their_going() {
    let cluster = Cluster::start().await;
    let body = json!({"metadata": {"name": "a", "finalizers": ["a.b/c"]}});
    cluster.post(CONFIG_MAPS, body).await.expect(201);
    let path = format!("{CONFIG_MAPS}/a");
    cluster.delete(&path).await.expect(200);
    cluster.delete(&format!("{path}?orphanDependents=false")).await.expect(202);
}
