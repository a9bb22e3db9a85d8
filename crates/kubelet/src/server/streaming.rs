//! Handing a session over to the runtime: the request goes on as it came, and once both sides have switched protocols
//! bytes are copied. Nothing here knows what they mean.

use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use platform::tasks::{TaskKind, spawn};
use tracing::debug;

use super::{Body, Refusal, runtime_failure};

/// Passes an upgrade request on to the runtime's streaming server.
pub(super) async fn proxy(
    runtime: &dyn cri::RuntimeService,
    url: &str,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Refusal> {
    let stream = runtime.dial_streaming(url).await.map_err(runtime_failure)?;
    let failed = |error: &dyn std::fmt::Display| {
        Refusal::new(StatusCode::BAD_GATEWAY, format!("the runtime's streaming server: {error}"))
    };
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    spawn(TaskKind::Worker, "streaming connection", async move {
        if let Err(error) = connection.with_upgrades().await {
            debug!(%error, "connection to the streaming server ended");
        }
    });
    let onward = onward_request(&request, url).map_err(|error| failed(&error))?;
    let mut response = sender.send_request(onward).await.map_err(|error| failed(&error))?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        let (parts, body) = response.into_parts();
        return Ok(Response::from_parts(parts, body.map_err(std::io::Error::other).boxed_unsync()));
    }
    let caller = hyper::upgrade::on(&mut request);
    let runtime_side = hyper::upgrade::on(&mut response);
    spawn(TaskKind::Worker, "streaming session", async move {
        let (caller, runtime_side) = match tokio::try_join!(caller, runtime_side) {
            Ok(both) => both,
            Err(error) => return debug!(%error, "a side did not switch protocols"),
        };
        let outcome = tokio::io::copy_bidirectional(&mut TokioIo::new(caller), &mut TokioIo::new(runtime_side)).await;
        debug!(?outcome, "streaming session ended");
    });
    let mut answer = Response::new(super::full(""));
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.headers_mut() = response.headers().clone();
    Ok(answer)
}

fn onward_request(request: &Request<Incoming>, url: &str) -> Result<Request<Empty<bytes::Bytes>>, http::Error> {
    let uri: http::Uri = url.parse()?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let mut onward = Request::builder().method(request.method()).uri(path).body(Empty::new())?;
    *onward.headers_mut() = request.headers().clone();
    let host = uri.authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    onward.headers_mut().insert(header::HOST, host.unwrap_or(HeaderValue::from_static("localhost")));
    Ok(onward)
}
