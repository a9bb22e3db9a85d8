use serde_json::json;

use super::{Cluster, send};

const CONFIG_MAPS: &str = "/api/v1/namespaces/default/configmaps";

#[tokio::test]
async fn paths_and_methods_that_are_not_there() {
    let cluster = Cluster::start().await;
    let check = async |method: &str, path: &str, code: u16, text: &str| {
        let answer = send(&cluster.admin, method, path, &[], "".into()).await;
        let found = String::from_utf8_lossy(&answer.text).into_owned();
        assert_eq!(answer.code.as_u16(), code, "{method} {path}: {found}");
        assert!(found.contains(text), "{method} {path}: {found}");
    };
    let unknown = "the server could not find the requested resource";
    let not_allowed = "the server does not allow this method on the requested resource";
    for path in [
        "/api/v2",
        "/apis/apps/v9",
        "/api/v1/nopes",
        "/api/v1/pods/x",
        "/api/v1/namespaces/default/nodes",
        "/api/v1/namespaces/default/pods/x/nope",
        "/api/v1/namespaces/default/configmaps/x/status",
    ] {
        check("GET", path, 404, unknown).await;
    }
    check("GET", "/nope", 404, "404 page not found\n").await;
    check("GET", "/apis/nope", 404, "404 page not found\n").await;
    for (method, path) in [
        ("POST", "/api/v1/namespaces/default/configmaps/x"),
        ("PUT", CONFIG_MAPS),
        ("PATCH", CONFIG_MAPS),
        ("DELETE", "/api/v1"),
        ("POST", "/api/v1"),
        ("DELETE", "/api/v1/pods"),
        ("TRACE", CONFIG_MAPS),
        ("FOO", CONFIG_MAPS),
        ("GET", "/api/v1/namespaces/default/bindings"),
        ("DELETE", "/api/v1/namespaces/default/pods/x/log"),
        ("DELETE", "/api/v1/namespaces"),
        ("POST", "/api/v1/configmaps"),
    ] {
        check(method, path, 405, not_allowed).await;
    }
}

#[tokio::test]
async fn bodies_that_are_no_objects() {
    let cluster = Cluster::start().await;
    let check = async |media: &str, body: String, code: u16, text: &str| {
        let answer = cluster.send("POST", CONFIG_MAPS, media, body).await;
        let (found_code, found) = answer.failure();
        assert_eq!(found_code, code, "{found}");
        assert!(found.contains(text), "{found}");
    };
    check("text/plain", "{}".into(), 415, "the body of the request was in an unknown format").await;
    check(
        "application/vnd.kubernetes.protobuf",
        "xx".into(),
        400,
        "(must be of type ConfigMap): provided data does not appear to be a protobuf message, expected prefix [107 56 115 0] \
         (7878)",
    )
    .await;
    check("application/json", "{\"a\"".into(), 400, "the object provided is unrecognized").await;
    check("application/json", r#"{"kind":"Pod","apiVersion":"v1"}"#.into(), 400, "Pod").await;
    check("application/json", "{}".into(), 422, "metadata.name: Required value: name or generateName is required")
        .await;
    let large = format!(r#"{{"metadata":{{"name":"a"}},"data":{{"k":"{}"}}}}"#, "x".repeat(4 << 20));
    check("application/json", large, 413, "Request entity too large: limit is 3145728").await;
    let other = r#"{"metadata":{"name":"a","namespace":"b"}}"#;
    check("application/json", other.into(), 400, "the namespace of the provided object does not match").await;
    cluster.get("/healthz").await;
}

#[tokio::test]
async fn options_are_checked() {
    let cluster = Cluster::start().await;
    let body = json!({"metadata": {"name": "a"}, "bogus": 1});
    let answer = cluster.post(&format!("{CONFIG_MAPS}?fieldValidation=Strict"), body.clone()).await;
    assert_eq!(
        answer.failure().1,
        "ConfigMap in version \"v1\" cannot be handled as a ConfigMap: strict decoding error: unknown field \"bogus\""
    );
    let answer = cluster.post(&format!("{CONFIG_MAPS}?fieldManager={}", "m".repeat(129)), body.clone()).await;
    assert_eq!(
        answer.failure().1,
        "CreateOptions.meta.k8s.io \"\" is invalid: fieldManager: Too long: may not be more than 128 bytes"
    );
    let answer = cluster.post(&format!("{CONFIG_MAPS}?timeout=abc"), body.clone()).await;
    assert_eq!(
        answer.failure(),
        (400, "invalid timeout specified in the request URL - time: invalid duration \"abc\"".to_owned())
    );
    let answer = cluster.post(CONFIG_MAPS, body).await;
    assert_eq!(answer.headers["warning"], "299 - \"unknown field \\\"bogus\\\"\"");
    answer.expect(201);
}

#[tokio::test]
async fn objects_and_urls_must_agree() {
    let cluster = Cluster::start().await;
    cluster.config_map("a", json!({})).await;
    let path = format!("{CONFIG_MAPS}/a");
    let answer = cluster.put(&path, json!({"metadata": {"name": "b"}})).await;
    let text = "the name of the object (b) does not match the name on the URL (a)";
    assert_eq!(answer.failure(), (400, text.to_owned()));
    let answer = cluster.put(&path, json!({"metadata": {}})).await;
    let text = "the name of the object (a based on URL) was undeterminable: name must be provided";
    assert_eq!(answer.failure(), (400, text.to_owned()));
    let answer = cluster.put(&path, json!({"metadata": {"name": "a", "uid": "1"}})).await;
    assert!(
        answer.failure().1.contains("Precondition failed: UID in precondition: 1, UID in object meta: "),
        "{answer:?}"
    );
}

#[tokio::test]
async fn health_and_version_answer() {
    let cluster = Cluster::start().await;
    for path in ["/healthz", "/livez", "/readyz", "/readyz/ping"] {
        let answer = cluster.get(path).await;
        assert_eq!((answer.code.as_u16(), answer.text.as_ref()), (200, b"ok".as_slice()), "{path}");
        assert!(answer.headers.contains_key("audit-id"));
    }
    let verbose = cluster.get("/readyz?verbose").await;
    assert!(String::from_utf8_lossy(&verbose.text).ends_with("readyz check passed\n"));
    assert_eq!(cluster.get("/version").await.expect(200)["minor"], "36");
}
