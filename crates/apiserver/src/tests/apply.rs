//! Who owns which field, and server-side apply, over HTTP.

use serde_json::{Value, json};

use super::{Answer, Cluster};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";
const PODS: &str = "/api/v1/namespaces/default/pods";

impl Cluster {
    async fn apply(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, "application/apply-patch+yaml", body.to_string()).await
    }
}

/// `manager operation[/subresource]` and fields of each entry.
fn owners(object: &Value) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let owner = |entry: Value| {
        let text = |name: &str| entry[name].as_str().unwrap_or_default().to_owned();
        let at = if text("subresource").is_empty() { String::new() } else { format!("/{}", text("subresource")) };
        (format!("{} {}{at}", text("manager"), text("operation")), entry["fieldsV1"].clone())
    };
    Value::Object(entries.into_iter().map(owner).collect())
}

fn config_map(data: Value) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "a"}, "data": data})
}

#[tokio::test]
async fn every_write_says_who_owns_what() {
    let cluster = Cluster::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    let created = cluster.config_map("a", json!({"k": "v"})).await;
    let entry = &created["metadata"]["managedFields"][0];
    assert_eq!(entry["manager"], "admin", "from the user agent");
    assert_eq!((&entry["apiVersion"], &entry["fieldsType"]), (&json!("v1"), &json!("FieldsV1")));
    assert_eq!(entry["time"], created["metadata"]["creationTimestamp"]);
    let patched = cluster.merge(&format!("{path}?fieldManager=m"), json!({"data": {"n": "1"}})).await.expect(200);
    assert_eq!(
        owners(&patched),
        json!({"admin Update": {"f:data": {".": {}, "f:k": {}}}, "m Update": {"f:data": {"f:n": {}}}})
    );
    // Clients that do not know managed fields, or send back what they got, do no harm.
    let mut without = patched.clone();
    without["metadata"].as_object_mut().expect("metadata").remove("managedFields");
    for sent in [without, patched.clone()] {
        assert_eq!(cluster.put(&format!("{path}?fieldManager=x"), sent).await.expect(200), patched);
    }
    // A single empty entry takes all away; then nobody is tracked until the next apply.
    let reset = json!({"metadata": {"managedFields": [{}]}});
    assert_eq!(owners(&cluster.merge(&path, reset).await.expect(200)), json!({}));
    assert_eq!(owners(&cluster.merge(&path, json!({"data": {"n": "2"}})).await.expect(200)), json!({}));
    let applied = cluster.apply(&format!("{path}?fieldManager=m"), config_map(json!({"k": "v"}))).await.expect(200);
    assert_eq!(
        owners(&applied),
        json!({
            "before-first-apply Update": {"f:data": {".": {}, "f:k": {}, "f:n": {}}},
            "m Apply": {"f:data": {"f:k": {}}},
        })
    );
}

#[tokio::test]
async fn admission_and_what_a_request_cannot_write_belong_to_nobody() {
    let cluster = Cluster::start().await;
    let pod = cluster.pod("p", json!({"containers": [{"name": "c", "image": "i"}], "schedulerName": "none"})).await;
    let spec = &owners(&pod)["admin Update"]["f:spec"];
    assert_eq!(spec.get("f:tolerations").or(spec.get("f:volumes")), None, "{spec}");
    assert_eq!(spec["f:containers"]["k:{\"name\":\"c\"}"]["f:imagePullPolicy"], json!({}), "defaults are the writer's");
    assert_eq!(owners(&pod)["admin Update"].get("f:status"), None);
    let mut running = pod.clone();
    running["status"]["phase"] = "Running".into();
    let unchanged = cluster.put(&format!("{PODS}/p"), running.clone()).await.expect(200);
    assert_eq!(unchanged, pod, "a write that changes nothing is none");
    let running = cluster.put(&format!("{PODS}/p/status?fieldManager=k"), running).await.expect(200);
    assert_eq!(owners(&running)["k Update/status"], json!({"f:status": {"f:phase": {}}}));
    let binding = json!({"metadata": {"name": "p"}, "target": {"name": "n"}});
    cluster.post(&format!("{PODS}/p/binding"), binding).await.expect(201);
    assert_eq!(owners(&cluster.get(&format!("{PODS}/p")).await.expect(200)), owners(&running));
}

