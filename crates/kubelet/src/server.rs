//! The kubelet API: logs, exec, attach, port-forward and a look at the Pods, under upstream's paths.
//!
//! Who may call is decided before a request gets here: in process by the API server's own checks, over a socket by
//! [`SecureServer`]. Streaming sessions are bytes here: they end in the runtime.

mod configz;
pub mod logs;
mod metrics;
mod routes;
mod secure;
mod streaming;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::sync::watch;

use crate::context::NodeContext;
use crate::history;
use crate::observed::{ObservedPod, observe_pod};
use crate::pod;
use crate::stats::summary::Summary;
use crate::stats::{Detail, Stats};
use crate::sync_loop::KnownPods;
pub(crate) use configz::configuration;
use routes::Route;
pub use secure::SecureServer;

/// A body of any kind.
pub type Body = UnsyncBoxBody<Bytes, std::io::Error>;

/// The kubelet API as a hyper service. Serve it with upgrades enabled. Clones are the same server.
#[derive(Clone)]
pub struct KubeletApi {
    context: Arc<NodeContext>,
    pods: watch::Receiver<KnownPods>,
    runtime_changes: watch::Receiver<u64>,
    stats: Arc<Stats>,
    configuration: Arc<serde_json::Value>,
}

/// Why a request is refused: the answer's status and text.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub(crate) struct Refusal {
    status: StatusCode,
    message: String,
}

impl Refusal {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }
}

impl KubeletApi {
    pub(crate) fn new(
        context: Arc<NodeContext>,
        pods: watch::Receiver<KnownPods>,
        runtime_changes: watch::Receiver<u64>,
        stats: Arc<Stats>,
        configuration: Arc<serde_json::Value>,
    ) -> Self {
        Self { context, pods, runtime_changes, stats, configuration }
    }

    /// Answers one request; failures are answers too.
    pub async fn answer(self, request: Request<Incoming>) -> Response<Body> {
        let route = match routes::parse(request.method(), request.uri()) {
            Ok(route) => route,
            Err(refusal) => return refuse(&refusal),
        };
        self.dispatch(route, request).await.unwrap_or_else(|refusal| refuse(&refusal))
    }

