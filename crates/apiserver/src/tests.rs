//! Requests in, answers out: the whole server over the in-memory store.

use std::io;
use std::sync::Arc;

use async_trait::async_trait;
use aws_lc_rs::rand::SystemRandom as CryptoRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use platform::clock::SystemClock;
use platform::random::SystemRandom;
use serde_json::{Value, json};
use store::Store;
use store::memory::MemoryStore;
use tower::ServiceExt;

use crate::body::Body;
use crate::identity::MASTERS;
use crate::{ApiServer, Config, InProcess, NodeDialer, NodeStream, UserInfo};

mod admission;
mod apply;
mod concurrency;
mod deletion;
mod discovery;
mod errors;
mod fuzz;
mod https;
mod identity;
mod lists;
mod node_proxy;
mod protobuf;
mod services;
mod verbs;
mod watches;

/// No node can be reached.
struct NoNodes;

#[async_trait]
impl NodeDialer for NoNodes {
    async fn dial(&self, node_name: &str) -> io::Result<Box<dyn NodeStream>> {
        Err(io::Error::other(format!("no node {node_name}")))
    }
}

/// A signing key in PEM.
pub fn signing_key() -> Vec<u8> {
    let pair = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &CryptoRandom::new()).expect("a key");
    let base64 = STANDARD.encode(pair.as_ref());
    format!("-----BEGIN PRIVATE KEY-----\n{base64}\n-----END PRIVATE KEY-----\n").into_bytes()
}

/// A server with an administrator.
pub struct Cluster {
    pub api: Arc<ApiServer>,
    pub store: Arc<dyn Store>,
    admin: InProcess,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub code: StatusCode,
    pub headers: HeaderMap,
    pub text: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.text).unwrap_or(Value::Null)
    }

    /// The answer, which must have this code.
    pub fn expect(self, code: u16) -> Value {
        assert_eq!(self.code.as_u16(), code, "{}", String::from_utf8_lossy(&self.text));
        self.json()
    }

    /// Code and message of a failure.
    pub fn failure(&self) -> (u16, String) {
        (self.code.as_u16(), self.json()["message"].as_str().unwrap_or_default().to_owned())
    }
}

impl Cluster {
    /// A server with the namespace `default` and its ServiceAccount.
    pub async fn start() -> Self {
        Self::start_with(Arc::new(NoNodes)).await
    }

    pub async fn start_with(node_dialer: Arc<dyn NodeDialer>) -> Self {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        let cluster = Self::on(Arc::clone(&store), node_dialer).await;
        cluster.post("/api/v1/namespaces", json!({"metadata": {"name": "default"}})).await.expect(201);
        cluster
            .post("/api/v1/namespaces/default/serviceaccounts", json!({"metadata": {"name": "default"}}))
            .await
            .expect(201);
        cluster
    }

    /// A server with the default roles as well.
    pub async fn start_with_policy() -> Self {
        let cluster = Self::start().await;
        for namespace in ["kube-public", "kube-system"] {
            cluster.post("/api/v1/namespaces", json!({"metadata": {"name": namespace}})).await.expect(201);
        }
        let client = kube::Client::new(cluster.admin.clone(), "default");
        bootstrap::policy::reconcile(&client).await.expect("the default policy");
        cluster
    }

    pub async fn on(store: Arc<dyn Store>, node_dialer: Arc<dyn NodeDialer>) -> Self {
        let config = Config {
            store: Arc::clone(&store),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            service_account_key_pem: signing_key(),
            service_account_issuer: "https://kubernetes.default.svc.cluster.local".to_owned(),
            tokens: crate::tokens::TokenConfig::default(),
            authentication: crate::authentication::AuthenticationConfig::default(),
            encryption: None,
            node_dialer,
            companions: Arc::new(()),
            runtime_config: crate::RuntimeConfig::default(),
            admission_plugins: crate::AdmissionPlugins::default(),
            service_ranges: vec!["10.96.0.0/16".parse().expect("a range")],
            limits: crate::Limits::default(),
            audit: None,
        };
        let api = ApiServer::start(config).await.expect("starts");
        api.started();
        let admin = api.in_process(UserInfo::new("admin", [MASTERS]));
        Self { api, store, admin }
    }

    pub fn user(&self, name: &str, groups: &[&str]) -> InProcess {
        self.api.in_process(UserInfo::new(name, groups.iter().copied()))
    }

    pub async fn get(&self, path: &str) -> Answer {
        send(&self.admin, "GET", path, &[], Bytes::new()).await
    }

    pub async fn get_as(&self, path: &str, accept: &str) -> Answer {
        send(&self.admin, "GET", path, &[("accept", accept)], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.send("POST", path, "application/json", body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        self.send("PUT", path, "application/json", body.to_string()).await
    }

    pub async fn merge(&self, path: &str, body: Value) -> Answer {
        self.send("PATCH", path, "application/merge-patch+json", body.to_string()).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        send(&self.admin, "DELETE", path, &[], Bytes::new()).await
    }

    pub async fn send(&self, method: &str, path: &str, media: &str, body: impl Into<Bytes>) -> Answer {
        send(&self.admin, method, path, &[("content-type", media)], body.into()).await
    }

    /// Starts a watch and returns its body.
    pub async fn watch(&self, path: &str) -> Watch {
        let request = Request::get(path).body(Full::<Bytes>::default()).expect("a request");
        let Ok(response) = self.admin.clone().oneshot(request).await;
        assert_eq!(response.status(), StatusCode::OK);
        Watch { body: response.into_body(), rest: Vec::new() }
    }

    pub async fn config_map(&self, name: &str, data: Value) -> Value {
        let body = json!({"metadata": {"name": name}, "data": data});
        self.post("/api/v1/namespaces/default/configmaps", body).await.expect(201)
    }

    /// Creates a Pod from its spec; containers get an image.
    pub async fn pod(&self, name: &str, mut spec: Value) -> Value {
        if spec["containers"].is_null() {
            spec["containers"] = json!([{"name": "c", "image": "i"}]);
        }
        let body = json!({"metadata": {"name": name}, "spec": spec});
        self.post("/api/v1/namespaces/default/pods", body).await.expect(201)
    }
}

/// Sends one request to a service.
pub async fn send(service: &InProcess, method: &str, path: &str, headers: &[(&str, &str)], body: Bytes) -> Answer {
    let mut request = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body)).expect("a request");
    let Ok(response) = service.clone().oneshot(request).await;
    let (parts, body) = response.into_parts();
    let text = body.collect().await.expect("a body").to_bytes();
    Answer { code: parts.status, headers: parts.headers, text }
}

/// A running watch.
pub struct Watch {
    body: Body,
    rest: Vec<u8>,
}

impl Watch {
    /// The next event; `None` when the watch is over.
    pub async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                return Some(serde_json::from_slice(&line).expect("an event"));
            }
            let frame = self.body.frame().await?.expect("a frame");
            self.rest.extend_from_slice(&frame.into_data().expect("data"));
        }
    }

    /// Type and name of the next event.
    pub async fn brief(&mut self) -> String {
        let event = self.next().await.expect("an event");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        format!("{} {}", text(&event["type"]), text(&event["object"]["metadata"]["name"]))
    }
}
