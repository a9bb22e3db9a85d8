//! Both sides over a socket.

use std::time::Duration;

use futures::stream::{self, StreamExt as _};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{Channel, Code, Endpoint, Router, Status, serve, socket};

const ECHO: &str = "/test.Service/Echo";
const FAIL: &str = "/test.Service/Fail";
const COUNT: &str = "/test.Service/Count";
const SLOW: &str = "/test.Service/Slow";

fn router() -> Router {
    Router::new()
        .unary(ECHO, |words: String| async { Ok(words) })
        .unary(FAIL, |words: String| async { Err::<String, _>(Status::new(Code::NotFound, words)) })
        .unary(SLOW, |(): ()| futures::future::pending::<Result<(), Status>>())
        .server_stream(COUNT, |limit: u32| async move {
            if limit == 0 {
                return Err(Status::new(Code::InvalidArgument, "nothing to count"));
            }
            let end = Err(Status::new(Code::Aborted, "counted"));
            Ok(stream::iter((0..limit).map(Ok).chain([end])).boxed())
        })
}

/// A server for as long as the guard lives, and a way to it.
fn start(directory: &tempfile::TempDir) -> (Channel, DropGuard) {
    let path = directory.path().join("test.sock");
    let cancel = CancellationToken::new();
    let listener = socket::listen(&path).unwrap();
    drop(platform::tasks::spawn(platform::tasks::TaskKind::Worker, "test", serve(listener, router(), cancel.clone())));
    (Channel::new(Endpoint::Unix(path)), cancel.drop_guard())
}

#[tokio::test]
async fn calls_and_failures_come_through() {
    let directory = tempfile::tempdir().unwrap();
    let (channel, _server) = start(&directory);
    for words in [String::new(), "some words".to_owned(), "x".repeat(5 << 20)] {
        assert_eq!(channel.unary::<String, String>(ECHO, &words, None).await, Ok(words));
    }
    let failure = channel.unary::<String, String>(FAIL, &"naïve".to_owned(), None).await;
    assert_eq!(failure, Err(Status::new(Code::NotFound, "naïve")));
    let unknown = channel.unary::<(), ()>("/test.Service/Nothing", &(), None).await.unwrap_err();
    assert_eq!(unknown, Status::new(Code::Unimplemented, "unknown method /test.Service/Nothing"));
    let too_large = channel.unary::<String, String>(ECHO, &"x".repeat(17 << 20), None).await.unwrap_err();
    assert_eq!(too_large.code, Code::ResourceExhausted);
}

#[tokio::test]
async fn streams_end_with_their_outcome() {
    let directory = tempfile::tempdir().unwrap();
    let (channel, _server) = start(&directory);
    let refused = channel.server_stream::<u32, u32>(COUNT, &0).await.err().unwrap();
    assert_eq!(refused, Status::new(Code::InvalidArgument, "nothing to count"));
    let messages: Vec<Result<u32, Status>> = channel.server_stream(COUNT, &3).await.unwrap().collect().await;
    assert_eq!(messages, [Ok(0), Ok(1), Ok(2), Err(Status::new(Code::Aborted, "counted"))]);
}

#[tokio::test]
async fn a_call_ends_with_its_deadline() {
    let directory = tempfile::tempdir().unwrap();
    let (channel, _server) = start(&directory);
    let late = channel.unary::<(), ()>(SLOW, &(), Some(Duration::from_millis(20))).await.unwrap_err();
    assert_eq!(late.code, Code::DeadlineExceeded);
}

#[tokio::test]
async fn a_lost_connection_is_made_anew() {
    let directory = tempfile::tempdir().unwrap();
    let (channel, server) = start(&directory);
    assert_eq!(channel.unary::<String, String>(ECHO, &"one".to_owned(), None).await, Ok("one".to_owned()));
    drop(server);
    let path = directory.path().join("test.sock");
    while std::os::unix::net::UnixStream::connect(&path).is_ok() {
        tokio::task::yield_now().await;
    }
    let (_, _server) = start(&directory);
    // The old connection may be found closed only by a call.
    let again = async {
        while channel.unary::<String, String>(ECHO, &"two".to_owned(), None).await != Ok("two".to_owned()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), again).await.unwrap();
}

#[tokio::test]
async fn nobody_there_is_unavailable() {
    let directory = tempfile::tempdir().unwrap();
    let channel = Channel::new(Endpoint::Unix(directory.path().join("nobody.sock")));
    let failure = channel.unary::<(), ()>(ECHO, &(), None).await.unwrap_err();
    assert_eq!(failure.code, Code::Unavailable);
    assert!(failure.message.starts_with("connection error: dial unix "), "{failure}");
}

#[tokio::test]
async fn a_socket_in_use_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let (_channel, _server) = start(&directory);
    let error = socket::listen(&directory.path().join("test.sock")).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::AddrInUse);
}

#[tokio::test]
async fn a_socket_may_lie_deep() {
    let directory = tempfile::tempdir().unwrap();
    let deep = directory.path().join("x".repeat(120));
    std::fs::create_dir(&deep).unwrap();
    drop(socket::listen(&deep.join("test.sock")).unwrap());
    let _listener = socket::listen(&deep.join("test.sock")).unwrap();
    socket::connect(&deep.join("test.sock")).await.unwrap();
}
