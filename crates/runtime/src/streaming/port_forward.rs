//! Port forwarding: for each connection the client opens a stream for data and one for what goes wrong, which name the
//! port and belong together by a number.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream as BlockingTcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::Duration;

use platform::tasks::{self, TaskKind};
use spdy::{Session, Stream, StreamReader, StreamWriter};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::time::Instant;

use crate::image::blocking::blocking;
use crate::sandbox::Sandbox;
use crate::shim::protocol::{Answer, Call};

/// How long a stream waits for its companion.
const PAIR_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a port in the Pod may take to answer.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How much travels at once.
const CHUNK: usize = 32 * 1024;

/// Serves a client until it leaves.
pub async fn run<T>(connection: T, sandbox: Arc<Sandbox>)
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut session = Session::serve(connection);
    let mut halves: HashMap<String, (Instant, Half)> = HashMap::new();
    while let Some(stream) = session.accept().await {
        halves.retain(|_, (since, _)| since.elapsed() < PAIR_TIMEOUT);
        let Some((request, half)) = Half::of(stream) else {
            tracing::debug!("stream that is neither data nor error");
            continue;
        };
        match (halves.remove(&request), half) {
            (Some((_, Half::Error(error))), Half::Data { port, stream })
            | (Some((_, Half::Data { port, stream })), Half::Error(error)) => {
                let sandbox = sandbox.clone();
                tasks::spawn(TaskKind::Worker, "port forward", async move {
                    forward(&sandbox, port, stream, error).await;
                });
            }
            (_, half) => {
                halves.insert(request, (Instant::now(), half));
            }
        }
    }
}

/// One of the two streams of a connection.
enum Half {
    Data { port: String, stream: Stream },
    Error(StreamWriter),
}

impl Half {
    /// Which connection the stream belongs to, and as what.
    fn of(stream: Stream) -> Option<(String, Self)> {
        let header = |name: &str| stream.headers.get(name).unwrap_or_default().to_owned();
        let (port, request) = (header("port"), header("requestid"));
        match stream.headers.get("streamtype")?.to_lowercase().as_str() {
            "data" => Some((request, Self::Data { port, stream })),
            "error" => Some((request, Self::Error(stream.writer))),
            _ => None,
        }
    }
}

async fn forward(sandbox: &Sandbox, port: String, stream: Stream, error: StreamWriter) {
    let Stream { reader, writer, .. } = stream;
    let connected = match port.parse::<u16>() {
        Ok(number) if number > 0 => connect(sandbox, number).await,
        _ => Err(format!("{port:?} is not a valid port")),
    };
    match connected {
        Ok(connection) => copy(connection, reader, writer).await,
        Err(words) => {
            let words = failure(&port, sandbox, &words);
            // A client that has left does not want to know.
            let _ = error.write(words.into()).await;
            writer.finish().await;
        }
    }
    error.finish().await;
}

/// What a client is told of a port that cannot be had.
pub fn failure(port: &dyn std::fmt::Display, sandbox: &Sandbox, words: &str) -> String {
    format!("error forwarding port {port} to pod {}, uid : {words}", sandbox.id())
}

/// Connects to a port of the Pod's loopback, IPv4 first.
///
/// # Errors
/// Why it cannot, in words for the client.
pub async fn connect(sandbox: &Sandbox, port: u16) -> Result<TcpStream, String> {
    let id = sandbox.id();
    let failed = |words: String| format!("failed to execute portforward in network namespace {id:?}: {words}");
    let namespace = network_of(sandbox).await.map_err(&failed)?;
    let attempts = blocking(move || {
        linux::netns::run_in(namespace.as_fd(), || {
            let addresses = [IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)];
            dial(addresses[0], port).or_else(|v4| dial(addresses[1], port).map_err(|v6| (v4, v6)))
        })
    });
    let connection = match attempts.await {
        Ok(Ok(connection)) => connection,
        Ok(Err((v4, v6))) => {
            let words = format!("failed to connect to localhost:{port} inside namespace {id:?}, IPv4: {v4} IPv6 {v6}");
            return Err(failed(words));
        }
        Err(error) => return Err(failed(error.to_string())),
    };
    let connection = connection.set_nonblocking(true).and_then(|()| TcpStream::from_std(connection));
    connection.map_err(|error| failed(error.to_string()))
}

/// The words of the one who tried in vain are those of Go's dialer.
fn dial(address: IpAddr, port: u16) -> Result<BlockingTcpStream, String> {
    let address = SocketAddr::new(address, port);
    let family = if address.is_ipv4() { "tcp4" } else { "tcp6" };
    BlockingTcpStream::connect_timeout(&address, CONNECT_TIMEOUT).map_err(|error| {
        let words = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connect: connection refused".to_owned(),
            io::ErrorKind::TimedOut => "i/o timeout".to_owned(),
            _ => format!("connect: {error}"),
        };
        format!("dial {family} {address}: {words}")
    })
}

async fn network_of(sandbox: &Sandbox) -> Result<OwnedFd, String> {
    let shim = sandbox.shim().ok_or("the sandbox is not running")?;
    match shim.call(Call::Status, Vec::new()).await {
        Ok((Answer::Status { .. }, mut files)) => files.pop().ok_or_else(|| "the sandbox has ended".to_owned()),
        Ok(_) => Err("unexpected answer from shim".to_owned()),
        Err(error) => Err(cri::Error::from(error).to_string()),
    }
}

/// Copies both ways until the Pod's side has said all. A client may end its side before.
async fn copy(connection: TcpStream, reader: StreamReader, writer: StreamWriter) {
    let (from_pod, to_pod) = connection.into_split();
    let sending = tasks::spawn(TaskKind::Worker, "port forward to Pod", send(reader, to_pod));
    receive(from_pod, writer).await;
    // Nobody listens in the Pod any more.
    sending.abort();
}

async fn send(mut from: StreamReader, mut to: OwnedWriteHalf) {
    while let Some(chunk) = from.read().await {
        if to.write_all(&chunk).await.is_err() {
            return;
        }
    }
    // The Pod sees the end; one that has closed already does not need to.
    let _ = to.shutdown().await;
}

async fn receive(mut from: OwnedReadHalf, to: StreamWriter) {
    let mut buffer = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if to.write(buffer[..length].to_vec().into()).await.is_err() {
            return;
        }
    }
    to.finish().await;
}
