//! A request as handlers see it, and their response.

use http::{HeaderMap, Method, Uri};

use crate::audit::Annotations;
use crate::body::{Body, RequestBody};
use crate::filters::request_info::RequestInfo;
use crate::identity::UserInfo;
use crate::query::Query;

/// What handlers answer.
pub type Response = http::Response<Body>;

/// A request that has passed the filters.
pub struct Request {
    /// Method.
    pub method: Method,
    /// The URL, for forwarding.
    pub uri: Uri,
    /// Headers.
    pub headers: HeaderMap,
    /// What it is about.
    pub info: RequestInfo,
    /// URL parameters.
    pub query: Query,
    /// Who makes it.
    pub user: UserInfo,
    /// Its body, not read yet.
    pub body: RequestBody,
    /// What the audit log is to tell beyond who asked for what.
    pub annotations: Annotations,
    /// The connection, for protocols that take it over.
    pub upgrade: Option<hyper::upgrade::OnUpgrade>,
}

impl Request {
    /// A header as text.
    pub fn header(&self, name: &http::header::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }
}
