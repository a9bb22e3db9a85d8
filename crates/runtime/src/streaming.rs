//! The streaming server: exec, attach and port-forward sessions over an HTTP/1.1 connection that becomes a WebSocket or
//! SPDY.
//!
//! Flow: a CRI call leaves a [`Target`] under a secret token and returns a URL; whoever dials that URL within a minute
//! gets a byte stream, over which one client request is served. Everything stays inside the process.
//!
//! ```text
//! handshake     which protocol                      process        what exec and attach connect to
//! session       exec and attach in channels         spdy_command   the same in streams
//! port_forward  a Pod's ports in streams            port_channels  the same in channels
//! codec         frames as WebSocket messages        tunnel         bytes inside WebSocket messages
//! ```

mod channel;
mod codec;
mod handshake;
mod port_channels;
mod port_forward;
mod process;
mod session;
mod spdy_command;
#[cfg(test)]
mod tests;
mod tunnel;

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use platform::random::SharedRandom;
use platform::tasks::{self, TaskKind};
use tokio::io::DuplexStream;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;

use crate::runtime::Shared;
use crate::sandbox::Sandbox;
use crate::shim::protocol::Streams;
use handshake::{Protocol, Service, Upgrade};
pub use process::Process;
use session::Spoken;

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
    /// A process.
    Process {
        /// Which.
        process: Process,
        /// What the client wants to see.
        streams: Streams,
    },
    /// Ports of a Pod.
    Ports {
        /// Where.
        sandbox: Arc<Sandbox>,
        /// Which, for clients that do not say with each connection.
        ports: Vec<u16>,
    },
}

impl Target {
    fn service(&self) -> Service {
        match self {
            Self::Process { .. } => Service::Command,
            Self::Ports { .. } => Service::PortForward,
        }
    }
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
    let upgrade = match Upgrade::accept(request.headers(), target.service()) {
        Ok(upgrade) => upgrade,
        Err(words) => return refuse(StatusCode::BAD_REQUEST, &format!("unable to upgrade: {words}")),
    };
    if let (Target::Ports { ports, .. }, Protocol::PortChannels(_)) = (&target, upgrade.protocol)
        && !(1..=port_channels::MAX_PORTS).contains(&ports.len())
    {
        return refuse(StatusCode::BAD_REQUEST, "query parameter \"port\" is required, at most 64 times");
    }
    let (response, protocol, shared) = (upgrade.response(), upgrade.protocol, shared.clone());
    tasks::spawn(TaskKind::Worker, "streaming session", async move {
        match hyper::upgrade::on(request).await {
            Ok(connection) => run(TokioIo::new(connection), protocol, &shared, target).await,
            Err(error) => tracing::debug!(%error, "connection was not upgraded"),
        }
    });
    response
}

async fn run(connection: TokioIo<Upgraded>, protocol: Protocol, shared: &Shared, target: Target) {
    match (target, protocol) {
        (Target::Process { process, streams }, Protocol::Channels(version, codec)) => {
            session::run(connection, Spoken { version, codec }, shared, process, streams).await;
        }
        (Target::Process { process, streams }, _) => spdy_command::run(connection, shared, process, streams).await,
        (Target::Ports { sandbox, ports }, Protocol::PortChannels(codec)) => {
            port_channels::run(connection, codec, sandbox, ports).await;
        }
        (Target::Ports { sandbox, .. }, Protocol::TunnelledPortForward) => {
            port_forward::run(tunnel::open(connection).await, sandbox).await;
        }
        (Target::Ports { sandbox, .. }, _) => port_forward::run(connection, sandbox).await,
    }
}

fn refuse(status: StatusCode, words: &str) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{words}\n"))));
    *response.status_mut() = status;
    response
}
