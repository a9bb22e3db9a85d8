//! From TLS connections to requests: one accept loop, one task per connection, a graceful end.

use std::convert::Infallible;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use hyper::rt::Executor;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use platform::tasks::{self, TaskKind};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{debug, warn};

use crate::api_server::Server;
use crate::audit::RemoteAddress;
use crate::authentication::{Peer, user_of_certificate};
use crate::filters;

mod ending;
pub mod tls;

/// So many connections are served at a time; more wait to be accepted.
const MAX_CONNECTIONS: usize = 4096;
/// A client gets so long for its handshake, and for the header of its next request.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
const IDLE_TIMEOUT: Duration = Duration::from_secs(90);
/// Requests get so long to finish when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// So long late requests are told to come again.
const REFUSAL_TIME: Duration = Duration::from_secs(1);
/// The longest header of a request.
const MAX_HEADER_BYTES: u32 = 256 * 1024;
/// Unread data one stream, and one connection, may have.
const STREAM_WINDOW_BYTES: u32 = 256 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
/// Requests one HTTP/2 connection may have open, as upstream's.
const MAX_STREAMS: u32 = 1000;
/// A response part that waits for a slow reader may be so large.
const MAX_SEND_BUFFER_BYTES: usize = 512 * 1024;
/// After an error of the listener, such as no free descriptors, the next attempt waits.
const ACCEPT_RETRY: Duration = Duration::from_millis(50);

/// Serves until cancelled, and for a while longer if it shall; then drains.
pub async fn serve(
    server: Arc<Server>,
    listener: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    cancel: CancellationToken,
) {
    let door = Door {
        acceptor: TlsAcceptor::from(tls),
        slots: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
        connections: TaskTracker::new(),
        closing: CancellationToken::new(),
        server,
        listener,
    };
    cancel.run_until_cancelled(door.accept()).await;
    let server = Arc::clone(&door.server);
    server.stopping.store(true, Ordering::Relaxed);
    _ = tokio::time::timeout(server.limits.shutdown_delay, door.accept()).await;
    if server.limits.shutdown_send_retry_after {
        server.refusing.store(true, Ordering::Relaxed);
        _ = tokio::time::timeout(REFUSAL_TIME, door.accept()).await;
    }
    let Door { connections, closing, listener, .. } = door;
    drop(listener);
    closing.cancel();
    connections.close();
    if tokio::time::timeout(DRAIN_TIMEOUT, connections.wait()).await.is_err() {
        debug!("connections were still open when the server stopped");
    }
}

/// Where connections come in.
struct Door {
    server: Arc<Server>,
    listener: TcpListener,
    acceptor: TlsAcceptor,
    slots: Arc<Semaphore>,
    connections: TaskTracker,
    /// Asks connections to end.
    closing: CancellationToken,
}

impl Door {
    /// Takes connections in, for ever.
    async fn accept(&self) -> Infallible {
        loop {
            let Ok(slot) = Arc::clone(&self.slots).acquire_owned().await else { return std::future::pending().await };
            let tcp = match self.listener.accept().await {
                Ok((tcp, _)) => tcp,
                Err(error) => {
                    warn!(%error, "accepting a connection");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let connection = connect(Arc::clone(&self.server), self.acceptor.clone(), tcp, self.closing.clone());
            tasks::spawn(
                TaskKind::Worker,
                "connection",
                self.connections.track_future(async move {
                    connection.await;
                    drop(slot);
                }),
            );
        }
    }
}

/// Handshakes, then serves one connection.
async fn connect(server: Arc<Server>, acceptor: TlsAcceptor, tcp: TcpStream, cancel: CancellationToken) {
    if let Err(error) = tcp.set_nodelay(true) {
        debug!(%error, "setting TCP_NODELAY");
    }
    let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return debug!(%error, "TLS handshake"),
        Err(_) => return debug!("TLS handshake timed out"),
    };
    let (_, session) = stream.get_ref();
    let certificate = session.peer_certificates().and_then(|chain| chain.first());
    let user = certificate.and_then(|certificate| user_of_certificate(certificate));
    let peer = user.map_or(Peer::Unknown, |user| Peer::Known(Arc::new(user)));
    let h2 = session.alpn_protocol() == Some(tls::H2);
    let remote = stream.get_ref().0.peer_addr().ok().filter(|_| server.audit.is_some());
    let go_away = CancellationToken::new();
    let end = go_away.clone();
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        let (server, peer) = (Arc::clone(&server), peer.clone());
        if let Some(remote) = remote {
            request.extensions_mut().insert(RemoteAddress(remote.ip().to_canonical()));
        }
        let is_late = server.refusing.load(Ordering::Relaxed) && !ending::is_exempt(request.uri().path());
        if is_late || (h2 && ending::says_go_away(server.limits.goaway_chance, server.random.as_ref())) {
            end.cancel();
        }
        async move {
            if is_late {
                return Ok::<_, Infallible>(ending::refusal());
            }
            Ok(filters::answer(&server, &peer, request).await)
        }
    });
    let io = TokioIo::new(stream);
    let outcome = if h2 {
        let connection = http2::Builder::new(Spawner)
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW_BYTES)
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADER_BYTES)
            .max_send_buf_size(MAX_SEND_BUFFER_BYTES)
            .serve_connection(io, service);
        drive(connection, |connection| connection.graceful_shutdown(), &cancel, &go_away).await
    } else {
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_buf_size(MAX_HEADER_BYTES as usize)
            .serve_connection(io, service)
            .with_upgrades();
        drive(connection, |connection| connection.graceful_shutdown(), &cancel, &go_away).await
    };
    if let Err(error) = outcome {
        debug!(%error, "connection");
    }
}

/// Runs a connection; asks it to end when the server does, or the dice say so.
async fn drive<C: Future<Output = hyper::Result<()>>>(
    connection: C,
    end: impl FnOnce(std::pin::Pin<&mut C>),
    cancel: &CancellationToken,
    go_away: &CancellationToken,
) -> hyper::Result<()> {
    tokio::pin!(connection);
    tokio::select! {
        outcome = &mut connection => return outcome,
        () = cancel.cancelled() => {}
        () = go_away.cancelled() => {}
    }
    end(connection.as_mut());
    connection.await
}

/// Runs the tasks of HTTP/2 streams.
#[derive(Clone)]
struct Spawner;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, future: F) {
        tasks::spawn(TaskKind::Worker, "http2 stream", future);
    }
}
