//! The way in for components of this process: a `tower` service instead of a socket.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;

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
}

impl InProcess {
    pub(crate) fn new(server: Arc<Server>, user: UserInfo) -> Self {
        Self { server, peer: Peer::Known(Arc::new(user)) }
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

    fn call(&mut self, request: http::Request<B>) -> Self::Future {
        let (server, peer) = (Arc::clone(&self.server), self.peer.clone());
        Box::pin(async move { Ok(filters::answer(&server, &peer, request).await) })
    }
}
