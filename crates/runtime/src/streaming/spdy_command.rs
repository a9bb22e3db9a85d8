//! Exec and attach over SPDY: one stream each for input, output, errors, outcome and terminal size.

use std::collections::HashMap;
use std::time::Duration;

use platform::tasks::{self, TaskKind};
use spdy::{Session, Stream, StreamReader, StreamWriter};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::channel::{self, End};
use super::process::{Connected, Process};
use crate::runtime::Shared;
use crate::shim::protocol::Streams;
use crate::stdio::{Reader, TerminalIo, Writer};

/// How long a client may take to open the streams it announced.
const STREAMS_TIMEOUT: Duration = Duration::from_secs(30);
/// How much output travels at once.
const CHUNK: usize = 32 * 1024;

/// The client's streams.
struct ClientStreams {
    error: StreamWriter,
    stdin: Option<StreamReader>,
    stdout: Option<StreamWriter>,
    stderr: Option<StreamWriter>,
    resize: Option<StreamReader>,
}

/// Connects the client with a process until either has ended.
pub async fn run<T>(connection: T, shared: &Shared, process: Process, wanted: Streams)
where
    T: AsyncRead + AsyncWrite + Send + 'static,
{
    let mut session = Session::serve(connection);
    let collected = collect(&mut session, wanted, process.has_terminal());
    let Ok(Some(client)) = tokio::time::timeout(STREAMS_TIMEOUT, collected).await else {
        return tracing::debug!("the client did not open its streams");
    };
    let (error, end) = match process.connect(shared, wanted).await {
        Ok(connected) => {
            let (error, end) = converse(&mut session, client, connected).await;
            // A client that has left needs no outcome.
            let Some(end) = end else { return };
            (error, end)
        }
        Err(end) => {
            finish(client.stdout).await;
            finish(client.stderr).await;
            (client.error, end)
        }
    };
    if error.write(channel::status_object(&end).to_string().into()).await.is_ok() {
        error.finish().await;
        session.close().await;
    }
}

/// Takes the streams the request announced, in whatever order they come.
async fn collect(session: &mut Session, wanted: Streams, terminal: bool) -> Option<ClientStreams> {
    let announced = [
        ("error", true),
        ("stdin", wanted.stdin),
        ("stdout", wanted.stdout),
        ("stderr", wanted.stderr),
        ("resize", terminal),
    ];
    let mut missing: Vec<&str> = announced.into_iter().filter(|(_, wanted)| *wanted).map(|(name, _)| name).collect();
    let mut streams: HashMap<String, Stream> = HashMap::new();
    while !missing.is_empty() {
        let stream = session.accept().await?;
        let kind = stream.headers.get("streamtype").unwrap_or_default().to_lowercase();
        missing.retain(|name| *name != kind);
        streams.insert(kind, stream);
    }
    let mut take = |name: &str| streams.remove(name);
    Some(ClientStreams {
        error: take("error")?.writer,
        stdin: take("stdin").map(|stream| stream.reader),
        stdout: take("stdout").map(|stream| stream.writer),
        stderr: take("stderr").map(|stream| stream.writer),
        resize: take("resize").map(|stream| stream.reader),
    })
}

/// Copies both ways. Returns how the process ended once all its output was sent, or nothing when the client left.
async fn converse(session: &mut Session, client: ClientStreams, process: Connected) -> (StreamWriter, Option<End>) {
    let mut streams = process.streams;
    if let (Some(reader), Some(writer)) = (client.stdin, streams.stdin.take()) {
        tasks::spawn(TaskKind::Worker, "streaming input", copy_input(reader, writer));
    }
    if let (Some(reader), Some(terminal)) = (client.resize, streams.terminal.take()) {
        tasks::spawn(TaskKind::Worker, "streaming terminal size", follow_size(reader, terminal));
    }
    let output = async {
        tokio::join!(copy_output(streams.stdout, client.stdout), copy_output(streams.stderr, client.stderr));
        process.ended.await
    };
    let client_left = async {
        // Streams nobody announced are let go.
        while session.accept().await.is_some() {}
    };
    tokio::select! {
        end = output => (client.error, Some(end)),
        () = client_left => (client.error, None),
    }
}

async fn copy_input(mut from: StreamReader, mut to: Writer) {
    while let Some(chunk) = from.read().await {
        if to.write_all(&chunk).await.is_err() {
            // The process does not read any more.
            return;
        }
    }
}

async fn copy_output(from: Option<Reader>, to: Option<StreamWriter>) {
    let Some(to) = to else { return };
    if let Some(mut from) = from {
        let mut buffer = vec![0; CHUNK];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            if to.write(buffer[..length].to_vec().into()).await.is_err() {
                return;
            }
        }
    }
    to.finish().await;
}

async fn finish(stream: Option<StreamWriter>) {
    if let Some(stream) = stream {
        stream.finish().await;
    }
}

/// Sizes come as one JSON object per line.
async fn follow_size(mut reader: StreamReader, terminal: TerminalIo) {
    let mut pending = Vec::new();
    while let Some(chunk) = reader.read().await {
        pending.extend_from_slice(&chunk);
        let Some(end) = pending.iter().rposition(|byte| *byte == b'}') else { continue };
        let complete: Vec<u8> = pending.drain(..=end).collect();
        let last = complete.split_inclusive(|byte| *byte == b'}').rfind(|object| !object.is_empty());
        if let Some((columns, rows)) = last.and_then(channel::parse_size)
            && let Err(error) = terminal.resize(columns, rows)
        {
            tracing::debug!(%error, "terminal was not resized");
        }
    }
}
