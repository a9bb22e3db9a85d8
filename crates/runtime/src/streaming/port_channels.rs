//! Port forwarding over a plain WebSocket, as clients without SPDY speak it: the request names the ports, and each has
//! two channels, one for data and one for what goes wrong. Every channel begins with its port's number.

use std::sync::Arc;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use platform::tasks::{self, TaskKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::codec::{Codec, Received};
use super::port_forward;
use crate::sandbox::Sandbox;

/// The most ports of one session: a byte numbers their channels, and base64 has digits for fewer.
pub const MAX_PORTS: usize = 64;
/// How much travels at once.
const CHUNK: usize = 32 * 1024;
/// How many frames wait for a slow reader on either side; then the other side waits.
const FRAMES_WAITING: usize = 8;

/// Serves a client until it leaves or all its connections have ended.
pub async fn run<T>(connection: T, codec: Codec, sandbox: Arc<Sandbox>, ports: Vec<u16>)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let socket = WebSocketStream::from_raw_socket(connection, Role::Server, None).await;
    let (sink, source) = socket.split();
    let (frames, outgoing) = mpsc::channel(FRAMES_WAITING);
    let mut inputs = Vec::new();
    for (port, channel) in ports.into_iter().zip((0_u8..).step_by(2)) {
        let (input, data) = mpsc::channel(FRAMES_WAITING);
        inputs.push(input);
        let port = Port { number: port, channel, frames: frames.clone() };
        tasks::spawn(TaskKind::Worker, "port forward", port.serve(Arc::clone(&sandbox), data));
    }
    // The frames end with the last port.
    drop(frames);
    tokio::select! {
        () = send(sink, codec, outgoing) => {}
        () = receive(source, codec, inputs) => {}
    }
}

async fn send<T>(mut sink: SplitSink<WebSocketStream<T>, super::Message>, codec: Codec, mut frames: Frames)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(frame) = frames.recv().await {
        if sink.send(codec.encode(frame)).await.is_err() {
            return;
        }
    }
    // The good-bye; a client that has left does not hear it.
    let _ = sink.close().await;
}

/// Hands on what the client sends; returns when it has left.
async fn receive<T>(mut source: SplitStream<WebSocketStream<T>>, codec: Codec, inputs: Vec<mpsc::Sender<Vec<u8>>>)
where
    T: AsyncRead + AsyncWrite + Unpin,
{
    while let Some(Ok(message)) = source.next().await {
        let frame = match codec.decode(message) {
            Received::Frame(frame) => frame,
            Received::Close => return,
            Received::Nothing => continue,
        };
        let Some((channel, data)) = frame.split_first() else { continue };
        // Nobody has to say anything on a channel for errors.
        let input = (channel % 2 == 0).then(|| inputs.get(usize::from(channel / 2))).flatten();
        if let Some(input) = input {
            // A connection that has ended does not hear it.
            let _ = input.send(data.to_vec()).await;
        }
    }
}

type Frames = mpsc::Receiver<Vec<u8>>;

/// One port of a session.
struct Port {
    number: u16,
    /// The channel of its data; the next one is for errors.
    channel: u8,
    frames: mpsc::Sender<Vec<u8>>,
}

impl Port {
    async fn serve(self, sandbox: Arc<Sandbox>, data: mpsc::Receiver<Vec<u8>>) {
        let number = self.number.to_le_bytes();
        for channel in [self.channel, self.channel + 1] {
            if self.say(channel, &number).await.is_err() {
                return;
            }
        }
        match port_forward::connect(&sandbox, self.number).await {
            Ok(connection) => self.copy(connection, data).await,
            Err(words) => {
                let words = port_forward::failure(&self.number, &sandbox, &words);
                // A client that has left does not want to know.
                let _ = self.say(self.channel + 1, words.as_bytes()).await;
            }
        }
    }

    async fn say(&self, channel: u8, data: &[u8]) -> Result<(), mpsc::error::SendError<Vec<u8>>> {
        self.frames.send([&[channel], data].concat()).await
    }

    /// Copies both ways until the Pod's side has said all, or the client has left.
    async fn copy(&self, connection: TcpStream, data: mpsc::Receiver<Vec<u8>>) {
        let (from_pod, to_pod) = connection.into_split();
        tokio::select! {
            () = self.hear_pod(from_pod) => {}
            () = tell_pod(data, to_pod) => {}
        }
    }

    async fn hear_pod(&self, mut from: OwnedReadHalf) {
        let mut buffer = vec![0; CHUNK];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if self.say(self.channel, &buffer[..length]).await.is_err() {
                return;
            }
        }
    }
}

/// Returns when the client has left. One whose Pod does not listen any more may still be told something.
async fn tell_pod(mut data: mpsc::Receiver<Vec<u8>>, mut to: OwnedWriteHalf) {
    let mut listens = true;
    while let Some(chunk) = data.recv().await {
        listens = listens && to.write_all(&chunk).await.is_ok();
    }
}
