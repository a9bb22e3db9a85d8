//! An API server in a map: enough of the protocol to run components against, with none of the rules.
//!
//! It knows create, get, list, watch, update, merge patch (lists of conditions merge by type), delete with finalizers,
//! deletecollection, the `binding` and `finalize` subresources and discovery. Every request is noted, and requests can
//! be made to fail. Selectors, validation, defaults and admission are the real server's business.

mod objects;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::Notify;

pub use objects::{Collection, Objects, Path, merge};

type Answer = UnsyncBoxBody<bytes::Bytes, Infallible>;

/// The server. Clones share one state.
#[derive(Clone, Default)]
pub struct FakeApi {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Default)]
struct State {
    objects: Objects,
    requests: Vec<String>,
    failures: Vec<(String, u16)>,
}

impl FakeApi {
    /// An empty server.
    pub fn new() -> Self {
        Self::default()
    }

    /// A client of it.
    pub fn client(&self) -> kube::Client {
        let api = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let api = api.clone();
            async move { Ok::<_, Infallible>(api.answer(request).await) }
        });
        kube::Client::new(service, "default")
    }

    /// Stores an object as if somebody had created or replaced it.
    pub fn put(&self, object: Value) {
        let path = Path::of(&object);
        self.change(|state| state.objects.put(&path, object));
    }

    /// Merges `patch` into an object. Panics when it is not there.
    pub fn patch(&self, path: &str, patch: Value) {
        let path = Path::parse(path).expect("a path");
        self.change(|state| {
            let mut object = state.objects.get(&path).expect("the object").clone();
            merge(&mut object, patch);
            state.objects.put(&path, object);
        });
    }

    /// Deletes an object as a user would.
    pub fn delete(&self, path: &str) {
        let path = Path::parse(path).expect("a path");
        self.change(|state| state.objects.delete(&path));
    }

    /// An object, if it is there.
    pub fn get(&self, path: &str) -> Option<Value> {
        self.state().objects.get(&Path::parse(path)?).cloned()
    }

    /// The objects of a collection.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let Some(path) = Path::parse(path) else { return Vec::new() };
        let list = self.state().objects.list(&path.collection);
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Fails the next request whose `METHOD path` contains this text.
    pub fn fail_next(&self, request: &str, code: u16) {
        self.state().failures.push((request.to_owned(), code));
    }

    /// `METHOD path` of every request so far.
    pub fn requests(&self) -> Vec<String> {
        self.state().requests.clone()
    }

    /// Waits until `found` returns something, or panics after a generous while.
    pub async fn until<T>(&self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let wait = async {
            loop {
                let changed = self.shared.changed.notified();
                if let Some(found) = found(self) {
                    return found;
                }
                // Requests that change nothing do not notify, hence the bound.
                let _ = tokio::time::timeout(Duration::from_millis(20), changed).await;
            }
        };
        match tokio::time::timeout(Duration::from_secs(30), wait).await {
            Ok(found) => found,
            Err(_) => panic!("not seen: {what}; requests: {:#?}", self.requests()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.state());
        self.shared.changed.notify_waiters();
        result
    }

    async fn answer(&self, request: Request<Body>) -> Response<Answer> {
        let (parts, body) = request.into_parts();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        let line = format!("{} {}", parts.method, parts.uri.path());
        let failure = {
            let mut state = self.state();
            state.requests.push(if query.contains("watch=true") { format!("WATCH {line}") } else { line.clone() });
            let position = state.failures.iter().position(|(text, _)| line.contains(text.as_str()));
            position.map(|position| state.failures.remove(position).1)
        };
        if let Some(code) = failure {
            return status(code, "InternalError", "injected");
        }
        if let Some(discovery) = objects::discovery(parts.uri.path()) {
            return respond(200, &discovery);
        }
        let Some(path) = Path::parse(parts.uri.path()) else { return status(404, "NotFound", "no such path") };
        if query.contains("watch=true") {
            return self.watch(path.collection, &query);
        }
        let body = body.collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
        let body: Value = serde_json::from_slice(&body).unwrap_or(Value::Null);
        let (code, answer) = self.change(|state| verb(&mut state.objects, &parts.method, path, body));
        respond(code, &answer)
    }

    fn watch(&self, collection: Collection, query: &str) -> Response<Answer> {
        let since = query.split('&').find_map(|pair| pair.strip_prefix("resourceVersion="));
        let since = since.and_then(|version| version.parse().ok()).unwrap_or(0);
        let api = self.clone();
        let start = (api, collection, since, VecDeque::new());
        let events = futures::stream::unfold(start, |(api, collection, mut since, mut ready)| async move {
            loop {
                if let Some(line) = ready.pop_front() {
                    return Some((line, (api, collection, since, ready)));
                }
                let shared = Arc::clone(&api.shared);
                let changed = shared.changed.notified();
                let events = api.state().objects.events_since(&collection, since);
                for (version, event) in events {
                    since = version;
                    ready.push_back(event.to_string() + "\n");
                }
                if ready.is_empty() {
                    changed.await;
                }
            }
        });
        let frames = events.map(|line| Ok::<_, Infallible>(hyper::body::Frame::data(bytes::Bytes::from(line))));
        Response::new(StreamBody::new(frames).boxed_unsync())
    }
}

