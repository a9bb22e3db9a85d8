use serde_json::json;

use super::Cluster;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn creates_and_reads_what_it_created() {
    let cluster = Cluster::start().await;
    let created = cluster.config_map("a", json!({"k": "v"})).await;
    assert_eq!(created["kind"], "ConfigMap");
    assert_eq!(created["metadata"]["namespace"], "default");
    assert!(created["metadata"]["uid"].as_str().is_some_and(|uid| uid.len() == 36));
    assert!(created["metadata"]["creationTimestamp"].as_str().is_some_and(|time| time.ends_with('Z')));
    let read = cluster.get(&format!("{CONFIG_MAPS}/a")).await.expect(200);
    assert_eq!(read, created);
}

#[tokio::test]
async fn names_can_be_generated() {
    let cluster = Cluster::start().await;
    let body = json!({"metadata": {"generateName": "web-"}});
    let created = cluster.post(CONFIG_MAPS, body).await.expect(201);
    let name = created["metadata"]["name"].as_str().expect("a name");
    assert!(name.starts_with("web-") && name.len() == "web-".len() + 5, "{name}");
}

#[tokio::test]
async fn updates_need_the_present_revision_or_none() {
    let cluster = Cluster::start().await;
    let created = cluster.config_map("a", json!({"k": "1"})).await;
    let path = format!("{CONFIG_MAPS}/a");
    let mut changed = created.clone();
    changed["data"]["k"] = json!("2");
    let updated = cluster.put(&path, changed.clone()).await.expect(200);
    assert_ne!(updated["metadata"]["resourceVersion"], created["metadata"]["resourceVersion"]);
    assert_eq!(
        cluster.put(&path, changed).await.failure(),
        (
            409,
            "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes \
             to the latest version and try again"
                .to_owned()
        )
    );
    let unconditional = json!({"metadata": {"name": "a"}, "data": {"k": "3"}});
    let updated = cluster.put(&path, unconditional).await.expect(200);
    assert_eq!(updated["data"]["k"], "3");
    assert_eq!(updated["metadata"]["uid"], created["metadata"]["uid"]);
}

#[tokio::test]
async fn writes_that_change_nothing_are_not_written() {
    let cluster = Cluster::start().await;
    let created = cluster.config_map("a", json!({"k": "1"})).await;
    let path = format!("{CONFIG_MAPS}/a");
    let again = cluster.put(&path, json!({"metadata": {"name": "a"}, "data": {"k": "1"}})).await.expect(200);
    assert_eq!(again, created);
    let patched = cluster.merge(&path, json!({"data": {"k": "1"}})).await.expect(200);
    assert_eq!(patched, created);
}

#[tokio::test]
async fn dry_runs_answer_but_store_nothing() {
    let cluster = Cluster::start().await;
    let body = json!({"metadata": {"name": "a"}});
    cluster.post(&format!("{CONFIG_MAPS}?dryRun=All"), body.clone()).await.expect(201);
    cluster.get(&format!("{CONFIG_MAPS}/a")).await.expect(404);
    cluster.post(CONFIG_MAPS, body.clone()).await.expect(201);
    let answer = cluster.post(&format!("{CONFIG_MAPS}?dryRun=All"), body).await;
    assert_eq!(answer.failure(), (409, "configmaps \"a\" already exists".to_owned()));
    cluster.delete(&format!("{CONFIG_MAPS}/a?dryRun=All")).await.expect(200);
    cluster.get(&format!("{CONFIG_MAPS}/a")).await.expect(200);
}

