//! Answers in protobuf: they say what the answers in JSON say.

use api::decode::tree::Node;
use api::protobuf::{Message, tree};
use api::schema::Type;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Answer, Cluster};

const MEDIA: &str = "application/vnd.kubernetes.protobuf";
const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

/// What a body says, as JSON.
fn decoded(body: &[u8]) -> Value {
    let message = Message::open(body).expect("an object");
    let (group, version) = message.api_version.split_once('/').unwrap_or(("", &message.api_version));
    let meta = |kind: &str| Type::of_definition(&format!("io.k8s.apimachinery.pkg.apis.meta.v1.{kind}"));
    let list = |kind: &str| Type::of_definition(&format!("io.k8s.api.core.{version}.{kind}"));
    let structure = Type::of_kind(group, version, &message.kind);
    let structure = structure.or_else(|| meta(&message.kind)).or_else(|| list(&message.kind)).expect("a known kind");
    let mut value = tree(message.raw, structure).map(Node::into_value).expect("decodes");
    value["apiVersion"] = (*message.api_version).into();
    value["kind"] = (*message.kind).into();
    value
}

impl Answer {
    /// The answer, which must be protobuf.
    fn message(&self) -> Value {
        assert_eq!(self.headers["content-type"], MEDIA);
        decoded(&self.text)
    }
}