fn verb(objects: &mut Objects, method: &Method, path: Path, mut body: Value) -> (u16, Value) {
    let subresource = path.subresource.clone();
    if (method, subresource.as_deref()) == (&Method::POST, Some("binding")) {
        let Some(mut pod) = objects.get(&path).cloned() else { return not_found(&path) };
        pod["spec"]["nodeName"] = body["target"]["name"].clone();
        objects.put(&path, pod);
        return (201, json!({ "kind": "Status", "apiVersion": "v1", "status": "Success", "code": 201 }));
    }
    match *method {
        Method::GET if path.name.is_none() => (200, objects.list(&path.collection)),
        Method::GET => objects.get(&path).map_or_else(|| not_found(&path), |object| (200, object.clone())),
        Method::POST => {
            let path = path.named(&body);
            if objects.get(&path).is_some() {
                return (409, failure(409, "AlreadyExists", "exists"));
            }
            body["metadata"]["namespace"] = path.collection.namespace.clone().map_or(Value::Null, Value::String);
            objects.put(&path, body);
            objects.get(&path).map_or_else(|| not_found(&path), |object| (201, object.clone()))
        }
        Method::PUT | Method::PATCH => {
            let Some(present) = objects.get(&path).cloned() else { return not_found(&path) };
            let precondition = |field: &str| {
                let wanted = &body["metadata"][field];
                !wanted.is_null() && *wanted != present["metadata"][field]
            };
            if precondition("uid") || precondition("resourceVersion") {
                return (409, failure(409, "Conflict", "changed meanwhile"));
            }
            let mut object = present;
            if *method == Method::PUT {
                object = body
            } else {
                merge(&mut object, body)
            }
            objects.put(&path, object.clone());
            (200, objects.get(&path).cloned().unwrap_or(object))
        }
        Method::DELETE if path.name.is_none() => {
            objects.delete_all(&path.collection);
            (200, objects.list(&path.collection))
        }
        Method::DELETE => {
            if objects.get(&path).is_none() {
                return not_found(&path);
            }
            objects.delete(&path);
            (200, json!({ "kind": "Status", "apiVersion": "v1", "status": "Success" }))
        }
        _ => (405, failure(405, "MethodNotAllowed", "no")),
    }
}

fn not_found(path: &Path) -> (u16, Value) {
    (404, failure(404, "NotFound", &format!("{path:?} not found")))
}

fn failure(code: u16, reason: &str, message: &str) -> Value {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason,
            "message": message, "metadata": {} })
}

fn status(code: u16, reason: &str, message: &str) -> Response<Answer> {
    respond(code, &failure(code, reason, message))
}

fn respond(code: u16, body: &Value) -> Response<Answer> {
    let mut response = Response::new(Full::from(body.to_string()).boxed_unsync());
    *response.status_mut() = StatusCode::from_u16(code).expect("a status code");
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
