//! Exec and attach through the streaming server, over the WebSocket protocols kubectl speaks.

#![allow(clippy::unwrap_used)] // a test ends where it unwraps in vain

mod node;

use cri::{AttachRequest, ExecRequest, RuntimeService, StreamingIo};
use futures::{SinkExt, StreamExt};
use node::{Node, idle, shell};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

struct Session {
    socket: WebSocketStream<Box<dyn StreamingIo>>,
    stdout: String,
    stderr: String,
}

/// What a session said to its end.
struct Transcript {
    stdout: String,
    stderr: String,
    status: Value,
}

impl Session {
    async fn dial(node: &Node, url: &str, protocol: &str) -> Self {
        let stream = node.runtime.dial_streaming(url).await.unwrap();
        let mut request = url.replace("http:", "ws:").into_client_request().unwrap();
        request.headers_mut().insert("sec-websocket-protocol", protocol.parse().unwrap());
        let (mut socket, response) = tokio_tungstenite::client_async(request, stream).await.unwrap();
        let spoken = response.headers()["sec-websocket-protocol"].to_str().unwrap();
        assert_eq!(spoken, protocol.split(',').next().unwrap());
        let greeting = socket.next().await.unwrap().unwrap().into_data();
        assert_eq!(greeting.len(), 1, "an empty frame opens the session");
        Self { socket, stdout: String::new(), stderr: String::new() }
    }

    async fn send(&mut self, channel: u8, data: &[u8]) {
        self.socket.send(Message::Binary([&[channel], data].concat().into())).await.unwrap();
    }

    /// Takes one frame in; the outcome when it is the last.
    async fn step(&mut self) -> Option<Value> {
        let frame = match self.socket.next().await.expect("the session says how it ended").unwrap() {
            Message::Binary(frame) => frame,
            other => panic!("unexpected {other:?}"),
        };
        match frame[0] {
            1 => self.stdout.push_str(&String::from_utf8_lossy(&frame[1..])),
            2 => self.stderr.push_str(&String::from_utf8_lossy(&frame[1..])),
            3 => return Some(serde_json::from_slice(&frame[1..]).unwrap()),
            other => panic!("unexpected channel {other}"),
        }
        None
    }

    async fn until(&mut self, text: &str) {
        while !self.stdout.contains(text) {
            assert_eq!(self.step().await, None, "{}", self.stdout);
        }
    }

    async fn finish(mut self) -> Transcript {
        let status = loop {
            if let Some(status) = self.step().await {
                break status;
            }
        };
        assert!(matches!(self.socket.next().await, Some(Ok(Message::Close(_))) | None));
        Transcript { stdout: self.stdout, stderr: self.stderr, status }
    }
}

async fn exec(node: &Node, container: &str, argv: &[&str], tty: bool, stdin: bool) -> Session {
    let request = ExecRequest {
        container_id: container.into(),
        cmd: argv.iter().map(ToString::to_string).collect(),
        tty,
        stdin,
        stdout: true,
        stderr: !tty,
    };
    let url = node.runtime.exec(request).await.unwrap().url;
    Session::dial(node, &url, "v5.channel.k8s.io, v4.channel.k8s.io").await
}

fn success() -> Value {
    json!({ "metadata": {}, "status": "Success" })
}

#[tokio::test]
async fn exec_carries_output_input_and_exit_code() {
    let node = Node::start().await;
    let container = node.run(&node.run_sandbox().await, idle("main")).await;

    let done = exec(&node, &container, &["sh", "-c", "echo out; echo err >&2"], false, false).await.finish().await;
    assert_eq!((done.stdout.as_str(), done.stderr.as_str(), done.status), ("out\n", "err\n", success()));

    let done = exec(&node, &container, &["sh", "-c", "exit 42"], false, false).await.finish().await;
    assert_eq!(done.status["reason"], "NonZeroExitCode");
    assert_eq!(done.status["details"]["causes"], json!([{ "reason": "ExitCode", "message": "42" }]));
    assert_eq!(
        done.status["message"],
        "command terminated with non-zero exit code: error executing command [sh -c exit 42], exit code 42"
    );

    let mut session = exec(&node, &container, &["cat"], false, true).await;
    session.send(0, b"hello ").await;
    session.send(0, b"world").await;
    session.until("hello world").await;
    session.send(255, &[0]).await;
    assert_eq!(session.finish().await.status, success());

    // Far more than any buffer on the way holds, both ways at once.
    let session = exec(&node, &container, &["cat"], false, true).await;
    let (mut sink, source) = session.socket.split();
    let chunk = vec![b'x'; 30_000];
    let send = async {
        for _ in 0..50 {
            sink.send(Message::Binary([&[0], chunk.as_slice()].concat().into())).await.unwrap();
        }
        sink.send(Message::Binary(vec![255, 0].into())).await.unwrap();
    };
    let count = source.fold(0, |sum, frame| async move {
        match frame.unwrap() {
            Message::Binary(frame) if frame[0] == 1 => sum + frame.len() - 1,
            _ => sum,
        }
    });
    assert_eq!(tokio::join!(send, count).1, chunk.len() * 50);

    let done = exec(&node, &container, &["foo"], false, false).await.finish().await;
    assert_eq!(done.status["reason"], "InternalError");
    let message = done.status["message"].as_str().unwrap();
    assert!(message.ends_with("exec: \"foo\": executable file not found in $PATH"), "{message}");
}

