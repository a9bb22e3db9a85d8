use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::Cluster;

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

fn names(list: &Value) -> Vec<&str> {
    let items = list["items"].as_array().expect("items");
    items.iter().map(|item| item["metadata"]["name"].as_str().expect("a name")).collect()
}

#[tokio::test]
async fn lists_hold_items_of_one_revision_without_their_kind() {
    let cluster = Cluster::start().await;
    for name in ["b", "a", "c"] {
        cluster.config_map(name, json!({})).await;
    }
    let list = cluster.get(CONFIG_MAPS).await.expect(200);
    assert_eq!((&list["kind"], &list["apiVersion"]), (&json!("ConfigMapList"), &json!("v1")));
    assert_eq!(names(&list), ["a", "b", "c"]);
    assert!(list["items"][0].get("kind").is_none());
    assert!(list["items"][0]["metadata"]["resourceVersion"].is_string());
    let empty = cluster.get("/api/v1/namespaces/none/pods").await.expect(200);
    assert_eq!(empty["items"], json!([]));
}

#[tokio::test]
async fn selectors_select() {
    let cluster = Cluster::start().await;
    for (name, labels) in [("a", json!({"x": "1"})), ("b", json!({"x": "2"})), ("c", json!({}))] {
        let body = json!({"metadata": {"name": name, "labels": labels}});
        cluster.post(CONFIG_MAPS, body).await.expect(201);
    }
    let check = async |query: &str, expected: &[&str]| {
        let list = cluster.get(&format!("{CONFIG_MAPS}?{query}")).await.expect(200);
        assert_eq!(names(&list), expected, "{query}");
    };
    check("labelSelector=x", &["a", "b"]).await;
    check("labelSelector=x%3D1", &["a"]).await;
    check("labelSelector=x%20notin%20(1)", &["b", "c"]).await;
    check("fieldSelector=metadata.name=b", &["b"]).await;
    check("fieldSelector=metadata.name!=b&labelSelector=x", &["a"]).await;
    let answer = cluster.get(&format!("{CONFIG_MAPS}?fieldSelector=data.x=y")).await;
    assert_eq!(
        answer.failure(),
        (400, "\"data.x\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"".to_owned())
    );
    let answer = cluster.get("/api/v1/pods?fieldSelector=spec.bogus=x").await;
    assert_eq!(answer.failure(), (400, "field label not supported: spec.bogus".to_owned()));
}

#[tokio::test]
async fn pages_show_the_state_of_the_first_page() {
    let cluster = Cluster::start().await;
    for name in ["a", "b", "c", "d"] {
        cluster.config_map(name, json!({})).await;
    }
    let first = cluster.get(&format!("{CONFIG_MAPS}?limit=2")).await.expect(200);
    assert_eq!(names(&first), ["a", "b"]);
    assert_eq!(first["metadata"]["remainingItemCount"], 2);
    cluster.delete(&format!("{CONFIG_MAPS}/c")).await.expect(200);
    cluster.config_map("cc", json!({})).await;
    cluster.merge(&format!("{CONFIG_MAPS}/d"), json!({"data": {"new": "x"}})).await.expect(200);
    let token = first["metadata"]["continue"].as_str().expect("a token");
    let second = cluster.get(&format!("{CONFIG_MAPS}?limit=2&continue={token}")).await.expect(200);
    assert_eq!(names(&second), ["c", "d"]);
    assert!(second["items"][1].get("data").is_none());
    assert_eq!(second["metadata"]["resourceVersion"], first["metadata"]["resourceVersion"]);
    assert!(second["metadata"].get("continue").is_none());
    let now = cluster.get(CONFIG_MAPS).await.expect(200);
    assert_eq!(names(&now), ["a", "b", "cc", "d"]);
}

#[tokio::test]
async fn revisions_can_be_asked_for() {
    let cluster = Cluster::start().await;
    let created = cluster.config_map("a", json!({})).await;
    let revision = created["metadata"]["resourceVersion"].as_str().expect("a revision");
    cluster.config_map("b", json!({})).await;
    let check = async |query: &str, expected: &[&str]| {
        let list = cluster.get(&format!("{CONFIG_MAPS}?{query}")).await.expect(200);
        assert_eq!(names(&list), expected, "{query}");
    };
    check("", &["a", "b"]).await;
    check("resourceVersion=0", &["a", "b"]).await;
    check(&format!("resourceVersion={revision}"), &["a", "b"]).await;
    check(&format!("resourceVersion={revision}&resourceVersionMatch=Exact"), &["a"]).await;
    let answer = cluster.get(&format!("{CONFIG_MAPS}?resourceVersion=999999")).await;
    assert_eq!(answer.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    let answer = cluster.get(&format!("{CONFIG_MAPS}?resourceVersionMatch=Exact")).await;
    assert_eq!(answer.code.as_u16(), 422);
}

#[tokio::test]
async fn tables_and_metadata_are_other_forms_of_the_same() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({"k": "v"})).await;
    let table = "application/json;as=Table;v=v1;g=meta.k8s.io";
    let list = cluster.get_as(CONFIG_MAPS, table).await.expect(200);
    assert_eq!(list["kind"], "Table");
    assert_eq!(list["columnDefinitions"][0]["name"], "Name");
    assert_eq!(list["rows"][0]["cells"][0], "a");
    assert_eq!(list["rows"][0]["object"]["kind"], "PartialObjectMetadata");
    let headers = [("accept", table), ("content-type", "application/json")];
    let body = json!({"metadata": {"name": "dry"}}).to_string();
    let path = format!("{CONFIG_MAPS}?dryRun=All");
    let dry = super::send(&cluster.admin, "POST", &path, &headers, body.into()).await.expect(201);
    assert_eq!(dry["metadata"], json!({}));
    let one = cluster.get_as(&format!("{CONFIG_MAPS}/a"), table).await.expect(200);
    assert_eq!(one["rows"].as_array().map(Vec::len), Some(1));
    let partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io";
    let list = cluster.get_as(CONFIG_MAPS, partial).await.expect(200);
    assert_eq!(list["items"][0]["metadata"]["name"], "a");
    assert!(list["items"][0].get("data").is_none());
}

