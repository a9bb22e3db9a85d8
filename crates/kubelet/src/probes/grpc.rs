//! `grpc.health.v1.Health/Check`: one unary call over HTTP/2 without TLS, spoken by hand.

use std::future::Future;
use std::time::Duration;

use bytes::{BufMut as _, Bytes, BytesMut};
use http::{HeaderMap, Request, Response};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use platform::tasks::{TaskKind, spawn};
use tokio::net::TcpStream;
use tokio::time::Instant;

use super::action::Outcome;
use crate::go_duration;
use crate::http_check::USER_AGENT;

/// An answer has two bytes of payload.
const ANSWER_MAX: usize = 64 << 10;
const OK: u32 = 0;
const UNIMPLEMENTED: u32 = 12;
const DEADLINE_EXCEEDED: u32 = 4;
/// gRPC's names of its codes.
const CODES: [&str; 17] = [
    "OK",
    "Canceled",
    "Unknown",
    "InvalidArgument",
    "DeadlineExceeded",
    "NotFound",
    "AlreadyExists",
    "PermissionDenied",
    "ResourceExhausted",
    "FailedPrecondition",
    "Aborted",
    "OutOfRange",
    "Unimplemented",
    "Internal",
    "Unavailable",
    "DataLoss",
    "Unauthenticated",
];

/// What a server answered.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// `HealthCheckResponse.status`.
    Health(u64),
    /// A status other than OK.
    Refused { code: u32, message: String },
}

/// Asks the server at `address` for the health of `service`; empty for the server's own.
pub(super) async fn check(address: &str, service: &str, limit: Duration) -> Outcome {
    let deadline = Instant::now() + limit;
    let limit = go_duration::format(limit);
    let Ok(Ok(stream)) = tokio::time::timeout_at(deadline, TcpStream::connect(address)).await else {
        let cause = "context deadline exceeded";
        return Outcome::Failure(format!("timeout: failed to connect service \"{address}\" within {limit}: {cause}"));
    };
    match tokio::time::timeout_at(deadline, call(stream, address, service)).await {
        Ok(Ok(answer)) => judge(answer, &limit),
        Ok(Err(problem)) => {
            let error = format!("rpc error: code = Unavailable desc = {problem}");
            Outcome::Failure(format!("error: health rpc probe failed: {error}"))
        }
        Err(_) => Outcome::Failure(format!("timeout: health rpc did not complete within {limit}")),
    }
}

fn judge(answer: Answer, limit: &str) -> Outcome {
    match answer {
        Answer::Health(1) => Outcome::Success,
        Answer::Health(status) => {
            let name = match status {
                0 => "UNKNOWN".to_owned(),
                2 => "NOT_SERVING".to_owned(),
                3 => "SERVICE_UNKNOWN".to_owned(),
                other => other.to_string(),
            };
            Outcome::Failure(format!("service unhealthy (responded with \"{name}\")"))
        }
        Answer::Refused { code: UNIMPLEMENTED, message } => Outcome::Failure(format!(
            "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): {message}"
        )),
        Answer::Refused { code: DEADLINE_EXCEEDED, .. } => {
            Outcome::Failure(format!("timeout: health rpc did not complete within {limit}"))
        }
        Answer::Refused { code, message } => {
            let named = CODES.get(code as usize).map_or_else(|| format!("Code({code})"), |name| (*name).to_owned());
            let error = format!("rpc error: code = {named} desc = {message}");
            Outcome::Failure(format!("error: health rpc probe failed: {error}"))
        }
    }
}

