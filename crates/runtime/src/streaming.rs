//! The streaming server: exec and attach sessions over an HTTP/1.1 connection that becomes a WebSocket.
//!
//! Flow: a CRI call leaves a [`Target`] under a secret token and returns a URL; whoever dials that URL within a minute
//! gets a byte stream, over which one client request is served. Everything stays inside the process.

mod channel;
mod handshake;
mod session;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use platform::random::SharedRandom;
use platform::tasks::{self, TaskKind};
use tokio::io::DuplexStream;
use tokio::time::Instant;

use crate::container::Container;
use crate::runtime::Shared;
use crate::shim::protocol::Streams;
use handshake::Upgrade;

/// How long a URL is good for.
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);
/// How many sessions may wait to be dialled.
const MAX_WAITING: usize = 1000;
/// How many bytes a connection holds in each direction.
const CONNECTION_BUFFER: usize = 64 * 1024;
/// What URLs start with; nobody but this server understands them.
const URL_PREFIX: &str = "http://isopod-streaming/";

/// What a session is to be connected to.
pub enum Target {
    /// A new process in a container.
    Exec {
        /// Which container.
        container: Arc<Container>,
        /// Program and arguments.
        argv: Vec<String>,
        /// On a terminal.
        tty: bool,
        /// What the client wants to see.
        streams: Streams,
    },
    /// The container's first process.
    Attach {
        /// Which container.
        container: Arc<Container>,
        /// What the client wants to see.
        streams: Streams,
    },
}

/// Sessions that wait for their client.
pub struct StreamingServer {
    random: SharedRandom,
    waiting: Mutex<HashMap<String, (Instant, Target)>>,
}

impl StreamingServer {
    /// Nobody waits yet.
    pub fn new(random: SharedRandom) -> Arc<Self> {
        Arc::new(Self { random, waiting: Mutex::default() })
    }

    /// Keeps a target for one client; returns the URL to reach it.
    pub fn prepare(&self, target: Target) -> String {
        let token = format!("{:016x}{:016x}", self.random.bits(), self.random.bits());
        let mut waiting = self.waiting();
        waiting.retain(|_, (since, _)| since.elapsed() < TOKEN_LIFETIME);
        if waiting.len() >= MAX_WAITING {
            // The oldest gives way, as its client will not come any more.
            let oldest = waiting.iter().min_by_key(|(_, (since, _))| *since).map(|(token, _)| token.clone());
            oldest.and_then(|token| waiting.remove(&token));
        }
        waiting.insert(token.clone(), (Instant::now(), target));
        format!("{URL_PREFIX}{token}")
    }

    /// Connects a client. A URL that is not good is answered on the connection, in HTTP.
    pub fn dial(self: &Arc<Self>, shared: &Arc<Shared>, url: &str) -> Box<DuplexStream> {
        let (near, far) = tokio::io::duplex(CONNECTION_BUFFER);
        let token = url.strip_prefix(URL_PREFIX).and_then(|rest| rest.split(['?', '/']).next()).unwrap_or_default();
        let target = self.waiting().remove(token);
        let target = target.filter(|(since, _)| since.elapsed() < TOKEN_LIFETIME).map(|(_, target)| target);
        let shared = shared.clone();
        tasks::spawn(TaskKind::Worker, "streaming session", serve(far, shared, target));
        Box::new(near)
    }

    fn waiting(&self) -> MutexGuard<'_, HashMap<String, (Instant, Target)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves one connection: its first request takes the target.
async fn serve(connection: DuplexStream, shared: Arc<Shared>, target: Option<Target>) {
    let target = Mutex::new(target);
    let service = service_fn(|request| {
        let target = target.lock().unwrap_or_else(PoisonError::into_inner).take();
        let response = answer(request, &shared, target);
        async move { Ok::<_, Infallible>(response) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "streaming connection ended");
    }
}

fn answer(request: Request<Incoming>, shared: &Arc<Shared>, target: Option<Target>) -> Response<Full<Bytes>> {
    let Some(target) = target else {
        return refuse(StatusCode::NOT_FOUND, "no such session: it was used before or has expired");
    };
    let upgrade = match Upgrade::accept(request.headers()) {
        Ok(upgrade) => upgrade,
        Err(words) => return refuse(StatusCode::BAD_REQUEST, &format!("unable to upgrade: {words}")),
    };
    let (response, version, shared) = (upgrade.response(), upgrade.version, shared.clone());
    tasks::spawn(TaskKind::Worker, "streaming session", async move {
        match hyper::upgrade::on(request).await {
            Ok(connection) => session::run(TokioIo::new(connection), version, &shared, target).await,
            Err(error) => tracing::debug!(%error, "connection was not upgraded"),
        }
    });
    response
}

fn refuse(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{words}\n"))));
    *response.status_mut() = status;
    response
}