#[tokio::test]
async fn large_lists_are_compressed_for_those_who_accept_it() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({"k": "v".repeat(200 * 1024)})).await;
    let answer = super::send(&cluster.admin, "GET", CONFIG_MAPS, &[("accept-encoding", "gzip")], "".into()).await;
    assert_eq!(answer.headers["content-encoding"], "gzip");
    assert!(answer.text.len() < 10_000);
    let answer = cluster.get(CONFIG_MAPS).await;
    assert!(!answer.headers.contains_key("content-encoding"));
}

#[tokio::test]
async fn pages_go_on_across_a_restart() {
    let before = Cluster::start().await;
    for name in ["a", "b", "c"] {
        before.config_map(name, json!({})).await;
    }
    let first = before.get(&format!("{CONFIG_MAPS}?limit=1")).await.expect(200);
    let token = first["metadata"]["continue"].as_str().expect("a token");
    before.delete(&format!("{CONFIG_MAPS}/b")).await.expect(200);
    before.config_map("d", json!({})).await;
    let after = Cluster::on(std::sync::Arc::clone(&before.store), std::sync::Arc::new(super::NoNodes)).await;
    let rest = after.get(&format!("{CONFIG_MAPS}?continue={token}")).await.expect(200);
    assert_eq!(names(&rest), ["b", "c"]);
    let revision = first["metadata"]["resourceVersion"].as_str().expect("a revision");
    let exact = format!("{CONFIG_MAPS}?resourceVersionMatch=Exact&resourceVersion={revision}");
    assert_eq!(names(&after.get(&exact).await.expect(200)), ["a", "b", "c"]);
}

