//! What a Pod's node answers: logs, exec, attach, port forwarding. After authorization this server is a pipe that speaks
//! HTTP/1.1 to the kubelet and, once both sides have switched protocols, copies bytes and reads none of them.

use api::k8s_openapi::api::core::v1::Pod;
use bytes::Bytes;
use futures::StreamExt;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, HeaderName, UPGRADE};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, BodyStream, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use platform::tasks::{self, TaskKind};
use tracing::debug;

use crate::api_server::Server;
use crate::body::{Body, BodyError};
use crate::error::{Error, GroupResource};
use crate::handlers::Target;
use crate::registry::NodeCall;
use crate::request::{Request, Response};
use crate::websocket::{Messages, WebSocket};

mod container;
mod kubelet_url;
pub mod proxy;
mod service;
pub mod story;

use container::choose_container;

const PODS: GroupResource = GroupResource { group: "", resource: "pods" };
/// So much of a kubelet's error text is passed on.
const MAX_ERROR_BYTES: usize = 4096;
/// The longest document this server reads from a kubelet for itself.
const MAX_DOCUMENT_BYTES: usize = 64 << 20;
/// Headers that are between a client and this server, and no business of a kubelet.
const PRIVATE: [&str; 2] = ["authorization", "cookie"];
const PRIVATE_PREFIX: &str = "impersonate-";

/// How logs come through WebSockets.
const LOG_PROTOCOLS: &[(&str, Messages)] =
    &[("", Messages::Binary), ("binary.k8s.io", Messages::Binary), ("base64.binary.k8s.io", Messages::Base64)];

/// Forwards a request to the node of the Pod in the path.
///
/// # Errors
/// [`Error::NotFound`] for the Pod, [`Error::BadRequest`] for containers it has not, [`Error::Internal`] when the node
/// cannot be reached.
pub async fn forward(target: Target<'_>, call: NodeCall, request: Request) -> Result<Response, Error> {
    let (namespace, name) = (&target.path.namespace, &target.path.name);
    let pod = target.server.typed::<Pod>("pods", namespace, name).await?;
    let pod = pod.ok_or_else(|| Error::not_found(PODS, name))?;
    let container = match call {
        NodeCall::PortForward => String::new(),
        NodeCall::Log | NodeCall::Exec | NodeCall::Attach => choose_container(&pod, request.query.get("container"))?,
    };
    let node = pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()).filter(|node| !node.is_empty());
    let node = match (node, call) {
        (Some(node), _) => node.to_owned(),
        (None, NodeCall::Log) => return no_content(),
        (None, _) => return Err(Error::BadRequest(format!("pod {name} does not have a host assigned"))),
    };
    refuse_completed(&pod, call)?;
    let url = kubelet_url::path(call, namespace, name, &container, &request.query)?;
    debug!(node, url, "forwarding to a kubelet");
    // A kubelet has its logs as plain bytes; the messages of a WebSocket are made of them here.
    let mut request = request;
    let socket = if call == NodeCall::Log { WebSocket::of(&mut request, LOG_PROTOCOLS)? } else { None };
    let stream = target.server.node_dialer.dial(&node).await.map_err(dial_failure)?;
    match exchange(TokioIo::new(stream), &url, &node, request).await? {
        Exchange::Switched(response) => Ok(response),
        Exchange::Answered(_, answer) if call == NodeCall::Log && !answer.status().is_success() => {
            Err(log_refusal(answer).await)
        }
        Exchange::Answered(sender, answer) => {
            let answer = pass_on(sender, answer);
            Ok(match socket {
                Some(socket) => socket.carry(answer.into_body()),
                None => answer,
            })
        }
    }
}