    async fn dispatch(&self, route: Route, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
        match route {
            Route::Healthz => Ok(text(StatusCode::OK, "ok")),
            Route::Pods => Ok(self.list_pods()),
            Route::Configz => Ok(json_body(&self.configuration)),
            Route::Stats(detail) => {
                let summary = self.summary(detail).await?;
                let text = serde_json::to_vec(&summary).expect("a summary always encodes");
                Ok(with_type(full(text), "application/json"))
            }
            Route::Metrics(page) => {
                let pods = self.pods.borrow().len();
                let text = metrics::write(page, &self.summary(page.detail()).await?, pods);
                Ok(with_type(full(text), metrics::CONTENT_TYPE))
            }
            Route::ProbeMetrics => {
                let text = metrics::probes(&self.context.probe_counts.read());
                Ok(with_type(full(text), metrics::CONTENT_TYPE))
            }
            Route::RunningPods => self.list_running_pods().await,
            Route::Story { pod } => {
                let stories = history::tell(&self.context, &pod.namespace, &pod.name, pod.uid.as_deref()).await;
                Ok(json_body(&json!(stories)))
            }
            Route::Logs { pod, container, options } => {
                let known = self.find(&pod)?;
                let observed = self.observe(&known).await?;
                logs::answer(self, &known, &observed, &container, options)
            }
            Route::Exec { pod, container, streams, command } => {
                let container_id = self.running_container(&pod, &container).await?;
                let request_body = cri::ExecRequest {
                    container_id,
                    cmd: command,
                    tty: streams.tty,
                    stdin: streams.stdin,
                    stdout: streams.stdout,
                    stderr: streams.stderr && !streams.tty,
                };
                let url = self.context.runtime.exec(request_body).await.map_err(runtime_failure)?.url;
                streaming::proxy(&*self.context.runtime, &url, request).await
            }
            Route::Attach { pod, container, streams } => {
                let container_id = self.running_container(&pod, &container).await?;
                let request_body = cri::AttachRequest {
                    container_id,
                    stdin: streams.stdin,
                    tty: streams.tty,
                    stdout: streams.stdout,
                    stderr: streams.stderr && !streams.tty,
                };
                let url = self.context.runtime.attach(request_body).await.map_err(runtime_failure)?.url;
                streaming::proxy(&*self.context.runtime, &url, request).await
            }
            Route::PortForward { pod, ports } => {
                let known = self.find(&pod)?;
                let observed = self.observe(&known).await?;
                let sandbox = observed.sandbox().filter(|sandbox| sandbox.ready).ok_or_else(|| {
                    Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, format!("pod not found (\"{}\")", pod.name))
                })?;
                let request_body = cri::PortForwardRequest { pod_sandbox_id: sandbox.id.clone(), port: ports };
                let url = self.context.runtime.port_forward(request_body).await.map_err(runtime_failure)?.url;
                streaming::proxy(&*self.context.runtime, &url, request).await
            }
        }
    }

    async fn summary(&self, detail: Detail) -> Result<Summary, Refusal> {
        let pods = self.pods.borrow().values().cloned().collect();
        self.stats.summary(pods, detail).await.map_err(runtime_failure)
    }

    fn find(&self, wanted: &routes::PodName) -> Result<Arc<Pod>, Refusal> {
        let pods = self.pods.borrow();
        let matches = |pod: &&Arc<Pod>| pod::namespace(pod) == wanted.namespace && pod::name(pod) == wanted.name;
        let uid_fits = |pod: &&Arc<Pod>| wanted.uid.as_ref().is_none_or(|uid| pod::uid(pod).as_str() == uid);
        // Where a Pod was replaced under its name, the one that is not being deleted is meant.
        let candidates = pods.values().filter(matches).filter(uid_fits);
        let found = candidates.min_by_key(|pod| pod.metadata.deletion_timestamp.is_some());
        found.cloned().ok_or_else(|| {
            let message = format!("pod \"{}\" not found", wanted.name);
            Refusal::new(StatusCode::NOT_FOUND, message)
        })
    }

    async fn observe(&self, pod: &Pod) -> Result<ObservedPod, Refusal> {
        observe_pod(&*self.context.runtime, &pod::uid(pod)).await.map_err(runtime_failure)
    }

    async fn running_container(&self, pod: &routes::PodName, container: &str) -> Result<String, Refusal> {
        let known = self.find(pod)?;
        let observed = self.observe(&known).await?;
        let running = observed.latest(container).filter(|latest| latest.is_running());
        running.map(|latest| latest.id.clone()).ok_or_else(|| {
            let message = format!("container not found (\"{container}\")");
            Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message)
        })
    }

    fn list_pods(&self) -> Response<Body> {
        let pods: Vec<Arc<Pod>> = self.pods.borrow().values().cloned().collect();
        let items: Vec<&Pod> = pods.iter().map(Arc::as_ref).collect();
        json_body(&json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items }))
    }

    /// Pods that have something alive, as far as the runtime knows them.
    async fn list_running_pods(&self) -> Result<Response<Body>, Refusal> {
        let pods: Vec<Arc<Pod>> = self.pods.borrow().values().cloned().collect();
        let mut items = Vec::new();
        for pod in pods {
            let observed = self.observe(&pod).await?;
            let running = observed.containers.iter().filter(|container| container.is_running());
            let containers: Vec<_> = running
                .map(|container| json!({ "name": container.name, "image": container.image_id, "resources": {} }))
                .collect();
            if !containers.is_empty() {
                let metadata = json!({
                    "name": pod::name(&pod), "namespace": pod::namespace(&pod), "uid": pod::uid(&pod).as_str(),
                });
                items.push(json!({ "metadata": metadata, "spec": { "containers": containers }, "status": {} }));
            }
        }
        Ok(json_body(&json!({ "kind": "PodList", "apiVersion": "v1", "metadata": {}, "items": items })))
    }
}

impl hyper::service::Service<Request<Incoming>> for KubeletApi {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move { Ok(api.answer(request).await) })
    }
}

fn runtime_failure(error: cri::Error) -> Refusal {
    let status = match error {
        cri::Error::NotFound(_) => StatusCode::NOT_FOUND,
        cri::Error::InvalidArgument(_) => StatusCode::BAD_REQUEST,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    Refusal::new(status, error.to_string())
}

fn refuse(refusal: &Refusal) -> Response<Body> {
    text(refusal.status, &refusal.message)
}

fn full(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed_unsync()
}

fn text(status: StatusCode, message: &str) -> Response<Body> {
    let mut response = Response::new(full(message.to_owned()));
    *response.status_mut() = status;
    let plain = header::HeaderValue::from_static("text/plain; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, plain);
    response
}

fn json_body(value: &serde_json::Value) -> Response<Body> {
    with_type(full(value.to_string()), "application/json")
}

fn with_type(body: Body, content_type: &'static str) -> Response<Body> {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    response
}

fn is_read(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