#[tokio::test]
async fn objects_and_lists_say_the_same_in_both_syntaxes() {
    let cluster = Cluster::start().await;
    cluster.pod("p", json!({"volumes": [{"name": "v", "emptyDir": {}}], "terminationGracePeriodSeconds": 0})).await;
    cluster.config_map("a", json!({"k": "v"})).await;
    let event =
        json!({"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "reason": "R", "count": 2});
    cluster.post("/api/v1/namespaces/default/events", event).await.expect(201);
    for path in [
        "/api/v1/namespaces/default/pods/p",
        "/api/v1/namespaces/default/pods?limit=1",
        "/api/v1/namespaces/default/configmaps/a",
        "/api/v1/namespaces",
        "/api/v1/namespaces/default/events/e",
        "/api/v1/namespaces/default/configmaps/none",
        "/apis",
    ] {
        let message = cluster.get_as(path, MEDIA).await.message();
        let mut json = cluster.get(path).await.json();
        drop_nulls(&mut json);
        assert_eq!(message, json, "{path}");
    }
}

/// Unset times are `null` in JSON and nothing in protobuf; empty lists are nothing, too.
fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.values_mut().for_each(drop_nulls);
            members.retain(|_, value| !value.is_null());
        }
        Value::Array(elements) => elements.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[tokio::test]
async fn a_view_of_another_version_is_encoded_as_that_version() {
    let cluster = Cluster::start().await;
    let event =
        json!({"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "reason": "R", "count": 2});
    cluster.post("/api/v1/namespaces/default/events", event).await.expect(201);
    let path = "/apis/events.k8s.io/v1/namespaces/default/events";
    let message = cluster.get_as(&format!("{path}/e"), MEDIA).await.message();
    assert_eq!((&message["apiVersion"], &message["deprecatedCount"]), (&json!("events.k8s.io/v1"), &json!(2)));
    let list = cluster.get_as(path, MEDIA).await;
    let list = Message::open(&list.text).expect("a list");
    assert_eq!((&*list.api_version, &*list.kind), ("events.k8s.io/v1", "EventList"));
}

#[tokio::test]
async fn writes_and_failures_are_answered_in_protobuf() {
    let cluster = Cluster::start().await;
    let send = async |method: &str, path: &str, body: Value| {
        let headers = [("accept", MEDIA), ("content-type", "application/json")];
        super::send(&cluster.admin, method, path, &headers, body.to_string().into()).await
    };
    let created = send("POST", CONFIG_MAPS, json!({"metadata": {"name": "a"}})).await;
    assert_eq!((created.code.as_u16(), &created.message()["metadata"]["name"]), (201, &json!("a")));
    let conflict = send("POST", CONFIG_MAPS, json!({"metadata": {"name": "a"}})).await;
    let status = conflict.message();
    assert_eq!((conflict.code.as_u16(), &status["kind"], &status["code"]), (409, &json!("Status"), &json!(409)));
    assert_eq!(status["details"], json!({"name": "a", "kind": "configmaps"}));
    let token = send("POST", "/api/v1/namespaces/default/serviceaccounts/default/token", json!({})).await.message();
    assert!(token["status"]["token"].as_str().is_some_and(|token| token.starts_with("ey")));
    let deleted = send("DELETE", &format!("{CONFIG_MAPS}/a"), json!({})).await.message();
    assert_eq!((&deleted["kind"], &deleted["status"]), (&json!("Status"), &json!("Success")));
}

#[tokio::test]
async fn metadata_alone_can_be_had_but_no_tables() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({"k": "v"})).await;
    let partial = format!("{MEDIA};as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
    let answer = cluster.get_as(&format!("{CONFIG_MAPS}/a"), &partial).await;
    let message = Message::open(&answer.text).expect("an object");
    assert_eq!((&*message.api_version, &*message.kind), ("meta.k8s.io/v1", "PartialObjectMetadata"));
    let own = tree(message.raw, Type::of_kind("", "v1", "ConfigMap").expect("known")).map(Node::into_value);
    assert_eq!(own.expect("decodes")["metadata"], cluster.get(&format!("{CONFIG_MAPS}/a")).await.json()["metadata"]);
    let answer = cluster.get_as(CONFIG_MAPS, &partial.replace("Metadata;", "MetadataList;")).await;
    let message = Message::open(&answer.text).expect("a list");
    assert_eq!(&*message.kind, "PartialObjectMetadataList");
    let list = Type::of_definition("io.k8s.api.core.v1.ConfigMapList").expect("known");
    let list = tree(message.raw, list).map(Node::into_value).expect("decodes");
    assert_eq!((&list["items"][0]["metadata"]["name"], &list["items"][0]["data"]), (&json!("a"), &Value::Null));
    let table = format!("{MEDIA};as=Table;g=meta.k8s.io;v=v1");
    assert_eq!(cluster.get_as(CONFIG_MAPS, &table).await.code, 406);
}

/// Types and objects of the next events of a watch.
async fn events(cluster: &Cluster, path: &str, accept: &str, count: usize) -> Vec<(String, Bytes)> {
    let request = http::Request::get(path).header("accept", accept).body(Full::<Bytes>::default()).expect("a request");
    let Ok(response) = cluster.admin.clone().oneshot(request).await;
    assert_eq!(response.headers()["content-type"], format!("{MEDIA};stream=watch"));
    let mut body = response.into_body();
    let (mut rest, mut events) = (Vec::new(), Vec::new());
    let event = Type::of_definition("io.k8s.apimachinery.pkg.apis.meta.v1.WatchEvent").expect("known");
    while events.len() < count {
        let frame = body.frame().await.expect("more").expect("a frame");
        rest.extend_from_slice(&frame.into_data().expect("data"));
        while let Some(length) = rest.first_chunk().map(|length| u32::from_be_bytes(*length) as usize) {
            if rest.len() < 4 + length {
                break;
            }
            let message: Vec<u8> = rest.drain(..4 + length).skip(4).collect();
            // The object of an event is no JSON: take the event apart by hand.
            assert!(tree(&message, event).is_err());
            let name_end = 2 + usize::from(message[1]);
            let start = message.windows(4).position(|bytes| bytes == b"k8s\0").expect("an object");
            let name = String::from_utf8(message[2..name_end].to_vec()).expect("text");
            events.push((name, message[start..].to_vec().into()));
        }
    }
    events
}

#[tokio::test]
async fn watches_tell_changes_in_protobuf() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({"k": "v"})).await;
    let one = format!("{CONFIG_MAPS}/a");
    let first = cluster.get(&one).await.json();
    cluster.merge(&one, json!({"data": {"k": "w"}})).await.expect(200);
    cluster.delete(&one).await.expect(200);
    let from = first["metadata"]["resourceVersion"].as_str().expect("text").to_owned();
    let found = events(&cluster, &format!("{CONFIG_MAPS}?watch=1&resourceVersion={from}"), MEDIA, 2).await;
    let brief: Vec<(&str, Value)> =
        found.iter().map(|(name, body)| (name.as_str(), decoded(body)["data"].clone())).collect();
    assert_eq!(brief, [("MODIFIED", json!({"k": "w"})), ("DELETED", json!({"k": "w"}))]);
    cluster.config_map("b", json!({})).await;
    let initial = "watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true";
    let accept = format!("{MEDIA};stream=watch");
    let found = events(&cluster, &format!("{CONFIG_MAPS}?{initial}"), &accept, 2).await;
    let names: Vec<&str> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["ADDED", "BOOKMARK"]);
    assert_eq!(decoded(&found[0].1)["metadata"]["name"], "b");
    let bookmark = decoded(&found[1].1);
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
    let gone = events(&cluster, &format!("{CONFIG_MAPS}?watch=1&resourceVersion=999999"), MEDIA, 1).await;
    assert_eq!((gone[0].0.as_str(), &decoded(&gone[0].1)["code"]), ("ERROR", &json!(410)));
}
