//! Making calls.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, FutureExt as _};
use futures::stream::{self, StreamExt as _};
use http::{HeaderValue, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper::rt::Executor;
use hyper_util::rt::{TokioIo, TokioTimer};
use platform::tasks::{self, TaskKind};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tracing::debug;

use crate::MAX_MESSAGE_BYTES;
use crate::frame::{self, Reader};
use crate::server::Messages;
use crate::socket;
use crate::status::{Code, Status};

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// On a unix socket.
    Unix(PathBuf),
    /// On a TCP port, in the clear.
    Tcp(SocketAddr),
}

/// Bytes both ways.
pub trait ByteStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> ByteStream for S {}

/// Opens connections to a server; what it displays stands in errors.
pub trait Connector: fmt::Debug + fmt::Display + Send + Sync {
    /// Opens one.
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>>;
}

impl Connector for Endpoint {
    fn connect(&self) -> BoxFuture<'_, io::Result<Box<dyn ByteStream>>> {
        async move {
            Ok(match self {
                Self::Unix(path) => Box::new(socket::connect(path).await?) as Box<dyn ByteStream>,
                Self::Tcp(address) => Box::new(TcpStream::connect(address).await?),
            })
        }
        .boxed()
    }
}

/// How a channel is used.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// The largest message taken or sent.
    pub max_message_bytes: usize,
    /// How often to ask, while calls are under way, whether the other side is still there. Servers may take offence.
    pub keep_alive: Option<Duration>,
}

impl Default for Options {
    fn default() -> Self {
        Self { max_message_bytes: MAX_MESSAGE_BYTES, keep_alive: None }
    }
}

/// A way to a server: connects with the first call, and again after the connection was lost. Calls share the
/// connection and run side by side.
#[derive(Debug)]
pub struct Channel {
    connector: Box<dyn Connector>,
    options: Options,
    connection: Mutex<Option<SendRequest<Full<Bytes>>>>,
}

impl Channel {
    /// A way to a server; nothing is connected yet.
    pub fn new(endpoint: Endpoint) -> Self {
        Self::over(endpoint, Options::default())
    }

    /// A way to a server over connections that somebody else opens; nothing is connected yet.
    pub fn over(connector: impl Connector + 'static, options: Options) -> Self {
        Self { connector: Box::new(connector), options, connection: Mutex::default() }
    }

    /// Calls a method that answers with one message.
    ///
    /// # Errors
    /// What the server answers; `Unavailable` when it cannot be reached, `DeadlineExceeded` after `timeout`.
    pub async fn unary<Q: Message, A: Message + Default>(
        &self,
        path: &'static str,
        request: &Q,
        timeout: Option<Duration>,
    ) -> Result<A, Status> {
        let call = async {
            let mut reader = self.call(path, request, timeout).await?;
            let message = reader.next().await?;
            if reader.next::<A>().await?.is_some() {
                return Err(Status::new(Code::Internal, format!("{path} answered with more than one message")));
            }
            end_of(&reader)?;
            message.ok_or_else(|| Status::new(Code::Internal, format!("{path} answered without a message")))
        };
        match timeout {
            Some(timeout) => tokio::time::timeout(timeout, call)
                .await
                .unwrap_or_else(|_| Err(Status::new(Code::DeadlineExceeded, "context deadline exceeded"))),
            None => call.await,
        }
    }

    /// Calls a method that answers with a stream of messages. Dropping the stream ends the call.
    ///
    /// # Errors
    /// What the server answers at once; a later failure is the stream's last item.
    pub async fn server_stream<Q: Message, A: Message + Default + 'static>(
        &self,
        path: &'static str,
        request: &Q,
    ) -> Result<Messages<A>, Status> {
        let reader = self.call(path, request, None).await?;
        let messages = stream::unfold(Some(reader), |reader| async {
            let mut reader = reader?;
            match reader.next().await {
                Ok(Some(message)) => Some((Ok(message), Some(reader))),
                Ok(None) => end_of(&reader).err().map(|status| (Err(status), None)),
                Err(status) => Some((Err(status), None)),
            }
        });
        Ok(messages.boxed())
    }

    async fn call(
        &self,
        path: &'static str,
        message: &impl Message,
        timeout: Option<Duration>,
    ) -> Result<Reader<Incoming>, Status> {
        let request = request(path, frame::encode(message, self.options.max_message_bytes)?, timeout);
        let unavailable = |error| Status::new(Code::Unavailable, format!("connection error: {error}"));
        let response = self.connected().await?.send_request(request).await.map_err(unavailable)?;
        reader(response, self.options.max_message_bytes)
    }

    /// The connection, made anew if it is gone.
    async fn connected(&self) -> Result<SendRequest<Full<Bytes>>, Status> {
        let mut connection = self.connection.lock().await;
        if let Some(sender) = connection.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let sender = self.connect().await?;
        Ok(connection.insert(sender).clone())
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, Status> {
        let failed = |error: &dyn fmt::Display| {
            Status::new(Code::Unavailable, format!("connection error: dial {}: {error}", self.connector))
        };
        let stream = self.connector.connect().await.map_err(|error| failed(&error))?;
        handshake(stream, self.options).await.map_err(|error| failed(&error))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(formatter, "unix {}", path.display()),
            Self::Tcp(address) => write!(formatter, "tcp {address}"),
        }
    }
}

async fn handshake(stream: Box<dyn ByteStream>, options: Options) -> hyper::Result<SendRequest<Full<Bytes>>> {
    let mut builder = http2::Builder::new(Spawner);
    builder.timer(TokioTimer::new()).keep_alive_interval(options.keep_alive);
    let (sender, connection) = builder.handshake(TokioIo::new(stream)).await?;
    tasks::spawn(TaskKind::Worker, "grpc connection", async move {
        if let Err(error) = connection.await {
            debug!(%error, "connection");
        }
    });
    Ok(sender)
}

fn request(path: &'static str, frame: Bytes, timeout: Option<Duration>) -> Request<Full<Bytes>> {
    let mut request = Request::post(format!("http://localhost{path}"))
        .header(header::CONTENT_TYPE, "application/grpc")
        .header(header::TE, "trailers")
        .body(Full::new(frame))
        .expect("methods are paths");
    if let Some(timeout) = timeout {
        // At most eight digits: a day and more in milliseconds.
        let milliseconds = timeout.as_millis().min(99_999_999);
        let value = HeaderValue::from_str(&format!("{milliseconds}m")).expect("digits and a letter");
        request.headers_mut().insert("grpc-timeout", value);
    }
    request
}

/// The answer's messages, unless its headers tell of a failure.
fn reader(response: Response<Incoming>, max_message_bytes: usize) -> Result<Reader<Incoming>, Status> {
    if let Some(outcome) = Status::from_headers(response.headers()) {
        outcome?;
    } else if response.status() != StatusCode::OK {
        let words = format!("unexpected HTTP status code received from server: {}", response.status());
        return Err(Status::new(Code::Unavailable, words));
    }
    Ok(Reader::new(response.into_body(), max_message_bytes))
}

/// The outcome after the last message.
fn end_of(reader: &Reader<Incoming>) -> Result<(), Status> {
    match reader.trailers().and_then(Status::from_headers) {
        Some(outcome) => outcome,
        None => Err(Status::new(Code::Internal, "server closed the stream without sending trailers")),
    }
}

/// Runs the tasks of HTTP/2 connections.
#[derive(Debug, Clone)]
pub(crate) struct Spawner;

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawner {
    fn execute(&self, future: F) {
        tasks::spawn(TaskKind::Worker, "http2 stream", future);
    }
}
