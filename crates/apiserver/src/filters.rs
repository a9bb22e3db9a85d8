//! What happens to every request, in this order: identification of what it is about, authentication, the audit log,
//! impersonation, a place among so many requests at a time, authorization, a deadline, the handler behind a panic
//! boundary, and the finish of the response.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::FutureExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName};
use http::{HeaderValue, Method, StatusCode};
use http_body_util::Full;
use tracing::{debug, error};

use crate::api_server::Server;
use crate::audit::{Annotations, Asked, Record, RemoteAddress};
use crate::authentication::{self, Peer};
use crate::authorization;
use crate::body::{Body, BodyError, RequestBody, read_all};
use crate::error::Error;
use crate::flow_control::Flow;
use crate::handlers;
use crate::identity::UserInfo;
use crate::negotiate;
use crate::query::{Query, decode_path};
use crate::registry::deprecated;
use crate::request::{Request, Response};
use crate::status::Status;

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
    let mut told = Told { remote: parts.extensions.remove(), ..Told::default() };
    let query = Query::parse(parts.uri.query().unwrap_or_default());
    let path = decode_path(parts.uri.path());
    let request = Request {
        info: RequestInfo::parse(&parts.method, &path, &query),
        upgrade: parts.extensions.remove(),
        method: parts.method,
        uri: parts.uri,
        headers: parts.headers,
        query,
        user: UserInfo::default(),
        body: RequestBody::new(body),
        annotations: Annotations::default(),
    };
    let audit_id = audit_id(server, &request);
    if server.audit.is_some() {
        told.audit_id = audit_id.to_str().unwrap_or_default().to_owned();
    }
    let accept_encoding = request.headers.get(http::header::ACCEPT_ENCODING).cloned();
    let compressible = request.method == Method::GET && !request.info.is_long_running();
    let errors = negotiate::ErrorFormat::of(&request);
    let observed = Observed::new(&request);
    let deprecation = request.info.resource.as_ref().and_then(deprecated::warning);
    let outcome = AssertUnwindSafe(chain(server, peer, request, &mut told)).catch_unwind().await;
    let outcome = outcome.unwrap_or_else(|_| {
        error!(path, "a handler panicked");
        if let Some(record) = &mut told.record {
            record.panicked();
        }
        Err(Error::Internal("this request caused apiserver to panic; look in the logs for details".to_owned()))
    });
    let status = told.record.as_ref().and(outcome.as_ref().err()).map(Status::from);
    let mut response = outcome.unwrap_or_else(|error| errors.response(&error));
    if let Some(record) = &mut told.record {
        record.answered(&response, status.as_ref());
    }
    if compressible {
        response = compression::compress(response, accept_encoding.as_ref());
    }
    let deprecation = deprecation.filter(|_| was_handled(response.status()));
    let warnings = told.warning.into_iter().chain(deprecation).map(str::to_owned).collect();
    handlers::add_warnings(&mut response, &Mutex::new(warnings));
    if let Some(flow) = &told.flow {
        limits::sign(flow, response.headers_mut());
    }
    finish(&mut response, audit_id);
    observe::answered(observed, told.record, server, response)
}

/// Whether an answer is that of a handler, not of who stands before it.
fn was_handled(status: StatusCode) -> bool {
    !matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::METHOD_NOT_ALLOWED)
}

/// What comes to light of a request on its way, beside its answer.
#[derive(Default)]
struct Told {
    remote: Option<RemoteAddress>,
    audit_id: String,
    record: Option<Record>,
    flow: Option<Arc<Flow>>,
    warning: Option<&'static str>,
}

impl Told {
    /// Begins to tell the audit log of a request, if that is to know.
    fn begin(&mut self, server: &Server, request: &mut Request, user: &UserInfo) {
        let Some(audit) = &server.audit else { return };
        let uri = request.uri.path_and_query().map_or(request.uri.path(), |uri| uri.as_str());
        self.record = audit.begin(
            &server.clock,
            &Asked {
                id: &self.audit_id,
                received: server.now(),
                info: &request.info,
                uri,
                user,
                headers: &request.headers,
                remote: self.remote,
            },
        );
        if let Some(record) = &self.record {
            request.annotations = record.annotations();
        }
    }
}

/// The filters that can refuse a request, then the handler.
async fn chain(server: &Arc<Server>, peer: &Peer, mut request: Request, told: &mut Told) -> Result<Response, Error> {
    let user = match authentication::authenticate(server, peer, &request.headers).await {
        Ok(login) => {
            told.warning = login.warning;
            login.user
        }
        Err(error) => {
            told.begin(server, &mut request, &UserInfo::default());
            return Err(error);
        }
    };
    told.begin(server, &mut request, &user);
    // What was granted or taken away before this request counts for it.
    server.caches.settled().await;
    let as_somebody = impersonation::is_asked_for(&request.headers);
    request.user = impersonation::impersonate(server.authorizer.as_ref(), user, &mut request.headers)?;
    if let Some(record) = told.record.as_mut().filter(|_| as_somebody) {
        record.impersonated(&request.user);
    }
    if request.info.resource.as_ref().and_then(deprecated::warning).is_some() {
        request.annotations.add("k8s.io/deprecated", || "true".to_owned());
    }
    let longest = server.limits.request_timeout;
    let limit = deadline::limit(&request, longest)?;
    let admitted = match limits::admit(server, &request, limit.unwrap_or(longest), &mut told.flow).await {
        Ok(admitted) => admitted,
        Err(refusal) => return Ok(refusal),
    };
    let outcome = authorized(server, request, limit, &mut told.record).await;
    drop(admitted);
    outcome
}

/// What is left for a request that may take up room: is it allowed, and if so, done in time?
async fn authorized(
    server: &Arc<Server>,
    request: Request,
    limit: Option<Duration>,
    record: &mut Option<Record>,
) -> Result<Response, Error> {
    authorization::check(server.authorizer.as_ref(), &request.user, &request.info, &request.annotations)?;
    debug!(user = request.user.name, verb = request.info.verb, path = request.info.path, "request");
    let handled = async {
        let request = match record {
            Some(record) if record.wants_request(&request) => with_body_told(record, request).await?,
            _ => request,
        };
        handlers::handle(server, request).await
    };
    let Some(limit) = limit else { return handled.await };
    match tokio::time::timeout(limit, handled).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Timeout("request did not complete within the allotted timeout".to_owned())),
    }
}

/// Reads the body for the audit log, and leaves it to be read again.
async fn with_body_told(record: &mut Record, mut request: Request) -> Result<Request, Error> {
    let body = read_all(std::mem::take(&mut request.body)).await?;
    record.request(&body, request.header(&CONTENT_TYPE).unwrap_or_default());
    request.body = RequestBody::new(Full::new(body));
    Ok(request)
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
