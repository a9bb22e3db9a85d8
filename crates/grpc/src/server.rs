//! Answering calls.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::FutureExt as _;
use futures::future::BoxFuture;
use futures::stream::{self, BoxStream, StreamExt as _};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use platform::tasks::{self, TaskKind};
use prost::Message;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::MAX_MESSAGE_BYTES;
use crate::authority::Lenient;
use crate::frame::{self, Reader};
use crate::status::{self, Code, Status};

/// Calls at a time on one connection.
const MAX_STREAMS: u32 = 256;
/// How long to wait before accepting again when the system refused.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The messages of a server stream; the first failure is its last item.
pub type Messages<A> = BoxStream<'static, Result<A, Status>>;
type Frames = BoxStream<'static, Result<Bytes, Status>>;
type Handler = Box<dyn Fn(Incoming) -> BoxFuture<'static, Result<Frames, Status>> + Send + Sync>;
type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Which handler answers which method. Methods that have none are answered with `UNIMPLEMENTED`.
#[derive(Default)]
pub struct Router {
    methods: HashMap<&'static str, Handler>,
}

impl Router {
    /// Answers nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Answers a method, such as `/runtime.v1.RuntimeService/Version`, with one message. A caller that goes away does
    /// not interrupt the handler: what was begun is carried to its end.
    #[must_use]
    pub fn unary<Q, A, F>(mut self, path: &'static str, handler: impl Fn(Q) -> F + Send + Sync + 'static) -> Self
    where
        Q: Message + Default + 'static,
        A: Message + 'static,
        F: Future<Output = Result<A, Status>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let answer = move |body| {
            let handler = Arc::clone(&handler);
            let call = async move {
                let answer = uninterrupted(path, handler(only_message(body).await?)).await?;
                let frame = frame::encode(&answer, MAX_MESSAGE_BYTES)?;
                Ok(stream::once(async { Ok(frame) }).boxed())
            };
            call.boxed()
        };
        self.methods.insert(path, Box::new(answer));
        self
    }

    /// Answers a method with a stream of messages, which is dropped when the caller goes away.
    #[must_use]
    pub fn server_stream<Q, A, F>(
        mut self,
        path: &'static str,
        handler: impl Fn(Q) -> F + Send + Sync + 'static,
    ) -> Self
    where
        Q: Message + Default + 'static,
        A: Message + 'static,
        F: Future<Output = Result<Messages<A>, Status>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let answer = move |body| {
            let handler = Arc::clone(&handler);
            let call = async move {
                let messages = handler(only_message(body).await?).await?;
                Ok(messages.map(|message| frame::encode(&message?, MAX_MESSAGE_BYTES)).boxed())
            };
            call.boxed()
        };
        self.methods.insert(path, Box::new(answer));
        self
    }
}

/// Runs a call in a task of its own.
async fn uninterrupted<A: Send + 'static>(
    path: &'static str,
    call: impl Future<Output = Result<A, Status>> + Send + 'static,
) -> Result<A, Status> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    tasks::spawn(TaskKind::Worker, "grpc call", async move {
        // A caller that is gone needs no answer.
        let _ = sender.send(call.await);
    });
    receiver.await.unwrap_or_else(|_| Err(Status::new(Code::Internal, format!("{path} panicked"))))
}

async fn only_message<Q: Message + Default>(body: Incoming) -> Result<Q, Status> {
    let message = Reader::new(body, MAX_MESSAGE_BYTES).next().await?;
    message.ok_or_else(|| Status::new(Code::Internal, "the request has no message"))
}

/// Serves every connection until cancelled; calls under way are finished.
pub async fn serve(listener: UnixListener, router: Router, cancel: CancellationToken) {
    let router = Arc::new(router);
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = cancel.cancelled() => return,
        };
        match accepted {
            Ok((stream, _)) => {
                let connection = connection(stream, Arc::clone(&router), cancel.clone());
                tasks::spawn(TaskKind::Worker, "grpc connection", connection);
            }
            Err(error) => {
                warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

async fn connection(stream: tokio::net::UnixStream, router: Arc<Router>, cancel: CancellationToken) {
    let service = service_fn(move |request| {
        let router = Arc::clone(&router);
        async move { Ok::<_, Infallible>(answer(&router, request).await) }
    });
    let connection = http2::Builder::new(crate::client::Spawner)
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .serve_connection(TokioIo::new(Lenient::new(stream)), service);
    tokio::pin!(connection);
    let outcome = tokio::select! {
        outcome = &mut connection => outcome,
        () = cancel.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = outcome {
        debug!(%error, "connection");
    }
}

async fn answer(router: &Router, request: Request<Incoming>) -> Response<Body> {
    let content_type = request.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    if request.method() != Method::POST || !content_type.is_some_and(|value| value.starts_with(b"application/grpc")) {
        let mut refusal = Response::new(Empty::new().boxed_unsync());
        *refusal.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return refusal;
    }
    let (head, body) = request.into_parts();
    let path = head.uri.path();
    let call = async {
        let Some(handler) = router.methods.get(path) else {
            return Err(Status::new(Code::Unimplemented, format!("unknown method {path}")));
        };
        handler(body).await
    };
    let outcome = match deadline(&head.headers) {
        Some(time) => tokio::time::timeout(time, call)
            .await
            .unwrap_or_else(|_| Err(Status::new(Code::DeadlineExceeded, "context deadline exceeded"))),
        None => call.await,
    };
    let mut response = match outcome {
        Ok(frames) => Response::new(body_of(frames)),
        Err(status) => {
            // Without messages the outcome comes with the headers.
            let mut response = Response::new(Empty::new().boxed_unsync());
            *response.headers_mut() = status.to_trailers();
            response
        }
    };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}

/// The frames, then the outcome in trailers.
fn body_of(frames: Frames) -> Body {
    let frames = stream::unfold(Some(frames), |frames| async move {
        let mut frames = frames?;
        Some(match frames.next().await {
            Some(Ok(frame)) => (Frame::data(frame), Some(frames)),
            Some(Err(status)) => (Frame::trailers(status.to_trailers()), None),
            None => (Frame::trailers(status::success()), None),
        })
    });
    StreamBody::new(frames.map(Ok)).boxed_unsync()
}

/// `grpc-timeout`: at most eight digits and a unit. One that is malformed is no deadline.
fn deadline(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number = digits.parse::<u32>().ok().filter(|_| digits.len() <= 8)?;
    let unit = match unit {
        "H" => Duration::from_secs(3600),
        "M" => Duration::from_secs(60),
        "S" => Duration::from_secs(1),
        "m" => Duration::from_millis(1),
        "u" => Duration::from_micros(1),
        "n" => Duration::from_nanos(1),
        _ => return None,
    };
    unit.checked_mul(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_have_six_units() {
        let parse =
            |text: &str| deadline(&HeaderMap::from_iter([("grpc-timeout".parse().unwrap(), text.parse().unwrap())]));
        for (text, deadline) in [
            ("2S", Some(Duration::from_secs(2))),
            ("1M", Some(Duration::from_secs(60))),
            ("99999999n", Some(Duration::from_nanos(99_999_999))),
            ("100000000n", None),
            ("S", None),
            ("", None),
            ("5x", None),
            ("-1S", None),
        ] {
            assert_eq!(parse(text), deadline, "{text}");
        }
    }
}
