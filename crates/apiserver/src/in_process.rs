//! The way in for components of this process: a `tower` service instead of a socket.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderValue;
use http::header::USER_AGENT;

use crate::api_server::Server;
use crate::authentication::Peer;
use crate::body::BodyError;
use crate::filters;
use crate::identity::UserInfo;
use crate::request::Response;

/// A service that answers HTTP requests as one user. Usable as the transport of a `kube::Client`.
#[derive(Clone)]
pub struct InProcess {
    server: Arc<Server>,
    peer: Peer,
    agent: HeaderValue,
}

impl InProcess {
    pub(crate) fn new(server: Arc<Server>, user: UserInfo) -> Self {
        let agent = HeaderValue::from_str(agent(&user.name)).unwrap_or(HeaderValue::from_static(""));
        Self { server, peer: Peer::Known(Arc::new(user)), agent }
    }
}

/// How upstream's component with that identity names itself: field managers bear these names.
fn agent(user: &str) -> &str {
    match user.strip_prefix("system:") {
        Some("apiserver") => "kube-apiserver",
        Some(name) if name.starts_with("node:") => "kubelet",
        Some(name) if name.starts_with("serviceaccount:kube-system:") => "kube-controller-manager",
        Some(name) => name,
        None => user,
    }
}

impl<B> tower::Service<http::Request<B>> for InProcess
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BodyError>,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        request.headers_mut().entry(USER_AGENT).or_insert_with(|| self.agent.clone());
        let (server, peer) = (Arc::clone(&self.server), self.peer.clone());
        Box::pin(async move { Ok(filters::answer(&server, &peer, request).await) })
    }
}