fn token(content: &Value) -> String {
    URL_SAFE_NO_PAD.encode(content.to_string())
}

#[tokio::test]
async fn made_up_tokens_are_refused_or_lead_to_nothing() {
    let cluster = Cluster::start().await;
    let now = cluster.config_map("a", json!({})).await["metadata"]["resourceVersion"].clone();
    let now: i64 = now.as_str().and_then(|revision| revision.parse().ok()).expect("a revision");
    let page = async |token: &str| cluster.get(&format!("{CONFIG_MAPS}?continue={token}")).await;
    let made_up = |rv: i64, start: &str| token(&json!({"v": "meta.k8s.io/v1", "rv": rv, "start": start}));
    for (token, why) in [
        ("a!".to_owned(), ": illegal base64 data at input byte 1"),
        ("YQ==".to_owned(), ": illegal base64 data at input byte 2"),
        ("YWFhY".to_owned(), ": illegal base64 data at input byte 4"),
        (URL_SAFE_NO_PAD.encode("x"), ": invalid character 'x' looking for beginning of value"),
        (token(&json!({"v": "v2", "rv": 1, "start": "a"})), ": server does not recognize this encoded version v2"),
        (made_up(0, "a"), ": incorrect encoded start resourceVersion (version meta.k8s.io/v1)"),
        (made_up(1, ""), ": encoded start key empty (version meta.k8s.io/v1)"),
        (made_up(1, "../../secrets/"), ": ../../secrets/"),
    ] {
        let text = format!("invalid continue token: continue key is not valid{why}");
        assert_eq!(page(&token).await.failure(), (400, text), "{token}");
    }
    for start in ["zzz", "default0", "default/b", "kube-system/a"] {
        for revision in [-1, now] {
            assert_eq!(names(&page(&made_up(revision, start)).await.expect(200)), [""; 0], "{start}");
        }
    }
    assert_eq!(names(&page(&made_up(-1, "a")).await.expect(200)), ["a"]);
    let answer = page(&made_up(now + 1000, "default/a")).await;
    assert_eq!(answer.json()["details"]["causes"][0]["reason"], "ResourceVersionTooLarge");
    let answer = page(&format!("{}&resourceVersion=1", made_up(now, "default/a"))).await;
    let text = "specifying resource version is not allowed when using continue";
    assert_eq!(answer.failure(), (400, text.to_owned()));
}

#[tokio::test]
async fn numbers_of_options_are_read_as_go_reads_them() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({})).await;
    let list = async |query: &str| cluster.get(&format!("{CONFIG_MAPS}?{query}")).await;
    assert_eq!(names(&list("limit=-1&timeoutSeconds=-1").await.expect(200)), ["a"]);
    for (query, code, what) in [
        ("limit=x", 400, "strconv.ParseInt: parsing \"x\": invalid syntax"),
        ("limit=9223372036854775808", 400, "strconv.ParseInt: parsing \"9223372036854775808\": value out of range"),
        (
            "resourceVersion=-1",
            500,
            "resourceVersion: Invalid value: \"-1\": strconv.ParseUint: parsing \"-1\": invalid syntax",
        ),
    ] {
        assert_eq!(list(query).await.failure(), (code, what.to_owned()), "{query}");
    }
}

#[tokio::test]
async fn one_object_can_be_asked_for_by_revision() {
    let cluster = Cluster::start().await;
    let created = cluster.config_map("a", json!({})).await;
    let get = async |revision: &str| cluster.get(&format!("{CONFIG_MAPS}/a?resourceVersion={revision}")).await;
    for revision in ["", "0", created["metadata"]["resourceVersion"].as_str().expect("a revision")] {
        assert_eq!(get(revision).await.expect(200)["metadata"]["name"], "a");
    }
    let (code, text) = get("999999").await.failure();
    assert!(code == 504 && text.starts_with("Timeout: Too large resource version: 999999, current: "), "{text}");
    assert_eq!(get("x").await.code.as_u16(), 500);
}