#[tokio::test]
async fn three_kinds_of_patches_apply() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({"x": "1", "y": "1"})).await;
    let path = format!("{CONFIG_MAPS}/a");
    let data = async |media: &str, body: &str| {
        let answer = cluster.send("PATCH", &path, media, body.to_owned()).await.expect(200);
        answer["data"].to_string()
    };
    assert_eq!(data("application/merge-patch+json", r#"{"data":{"x":null}}"#).await, r#"{"y":"1"}"#);
    let patch = r#"{"data":{"z":"2"}}"#;
    assert_eq!(data("application/strategic-merge-patch+json", patch).await, r#"{"y":"1","z":"2"}"#);
    let patch = r#"[{"op":"replace","path":"/data/y","value":"9"}]"#;
    assert_eq!(data("application/json-patch+json", patch).await, r#"{"y":"9","z":"2"}"#);
    let refused = cluster.send("PATCH", &path, "application/json", "{}").await;
    assert_eq!(refused.code.as_u16(), 415);
}

#[tokio::test]
async fn leases_are_created_by_updates_and_updated_by_revision_only() {
    let cluster = Cluster::start().await;
    let path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a";
    let body = json!({"metadata": {"name": "a"}, "spec": {"holderIdentity": "x"}});
    cluster.put(path, body.clone()).await.expect(201);
    assert_eq!(
        cluster.put(path, body).await.failure(),
        (
            422,
            "leases.coordination.k8s.io \"a\" is invalid: metadata.resourceVersion: Invalid value: 0: must be specified \
             for an update"
                .to_owned()
        )
    );
}

#[tokio::test]
async fn yaml_is_read_and_written() {
    let cluster = Cluster::start().await;
    let yaml = "metadata: {name: a}\ndata: {k: v}\n";
    cluster.send("POST", CONFIG_MAPS, "application/yaml", yaml).await.expect(201);
    let answer = cluster.get_as(&format!("{CONFIG_MAPS}/a"), "application/yaml").await;
    assert!(String::from_utf8_lossy(&answer.text).contains("kind: ConfigMap"), "{answer:?}");
}

#[tokio::test]
async fn events_of_both_groups_are_the_same_objects() {
    let cluster = Cluster::start().await;
    let body = json!({
        "metadata": {"name": "e"}, "type": "Normal", "reason": "R", "note": "N", "action": "A",
        "eventTime": "2026-01-01T00:00:00.000000Z", "reportingController": "c", "reportingInstance": "i",
        "regarding": {"kind": "Pod", "name": "p", "namespace": "default"},
    });
    let created = cluster.post("/apis/events.k8s.io/v1/namespaces/default/events", body).await.expect(201);
    assert_eq!((&created["apiVersion"], &created["note"]), (&json!("events.k8s.io/v1"), &json!("N")));
    let core = cluster.get("/api/v1/namespaces/default/events?fieldSelector=involvedObject.name=p").await.expect(200);
    assert_eq!(core["items"][0]["message"], "N");
    assert_eq!(core["items"][0]["metadata"], created["metadata"]);
    let path = "/apis/events.k8s.io/v1/namespaces/default/events?fieldSelector=regarding.name=p";
    let list = cluster.get(path).await.expect(200);
    assert_eq!(list["items"][0]["regarding"]["name"], "p");
    let changed = cluster
        .merge(
            "/apis/events.k8s.io/v1/namespaces/default/events/e",
            json!({"series": {"count": 2,
            "lastObservedTime": "2026-01-01T00:00:00.000000Z"}}),
        )
        .await
        .expect(200);
    assert_eq!(changed["series"]["count"], 2);
}

#[tokio::test]
async fn secrets_fold_string_data() {
    let cluster = Cluster::start().await;
    let body = json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}});
    let created = cluster.post("/api/v1/namespaces/default/secrets", body).await.expect(201);
    assert_eq!(created["data"], json!({"k": "dg=="}));
    assert!(created.get("stringData").is_none());
}

#[tokio::test]
async fn protobuf_bodies_are_read() {
    let cluster = Cluster::start().await;
    // What client-go sends for `kubectl create configmap a --from-literal=k=v`.
    let envelope: &[u8] = b"k8s\0\x0a\x0f\x0a\x02v1\x12\x09ConfigMap\x12\x17";
    let body = [envelope, b"\x0a\x0d\x0a\x01a\x12\0\x1a\0\x22\0*\x002\0", b"\x12\x06\x0a\x01k\x12\x01v"].concat();
    let media = "application/vnd.kubernetes.protobuf";
    let created = cluster.send("POST", CONFIG_MAPS, media, body).await.expect(201);
    assert_eq!((&created["metadata"]["name"], &created["data"]), (&json!("a"), &json!({"k": "v"})));
}

#[tokio::test]
async fn patches_cannot_rename() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({})).await;
    let answer = cluster.merge(&format!("{CONFIG_MAPS}/a"), json!({"metadata": {"name": "b"}})).await;
    let text = "the name of the object (b) does not match the name on the URL (a)";
    assert_eq!(answer.failure(), (400, text.to_owned()));
}

#[tokio::test]
async fn gated_pods_say_so_and_doubtful_ones_come_with_warnings() {
    let cluster = Cluster::start().await;
    let spec = json!({"schedulingGates": [{"name": "a.b/c"}], "imagePullSecrets": [{"name": "s"}, {"name": "s"}],
        "containers": [{"name": "c", "image": "i"}]});
    let body = json!({"metadata": {"name": "p"}, "spec": spec});
    let answer = cluster.post("/api/v1/namespaces/default/pods", body).await;
    assert!(answer.headers.contains_key("warning"), "{answer:?}");
    let condition = &answer.expect(201)["status"]["conditions"][0];
    assert_eq!((&condition["type"], &condition["reason"]), (&json!("PodScheduled"), &json!("SchedulingGated")));
    assert!(condition["lastTransitionTime"].is_string());
}
