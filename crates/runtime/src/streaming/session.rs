//! Exec and attach over a WebSocket: one channel each for input, output, errors, outcome and terminal size.

use std::time::Duration;

use futures::stream::{SplitSink, SplitStream};
use futures::{SinkExt, StreamExt};
use platform::tasks::{self, TaskKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role};
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};

use super::channel::{self, End, Incoming, Output};
use super::codec::{Codec, Received};
use super::handshake::ProtocolVersion;
use super::process::Process;
use crate::runtime::Shared;
use crate::shim::protocol::Streams;
use crate::stdio::{ProcessStreams, Reader, TerminalIo, Writer};

/// How much output travels in one frame.
const FRAME: usize = 32 * 1024;
/// How many frames wait for a slow client; then its process waits.
const FRAMES_WAITING: usize = 8;

/// How long the client may take to close its side after the outcome.
const FAREWELL: Duration = Duration::from_secs(5);

/// Which of the protocols a client speaks.
#[derive(Debug, Clone, Copy)]
pub struct Spoken {
    /// What the channels are.
    pub version: ProtocolVersion,
    /// How frames are sent.
    pub codec: Codec,
}

/// Connects the client with a process until either has ended.
pub async fn run<T>(connection: T, spoken: Spoken, shared: &Shared, process: Process, wanted: Streams)
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let socket = WebSocketStream::from_raw_socket(connection, Role::Server, None).await;
    let (mut sink, source) = socket.split();
    let Spoken { version, codec } = spoken;
    let mut reader = ClientReader { source, spoken, terminal: None };
    if sink.send(codec.encode(channel::greeting(wanted.stdout, wanted.stderr))).await.is_err() {
        return;
    }
    let end = match process.connect(shared, wanted).await {
        Ok(connected) => converse(&mut sink, connected.streams, &mut reader, connected.ended).await,
        Err(end) => Some(end),
    };
    if let Some(end) = end {
        // With a code: kubectl takes a close without one for a failure.
        let normal = CloseFrame { code: CloseCode::Normal, reason: Utf8Bytes::default() };
        let outcome = channel::outcome(&end, version).map(|frame| codec.encode(frame));
        let last = outcome.into_iter().chain([Message::Close(Some(normal))]);
        if sink.send_all(&mut futures::stream::iter(last.map(Ok))).await.is_ok() {
            // The client's farewell; without it the connection just ends, and one that has left needs no outcome.
            let _ = tokio::time::timeout(FAREWELL, reader.run(None)).await;
        }
    }
}

/// Copies output to the client and the client's input to the process. Returns how the process ended once all its output
/// was sent, or nothing when the client left.
async fn converse<T>(
    sink: &mut SplitSink<WebSocketStream<T>, Message>,
    mut streams: ProcessStreams,
    reader: &mut ClientReader<T>,
    ended: impl Future<Output = End>,
) -> Option<End>
where
    T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    let codec = reader.spoken.codec;
    let (frames, mut outgoing) = mpsc::channel::<Vec<u8>>(FRAMES_WAITING);
    let copies = [(streams.stdout.take(), Output::Stdout), (streams.stderr.take(), Output::Stderr)];
    for (stream, output) in copies {
        if let Some(stream) = stream {
            tasks::spawn(TaskKind::Worker, "streaming output", copy_output(stream, output, frames.clone()));
        }
    }
    drop(frames);
    // Sending must not keep us from listening: an interrupt typed during a flood of output has to get through.
    let send = async {
        while let Some(frame) = outgoing.recv().await {
            sink.send(codec.encode(frame)).await?;
        }
        Ok::<_, tokio_tungstenite::tungstenite::Error>(())
    };
    reader.terminal = streams.terminal.take();
    let client = reader.run(streams.stdin.take());
    tokio::pin!(send, client, ended);
    let (mut end, mut output_over) = (None, false);
    loop {
        if output_over && let Some(end) = end.take() {
            return Some(end);
        }
        tokio::select! {
            sent = &mut send, if !output_over => match sent {
                Ok(()) => output_over = true,
                Err(_) => return None,
            },
            how = &mut ended, if end.is_none() => end = Some(how),
            () = &mut client => return None,
        }
    }
}

async fn copy_output(mut stream: Reader, output: Output, frames: mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; FRAME];
    while let Ok(length @ 1..) = stream.read(&mut buffer).await {
        if frames.send(channel::output(output, &buffer[..length])).await.is_err() {
            return;
        }
    }
}

/// Listens to the client.
struct ClientReader<T> {
    source: SplitStream<WebSocketStream<T>>,
    spoken: Spoken,
    terminal: Option<TerminalIo>,
}

impl<T: AsyncRead + AsyncWrite + Unpin> ClientReader<T> {
    /// Carries out what the client sends; returns when it has left.
    async fn run(&mut self, mut stdin: Option<Writer>) {
        while let Some(Ok(message)) = self.source.next().await {
            let frame = match self.spoken.codec.decode(message) {
                Received::Frame(frame) => frame,
                Received::Close => return,
                Received::Nothing => continue,
            };
            match channel::parse(&frame) {
                Incoming::Stdin(data) => {
                    if let Some(writer) = &mut stdin
                        && writer.write_all(data).await.is_err()
                    {
                        // The process does not read any more; what it writes still matters.
                        stdin = None;
                    }
                }
                Incoming::StdinClosed if self.spoken.version == ProtocolVersion::V5 => stdin = None,
                Incoming::Resize { columns, rows } => {
                    if let Some(terminal) = &self.terminal
                        && let Err(error) = terminal.resize(columns, rows)
                    {
                        tracing::debug!(%error, "terminal was not resized");
                    }
                }
                Incoming::StdinClosed | Incoming::Other => {}
            }
        }
    }
}
