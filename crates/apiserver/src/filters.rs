//! What happens to every request, in this order: identification of what it is about, authentication, impersonation,
//! a place among so many requests at a time, authorization, a deadline, the handler behind a panic boundary, and the finish of the response.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use http::header::{CACHE_CONTROL, HeaderName};
use http::{HeaderValue, Method};
use tracing::{debug, error};

use crate::api_server::Server;
use crate::authentication::{self, Peer};
use crate::authorization;
use crate::body::{Body, BodyError, RequestBody};
use crate::error::Error;
use crate::flow_control::Flow;
use crate::handlers;
use crate::negotiate;
use crate::query::{Query, decode_path};
use crate::registry::deprecated;
use crate::request::{Request, Response};

mod compression;
mod deadline;
mod impersonation;
pub mod limits;
mod observe;
pub mod request_info;

use observe::Observed;
use request_info::RequestInfo;

const AUDIT_ID: HeaderName = HeaderName::from_static("audit-id");

/// Answers one request, whatever transport it came by. Never fails: errors become `Status` responses.
pub async fn answer<B>(server: &Arc<Server>, peer: &Peer, request: http::Request<B>) -> Response
where
    B: hyper::body::Body<Data = bytes::Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    let (mut parts, body) = request.into_parts();
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let path = decode_path(parts.uri.path());
    let request = Request {
        info: RequestInfo::parse(&parts.method, &path, &query),
        upgrade: parts.extensions.remove(),
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        query,
        user: crate::identity::UserInfo::default(),
        body: RequestBody::new(body),
    };
    let audit_id = audit_id(server, &request);
    let accept_encoding = request.headers.get(http::header::ACCEPT_ENCODING).cloned();
    let compressible = request.method == Method::GET && !request.info.is_long_running();
    let errors = negotiate::ErrorFormat::of(&request);
    let observed = Observed::new(&request);
    let deprecation = request.info.resource.as_ref().and_then(deprecated::warning);
    let mut flow = None;
    let outcome = AssertUnwindSafe(chain(server, peer, request, &mut flow)).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| {
        error!(path, "a handler panicked");
        Err(Error::Internal("the server was not able to answer this request".to_owned()))
    });
    let mut response = outcome.unwrap_or_else(|error| errors.response(&error));
    if compressible {
        response = compression::compress(response, accept_encoding.as_ref());
    }
    if let Some(text) = deprecation {
        handlers::add_warnings(&mut response, &Mutex::new(vec![text.to_owned()]));
    }
    if let Some(flow) = &flow {
        limits::sign(flow, response.headers_mut());
    }
    finish(&mut response, audit_id);
    match observed {
        Some(observed) => observed.answered(server, response),
        None => response,
    }
}

/// The filters that can refuse a request, then the handler.
async fn chain(
    server: &Arc<Server>,
    peer: &Peer,
    mut request: Request,
    flow: &mut Option<Arc<Flow>>,
) -> Result<Response, Error> {
    let user = authentication::authenticate(peer, &request.headers, &server.tokens).await?;
    // What was granted or taken away before this request counts for it.
    server.caches.settled().await;
    request.user = impersonation::impersonate(server.authorizer.as_ref(), user, &request.headers)?;
    let longest = server.limits.request_timeout;
    let limit = deadline::limit(&request, longest)?;
    let admitted = match limits::admit(server, &request, limit.unwrap_or(longest), flow).await {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(refusal),
    };
    let outcome = authorized(server, request, limit).await;
    drop(admitted);
    outcome
}

/// What is left for a request that may take up room: is it allowed, and if so, done in time?
async fn authorized(server: &Arc<Server>, request: Request, limit: Option<Duration>) -> Result<Response, Error> {
    authorization::check(server.authorizer.as_ref(), &request.user, &request.info)?;
    debug!(user = request.user.name, verb = request.info.verb, path = request.info.path, "request");
    let Some(limit) = limit else { return handlers::handle(server, request).await };
    match tokio::time::timeout(limit, handlers::handle(server, request)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Timeout("request did not complete within the allotted timeout".to_owned())),
    }
}

/// The client's id for this request, or a new one.
fn audit_id(server: &Server, request: &Request) -> HeaderValue {
    request.headers.get(AUDIT_ID).cloned().unwrap_or_else(|| {
        HeaderValue::try_from(server.random.uuid()).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
    })
}

fn finish(response: &mut http::Response<Body>, audit_id: HeaderValue) {
    let headers = response.headers_mut();
    headers.insert(AUDIT_ID, audit_id);
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
}