/// A small document of a node's kubelet, read for this server's own use.
///
/// # Errors
/// [`Error::Internal`] when the node cannot be reached or has no such document.
pub async fn fetch(server: &Server, node: &str, path: &str) -> Result<Bytes, Error> {
    let stream = server.node_dialer.dial(node).await.map_err(dial_failure)?;
    let unreachable = |error: hyper::Error| Error::Internal(format!("error dialing backend: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(unreachable)?;
    tasks::spawn(TaskKind::Worker, "kubelet connection", async move {
        if let Err(error) = connection.await {
            debug!(%error, "kubelet connection");
        }
    });
    let request = http::Request::get(path).header(HOST, "node").body(Empty::<Bytes>::new());
    let request = request.map_err(|error| Error::Internal(format!("asking a kubelet: {error}")))?;
    let answer = sender.send_request(request).await.map_err(unreachable)?;
    let code = answer.status();
    let body = Limited::new(answer.into_body(), MAX_DOCUMENT_BYTES).collect().await;
    let body = body.map_err(|error| Error::Internal(format!("reading a kubelet's answer: {error}")))?.to_bytes();
    if code.is_success() { Ok(body) } else { Err(Error::Internal(format!("the kubelet of {node} answered {code}"))) }
}

fn dial_failure(error: std::io::Error) -> Error {
    Error::Internal(format!("error dialing backend: {error}"))
}

/// A Pod that has no node yet has no logs either.
fn no_content() -> Result<Response, Error> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

fn refuse_completed(pod: &Pod, call: NodeCall) -> Result<(), Error> {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or_default();
    let completed = matches!(phase, "Succeeded" | "Failed");
    if completed && matches!(call, NodeCall::Exec | NodeCall::Attach) {
        let text = format!("cannot exec into a container in a completed pod; current phase is {phase}");
        return Err(Error::BadRequest(text));
    }
    Ok(())
}

/// What came of a request that was passed on.
enum Exchange {
    /// Both sides speak another protocol now, and bytes are being copied.
    Switched(Response),
    /// An answer, and what keeps its connection open.
    Answered(SendRequest<Forwarded>, http::Response<Incoming>),
}

/// Body of a request on its way on.
type Forwarded = UnsyncBoxBody<Bytes, BodyError>;

/// Sends the request over a connection to whoever answers it.
async fn exchange<S>(io: TokioIo<S>, url: &str, host: &str, mut request: Request) -> Result<Exchange, Error>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let unreachable = |error: hyper::Error| Error::Internal(format!("error dialing backend: {error}"));
    let (mut sender, connection) = http1::handshake(io).await.map_err(unreachable)?;
    tasks::spawn(TaskKind::Worker, "kubelet connection", async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, "kubelet connection");
        }
    });
    let upgrade = request.upgrade.take();
    let forwarded = outgoing(url, host, &mut request)?;
    let mut answer = sender.send_request(forwarded).await.map_err(unreachable)?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Ok(Exchange::Answered(sender, answer));
    }
    let Some(client) = upgrade else {
        return Err(Error::bad_request("the client did not ask to switch protocols"));
    };
    let kubelet = hyper::upgrade::on(&mut answer);
    tasks::spawn(TaskKind::Worker, "stream to a kubelet", async move { copy(client, kubelet).await });
    let (parts, _) = answer.into_parts();
    Ok(Exchange::Switched(http::Response::from_parts(parts, Body::empty())))
}

/// An answer as this server's own. The connection lives as long as the answer is read.
fn pass_on(sender: SendRequest<Forwarded>, answer: http::Response<Incoming>) -> Response {
    let (mut parts, body) = answer.into_parts();
    parts.headers.remove(CONNECTION);
    let frames = BodyStream::new(body).filter_map(|frame| async move {
        match frame {
            Ok(frame) => frame.into_data().ok().map(Ok),
            Err(error) => Some(Err(BodyError::from(error))),
        }
    });
    let frames = frames.map(move |frame| {
        let _ = &sender;
        frame
    });
    http::Response::from_parts(parts, Body::Stream(frames.boxed()))
}

fn outgoing(url: &str, node: &str, request: &mut Request) -> Result<http::Request<Forwarded>, Error> {
    let body = std::mem::take(&mut request.body).into_inner();
    let mut outgoing = http::Request::builder().method(request.method.clone()).uri(url).body(body);
    if let Ok(outgoing) = &mut outgoing {
        *outgoing.headers_mut() = public_headers(&request.headers);
        let host = HeaderValue::try_from(node).unwrap_or_else(|_| HeaderValue::from_static("node"));
        outgoing.headers_mut().insert(HOST, host);
    }
    outgoing.map_err(|error| Error::BadRequest(format!("this request cannot be forwarded: {error}")))
}

fn public_headers(headers: &HeaderMap) -> HeaderMap {
    let private = |name: &HeaderName| {
        let name = name.as_str();
        PRIVATE.contains(&name) || name.starts_with(PRIVATE_PREFIX) || name == CONTENT_LENGTH.as_str()
    };
    let upgrading = headers.contains_key(UPGRADE);
    let kept = headers.iter().filter(|(name, _)| !private(name) && (upgrading || **name != CONNECTION));
    kept.map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// Copies bytes both ways until one side is done.
async fn copy(client: hyper::upgrade::OnUpgrade, kubelet: hyper::upgrade::OnUpgrade) {
    let (client, kubelet) = match tokio::try_join!(client, kubelet) {
        Ok(both) => both,
        Err(error) => return debug!(%error, "switching protocols"),
    };
    let (mut client, mut kubelet) = (TokioIo::new(client), TokioIo::new(kubelet));
    if let Err(error) = tokio::io::copy_bidirectional(&mut client, &mut kubelet).await {
        debug!(%error, "stream to a kubelet");
    }
}

/// A kubelet's refusal to show logs, as a `Status`.
async fn log_refusal(answer: http::Response<Incoming>) -> Error {
    let code = answer.status();
    let text = match Limited::new(answer.into_body(), MAX_ERROR_BYTES).collect().await {
        Ok(body) => String::from_utf8_lossy(&body.to_bytes()).trim_end().to_owned(),
        Err(error) => format!("reading the kubelet's answer: {error}"),
    };
    match code {
        StatusCode::BAD_REQUEST => Error::BadRequest(text),
        StatusCode::NOT_FOUND => Error::UnknownPath,
        _ => Error::Internal(text),
    }
}
