use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::FutureExt;
use http_body_util::Full;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use platform::tasks::{self, TaskKind};
use serde_json::json;

use super::{Cluster, NodeDialer, NodeStream};

/// A kubelet that answers with what it was asked. The way to other nodes panics.
struct Echo;

#[async_trait]
impl NodeDialer for Echo {
    async fn dial(&self, node_name: &str) -> io::Result<Box<dyn NodeStream>> {
        assert_eq!(node_name, "n1");
        let (ours, theirs) = tokio::io::duplex(4096);
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
            let text = format!("{} {}", request.method(), request.uri());
            let code = if text.contains("previous") { 400 } else { 200 };
            let response = http::Response::builder().status(code).body(Full::new(Bytes::from(text)));
            async move { response }.boxed()
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
        tasks::spawn(TaskKind::Worker, "echo", connection.map(|_| ()));
        Ok(Box::new(ours))
    }
}

async fn cluster_with_pod() -> Cluster {
    let cluster = Cluster::start_with(Arc::new(Echo)).await;
    cluster.pod("p", json!({"containers": [{"name": "a", "image": "i"}, {"name": "b", "image": "i"}]})).await;
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n1"}});
    cluster.post("/api/v1/namespaces/default/pods/p/binding", binding).await.expect(201);
    cluster
}

#[tokio::test]
async fn a_panic_is_answered_and_the_server_lives() {
    let cluster = Cluster::start_with(Arc::new(Echo)).await;
    cluster.pod("p", json!({})).await;
    let binding = json!({"metadata": {"name": "p"}, "target": {"kind": "Node", "name": "n2"}});
    cluster.post("/api/v1/namespaces/default/pods/p/binding", binding).await.expect(201);
    let status = cluster.get("/api/v1/namespaces/default/pods/p/log").await.expect(500);
    assert_eq!((&status["kind"], &status["reason"]), (&json!("Status"), &json!("InternalError")));
    let message = "Internal error occurred: this request caused apiserver to panic; look in the logs for details";
    assert_eq!(status["message"], message);
    cluster.get("/api/v1/namespaces/default/pods/p").await.expect(200);
}

#[tokio::test]
async fn logs_come_from_the_kubelet_of_the_node() {
    let cluster = cluster_with_pod().await;
    let answer = cluster.get("/api/v1/namespaces/default/pods/p/log?container=b&tailLines=3").await;
    assert_eq!(answer.text, "GET /containerLogs/default/p/b?tailLines=3");
    let answer = cluster.get("/api/v1/namespaces/default/pods/p/log").await;
    let text = "a container name must be specified for pod p, choose one of: [a b]";
    assert_eq!(answer.failure(), (400, text.to_owned()));
    let answer = cluster.get("/api/v1/namespaces/default/pods/p/log?container=b&previous=true").await;
    assert_eq!(answer.failure(), (400, "GET /containerLogs/default/p/b?previous=true".to_owned()));
}

#[tokio::test]
async fn streams_need_a_pod_with_a_node() {
    let cluster = cluster_with_pod().await;
    cluster.pod("unbound", json!({})).await;
    let check = async |path: &str, code: u16, text: &str| {
        let answer = cluster.post(&format!("/api/v1/namespaces/default/pods/{path}"), json!({})).await;
        assert_eq!(answer.failure(), (code, text.to_owned()), "{path}");
    };
    check("unbound/exec?command=ls", 400, "pod unbound does not have a host assigned").await;
    check("unbound/exec?command=ls&container=zz", 400, "container zz is not valid for pod unbound").await;
    check("unbound/portforward?ports=80", 400, "pod unbound does not have a host assigned").await;
    check("none/exec?command=ls", 404, "pods \"none\" not found").await;
    let answer = cluster.get("/api/v1/namespaces/default/pods/unbound/log").await;
    assert_eq!(answer.code.as_u16(), 204);
}

/// Nodes that remember a Pod; `n2` is away.
struct Rememberers;

#[async_trait]
impl NodeDialer for Rememberers {
    async fn dial(&self, node_name: &str) -> io::Result<Box<dyn NodeStream>> {
        if node_name == "n2" {
            return Err(io::ErrorKind::HostUnreachable.into());
        }
        let (ours, theirs) = tokio::io::duplex(4096);
        let service = service_fn(|request: http::Request<hyper::body::Incoming>| {
            let story = json!({"name": "gone", "uid": request.uri().to_string(), "createdAt": "2026-01-01T00:00:00Z"});
            let body = json!({ "stories": [story] }).to_string();
            async move { Ok::<_, io::Error>(http::Response::new(Full::new(Bytes::from(body)))) }.boxed()
        });
        let connection = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
        tasks::spawn(TaskKind::Worker, "rememberer", connection.map(|_| ()));
        Ok(Box::new(ours))
    }
}

#[tokio::test]
async fn every_node_is_asked_for_the_story_of_a_pod_that_is_gone() {
    let cluster = Cluster::start_with(Arc::new(Rememberers)).await;
    for name in ["n1", "n2"] {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}});
        cluster.post("/api/v1/nodes", node).await.expect(201);
    }
    let answer = cluster.get("/api/v1/namespaces/default/pods/gone/story?uid=a%2Fb").await.json();
    let story = json!({"name": "gone", "node": "n1", "uid": "/story/default/gone?uid=a%2Fb",
        "createdAt": "2026-01-01T00:00:00Z"});
    assert_eq!(answer, json!({ "stories": [story], "unreachable": ["n2"], "scheduling": null }));
}