#[tokio::test]
async fn a_terminal_is_the_containers_own_and_can_be_resized() {
    let node = Node::start().await;
    let container = node.run(&node.run_sandbox().await, idle("main")).await;
    let mut session = exec(&node, &container, &["sh"], true, true).await;
    session.send(4, br#"{"Width":123,"Height":45}"#).await;
    session.send(0, b"tty; echo term=$TERM; stty size; exit 9\n").await;
    let done = session.finish().await;
    assert!(done.stdout.contains("/dev/pts/0\r\n"), "{}", done.stdout);
    assert!(done.stdout.contains("term=xterm\r\n"), "{}", done.stdout);
    assert!(done.stdout.contains("45 123\r\n"), "{}", done.stdout);
    assert_eq!(done.status["details"]["causes"][0]["message"], "9");
}

#[tokio::test]
async fn attach_shows_output_and_carries_input() {
    let node = Node::start().await;
    let sandbox = node.run_sandbox().await;
    let config = cri::ContainerConfig { stdin: true, stdin_once: true, ..shell("main", "cat; echo over") };
    let container = node.run(&sandbox, config).await;
    let attach = |stdin, tty| AttachRequest { container_id: container.clone(), stdin, tty, stdout: true, stderr: !tty };
    let url = node.runtime.attach(attach(false, false)).await.unwrap().url;
    let observer = Session::dial(&node, &url, "v4.channel.k8s.io").await;
    let url = node.runtime.attach(attach(true, false)).await.unwrap().url;
    let mut session = Session::dial(&node, &url, "v5.channel.k8s.io").await;
    session.send(0, b"typed\n").await;
    session.until("typed\n").await;
    session.send(255, &[0]).await;
    let (done, seen) = (session.finish().await, observer.finish().await);
    assert_eq!((done.stdout.as_str(), done.status), ("typed\nover\n", success()));
    assert_eq!(seen.stdout, "typed\nover\n");
    assert_eq!(node.ended(&container).await.exit_code, 0);

    let config = cri::ContainerConfig { stdin: true, tty: true, ..shell("tty", "read line; echo got $line; exit 6") };
    let container = node.run(&sandbox, config).await;
    let request =
        AttachRequest { container_id: container.clone(), stdin: true, tty: true, stdout: true, stderr: false };
    let url = node.runtime.attach(request).await.unwrap().url;
    let mut session = Session::dial(&node, &url, "v5.channel.k8s.io").await;
    session.send(0, b"this\n").await;
    assert!(session.finish().await.stdout.contains("got this\r\n"));
    assert_eq!(node.ended(&container).await.exit_code, 6);
    assert!(node.log("tty").contains("stdout F got this"));
}

#[tokio::test]
async fn other_upgrades_and_used_urls_are_refused_in_http() {
    let node = Node::start().await;
    let container = node.run(&node.run_sandbox().await, idle("main")).await;
    let request = ExecRequest { container_id: container, cmd: vec!["true".into()], stdout: true, ..Default::default() };
    let url = node.runtime.exec(request).await.unwrap().url;
    for (headers, expected) in [
        ("Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n", "HTTP/1.1 400 Bad Request"),
        ("Connection: Upgrade\r\nUpgrade: SPDY/3.1\r\n", "HTTP/1.1 404 Not Found"),
    ] {
        let mut stream = node.runtime.dial_streaming(&url).await.unwrap();
        let head = format!("POST /exec HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(expected), "{answer}");
    }
}