#[tokio::test]
async fn apply_creates_changes_and_gives_way() {
    let cluster = Cluster::start().await;
    let path = format!("{CONFIG_MAPS}/a");
    let one = format!("{path}?fieldManager=one");
    let created = cluster.apply(&format!("{one}&dryRun=All"), config_map(json!({"k": "v"}))).await.expect(201);
    assert_eq!(created["data"], json!({"k": "v"}));
    cluster.get(&path).await.expect(404);
    let created = cluster.apply(&one, config_map(json!({"k": "v"}))).await.expect(201);
    assert_eq!(cluster.apply(&one, config_map(json!({"k": "v"}))).await.expect(200), created);
    let two = format!("{path}?fieldManager=two");
    let conflict = cluster.apply(&two, config_map(json!({"k": "w"}))).await.expect(409);
    assert_eq!(conflict["reason"], "Conflict");
    assert_eq!(conflict["message"], "Apply failed with 1 conflict: conflict with \"one\": .data.k");
    assert_eq!(
        conflict["details"],
        json!({"causes": [
            {"reason": "FieldManagerConflict", "message": "conflict with \"one\"", "field": ".data.k"}
        ]})
    );
    let forced = cluster.apply(&format!("{two}&force=true"), config_map(json!({"k": "w"}))).await.expect(200);
    assert_eq!(owners(&forced), json!({"two Apply": {"f:data": {"f:k": {}}}}));
    let gone = cluster.apply(&two, config_map(json!({}))).await.expect(200);
    assert_eq!(gone.get("data"), None);
}

#[tokio::test]
async fn apply_is_refused_in_upstreams_words() {
    let cluster = Cluster::start().await;
    let path = format!("{CONFIG_MAPS}/a?fieldManager=m");
    let failure = async |path: &str, body: &str| {
        cluster.send("PATCH", path, "application/apply-patch+yaml", body.to_owned()).await.failure()
    };
    let kind = "apiVersion: v1\nkind: ConfigMap\n";
    for (query, body, code, text) in [
        (
            "",
            "a: b: c",
            400,
            "error decoding YAML: error converting YAML to JSON: yaml: mapping values are not allowed in this context",
        ),
        (
            "",
            "[1]",
            400,
            "error decoding YAML: error unmarshaling JSON: while decoding JSON: json: cannot unmarshal array into Go value of \
             type map[string]interface {}",
        ),
        ("", "apiVersion: v1", 400, "invalid object type: /v1, Kind="),
        ("", kind, 400, "the name of the object (a based on URL) was undeterminable: name must be provided"),
        (
            "",
            &format!("{kind}metadata: {{name: a, uid: u}}"),
            409,
            "Operation cannot be fulfilled on configmaps \"a\": uid mismatch: the provided object specified uid u, and no \
             existing object was found",
        ),
        (
            "",
            &format!("{kind}bogus: 1"),
            500,
            "failed to create typed patch object (/; /v1, Kind=ConfigMap): .bogus: field not declared in schema",
        ),
        (
            "&fieldValidation=Strict",
            &format!("{kind}metadata: {{name: a}}\ndata:\n  k: v\n  k: w\n"),
            400,
            "error strict decoding YAML: error converting YAML to JSON: yaml: unmarshal errors:\n  line 6: key \"k\" already \
             set in map",
        ),
    ] {
        assert_eq!(failure(&format!("{path}{query}"), body).await, (code, text.to_owned()));
    }
    let required =
        "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch";
    assert_eq!(failure(&format!("{CONFIG_MAPS}/a"), kind).await, (422, required.to_owned()));
    let answer = cluster.merge(&format!("{CONFIG_MAPS}/a?force=true"), json!({})).await;
    let forbidden =
        "PatchOptions.meta.k8s.io \"\" is invalid: force: Forbidden: may not be specified for non-apply patch";
    assert_eq!(answer.failure(), (422, forbidden.to_owned()));
    assert_eq!(failure(&format!("{PODS}/a/status?fieldManager=m"), kind).await.0, 404, "nothing is created below");
}

#[tokio::test]
async fn owners_of_another_version_keep_their_fields() {
    let cluster = Cluster::start().await;
    let core = "/api/v1/namespaces/default/events";
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": {"name": "e", "namespace": "default"},
        "involvedObject": {"kind": "Pod", "namespace": "default", "name": "p"}, "reason": "R", "message": "m",
        "type": "Normal", "source": {"component": "c"}});
    cluster.post(core, event).await.expect(201);
    let newer = "/apis/events.k8s.io/v1/namespaces/default/events/e?fieldManager=new";
    let body = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": "m"});
    cluster.apply(newer, body).await.expect(200);
    let changed = cluster.merge(&format!("{core}/e?fieldManager=old"), json!({"message": "n"})).await.expect(200);
    let owners = owners(&changed);
    assert_eq!(owners["new Apply"], Value::Null, "its field has another value now: {owners}");
    assert_eq!(owners["old Update"], json!({"f:message": {}}));
    assert_eq!(owners["admin Update"]["f:reason"], json!({}));
}