async fn call(stream: TcpStream, address: &str, service: &str) -> Result<Answer, String> {
    let describe = |error: hyper::Error| error.to_string();
    let handshake = hyper::client::conn::http2::handshake(Tasks, TokioIo::new(stream));
    let (mut sender, connection) = handshake.await.map_err(describe)?;
    let request = Request::post(format!("http://{address}/grpc.health.v1.Health/Check"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("user-agent", USER_AGENT)
        .body(Full::new(request_message(service)))
        .map_err(|error| error.to_string())?;
    let exchange = async { read(sender.send_request(request).await.map_err(describe)?).await };
    tokio::pin!(exchange, connection);
    tokio::select! {
        answer = &mut exchange => answer,
        // The connection may end before its last answer is taken.
        _ = &mut connection => exchange.await,
    }
}

async fn read(response: Response<Incoming>) -> Result<Answer, String> {
    let (head, body) = response.into_parts();
    if let Some(refused) = status_of(&head.headers) {
        return Ok(refused);
    }
    if !head.status.is_success() {
        return Err(format!("unexpected HTTP status code received from server: {}", head.status));
    }
    let body = Limited::new(body, ANSWER_MAX).collect().await.map_err(|error| error.to_string())?;
    if let Some(refused) = body.trailers().and_then(status_of) {
        return Ok(refused);
    }
    health(&body.to_bytes()).map(Answer::Health).ok_or_else(|| "malformed health check response".to_owned())
}

/// What `grpc-status` says, unless it is OK or absent.
fn status_of(headers: &HeaderMap) -> Option<Answer> {
    let code = headers.get("grpc-status")?.to_str().ok()?.parse().unwrap_or(2);
    let message = headers.get("grpc-message").map(|message| percent_decoded(message.as_bytes())).unwrap_or_default();
    (code != OK).then_some(Answer::Refused { code, message })
}

fn percent_decoded(bytes: &[u8]) -> String {
    let mut plain = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some((first, after)) = rest.split_first() {
        let code = after.get(..2).and_then(|digits| std::str::from_utf8(digits).ok());
        match code.filter(|_| *first == b'%').and_then(|code| u8::from_str_radix(code, 16).ok()) {
            Some(byte) => {
                plain.push(byte);
                rest = &after[2..];
            }
            None => {
                plain.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// `HealthCheckRequest { service }` in gRPC's frame: not compressed, length, message.
fn request_message(service: &str) -> Bytes {
    let mut message = BytesMut::new();
    if !service.is_empty() {
        message.put_u8(1 << 3 | 2);
        put_varint(&mut message, service.len());
        message.put_slice(service.as_bytes());
    }
    let mut frame = BytesMut::with_capacity(5 + message.len());
    frame.put_u8(0);
    frame.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    frame.put_slice(&message);
    frame.freeze()
}

fn put_varint(message: &mut BytesMut, mut value: usize) {
    while value >= 0x80 {
        message.put_u8((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    message.put_u8(value as u8);
}

/// `HealthCheckResponse.status`; 0 where the message leaves it out.
fn health(frame: &[u8]) -> Option<u64> {
    let (head, message) = frame.split_at_checked(5)?;
    let length = u32::from_be_bytes(head[1..].try_into().ok()?) as usize;
    let mut rest = message.get(..length).filter(|_| head[0] == 0)?;
    let mut status = 0;
    while !rest.is_empty() {
        let tag = take_varint(&mut rest)?;
        match (tag >> 3, tag & 7) {
            (1, 0) => status = take_varint(&mut rest)?,
            (_, 0) => drop(take_varint(&mut rest)?),
            (_, 2) => {
                let length = usize::try_from(take_varint(&mut rest)?).ok()?;
                rest = rest.get(length..)?;
            }
            _ => return None,
        }
    }
    Some(status)
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

/// Runs what an HTTP/2 connection does beside its requests.
#[derive(Clone, Copy)]
struct Tasks;

impl<F: Future + Send + 'static> hyper::rt::Executor<F> for Tasks {
    fn execute(&self, future: F) {
        spawn(TaskKind::Worker, "grpc probe connection", async move { drop(future.await) });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_framed() {
        assert_eq!(&request_message("")[..], [0, 0, 0, 0, 0]);
        assert_eq!(&request_message("db")[..], [0, 0, 0, 0, 4, 10, 2, b'd', b'b']);
        assert_eq!(request_message(&"x".repeat(200))[..8], [0, 0, 0, 0, 203, 10, 0xc8, 1]);
    }

    #[test]
    fn answers_are_read() {
        assert_eq!(health(&[0, 0, 0, 0, 2, 8, 1]), Some(1));
        assert_eq!(health(&[0, 0, 0, 0, 0]), Some(0));
        assert_eq!(health(&[0, 0, 0, 0, 5, 18, 1, 9, 8, 2]), Some(2));
        for bad in [&[0, 0, 0, 0][..], &[0, 0, 0, 0, 9, 8], &[1, 0, 0, 0, 2, 8, 1], &[0, 0, 0, 0, 1, 0xff]] {
            assert_eq!(health(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn answers_are_judged_in_upstreams_words() {
        let failure = |text: &str| Outcome::Failure(text.to_owned());
        let refused = |code, message: &str| Answer::Refused { code, message: message.to_owned() };
        let cases = [
            (Answer::Health(1), Outcome::Success),
            (Answer::Health(2), failure("service unhealthy (responded with \"NOT_SERVING\")")),
            (
                refused(5, "unknown service"),
                failure("error: health rpc probe failed: rpc error: code = NotFound desc = unknown service"),
            ),
            (
                refused(12, "no"),
                failure("error: this server does not implement the grpc health protocol (grpc.health.v1.Health): no"),
            ),
            (refused(4, ""), failure("timeout: health rpc did not complete within 1s")),
        ];
        for (answer, expected) in cases {
            assert_eq!(judge(answer, "1s"), expected);
        }
        assert_eq!(percent_decoded(b"a%20b%"), "a b%");
    }

    /// A health server that answers with this message and `grpc-status`; answers what one call asked it.
    async fn serve(message: &'static [u8], code: &'static str) -> (String, tokio::task::JoinHandle<Vec<u8>>) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        #[allow(clippy::disallowed_methods)] // tests need no supervision
        let task = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let asked = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
            let service = hyper::service::service_fn(|request: Request<Incoming>| {
                let asked = std::sync::Arc::clone(&asked);
                async move {
                    assert_eq!(request.uri().path(), "/grpc.health.v1.Health/Check");
                    assert_eq!(request.headers()["user-agent"], USER_AGENT);
                    let body = request.into_body().collect().await?.to_bytes();
                    asked.lock().unwrap().extend_from_slice(&body);
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", code.parse().unwrap());
                    trailers.insert("grpc-message", "told%21".parse().unwrap());
                    let body = Full::new(Bytes::from_static(message)).with_trailers(async move { Some(Ok(trailers)) });
                    Ok::<_, hyper::Error>(Response::new(body))
                }
            });
            let served =
                hyper::server::conn::http2::Builder::new(Tasks).serve_connection(TokioIo::new(stream), service);
            // The client leaves once it knows.
            let _ = served.await;
            let asked = asked.lock().unwrap();
            asked.clone()
        });
        (address, task)
    }

    const LIMIT: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn servers_are_asked() {
        let (address, server) = serve(&[0, 0, 0, 0, 2, 8, 1], "0").await;
        assert_eq!(check(&address, "db", LIMIT).await, Outcome::Success);
        assert_eq!(server.await.unwrap(), [0, 0, 0, 0, 4, 10, 2, b'd', b'b']);
        let (address, _server) = serve(&[], "7").await;
        let refused = "error: health rpc probe failed: rpc error: code = PermissionDenied desc = told!";
        assert_eq!(check(&address, "", LIMIT).await, Outcome::Failure(refused.to_owned()));
    }

    #[tokio::test]
    async fn who_does_not_answer_is_given_up() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let failure = |text: String| Outcome::Failure(text);
        let silent = failure("timeout: health rpc did not complete within 100ms".to_owned());
        assert_eq!(check(&address, "", Duration::from_millis(100)).await, silent);
        drop(listener);
        let text = format!("timeout: failed to connect service \"{address}\" within 5s: context deadline exceeded");
        assert_eq!(check(&address, "", LIMIT).await, failure(text));
    }
}
