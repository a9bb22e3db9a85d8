//! One connection with its streams.
//!
//! Flow: one task reads frames and hands data to the streams, another writes what streams and the first task send.
//! Guarantees: frames of one stream stay in order; what was written before a session ends is sent. Assumption: every
//! stream is read; one that is not holds up the others, as with every peer of this protocol that has no windows.

use std::collections::HashMap;
use std::io;

use bytes::{Bytes, BytesMut};
use platform::tasks::{self, TaskKind};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::frame::{CANCEL, Control, HEADER, Outgoing, Preamble, REFUSED_STREAM};
use crate::headers::{Compressor, Decompressor, Headers};

/// How many streams a client may have open.
const MAX_STREAMS: usize = 1000;
/// How many chunks wait for a stream's reader.
const CHUNKS_WAITING: usize = 16;
/// How many frames wait to be sent.
const FRAMES_WAITING: usize = 16;
/// How much of a data frame is handed on at once.
const CHUNK: usize = 32 * 1024;

/// The session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the session has ended")]
pub struct Closed;

/// A connection whose other side opens streams. Dropping it ends the reading side of all streams; what was written is
/// still sent.
pub struct Session {
    incoming: mpsc::Receiver<Stream>,
    frames: mpsc::Sender<Outgoing>,
    last_stream: u32,
    _reading: DropGuard,
}

/// A stream: bytes both ways, each side ended on its own.
pub struct Stream {
    /// What the client opened it with.
    pub headers: Headers,
    /// From the client.
    pub reader: StreamReader,
    /// To the client.
    pub writer: StreamWriter,
}

/// The reading side of a stream. Dropping it lets go what still comes.
pub struct StreamReader(mpsc::Receiver<Bytes>);

/// The writing side of a stream.
pub struct StreamWriter {
    stream: u32,
    frames: mpsc::Sender<Outgoing>,
}

impl Session {
    /// Serves a connection.
    pub fn serve<T>(connection: T) -> Self
    where
        T: AsyncRead + AsyncWrite + Send + 'static,
    {
        let (reader, writer) = tokio::io::split(connection);
        let (frames, outgoing) = mpsc::channel(FRAMES_WAITING);
        let (opened, incoming) = mpsc::channel(CHUNKS_WAITING);
        let end = CancellationToken::new();
        tasks::spawn(TaskKind::Worker, "SPDY writer", write(writer, outgoing));
        let (sender, ended) = (frames.clone(), end.clone());
        tasks::spawn(TaskKind::Worker, "SPDY reader", async move {
            let mut reading = Reading {
                connection: BufReader::new(reader),
                headers: Decompressor::new(),
                streams: HashMap::new(),
                opened,
                frames: sender,
            };
            let outcome = tokio::select! {
                outcome = reading.run() => outcome,
                () = ended.cancelled() => Ok(()),
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "SPDY session ended");
            }
        });
        Self { incoming, frames, last_stream: 0, _reading: end.drop_guard() }
    }

    /// The next stream the client opens, or `None` when it has left.
    pub async fn accept(&mut self) -> Option<Stream> {
        let stream = self.incoming.recv().await?;
        self.last_stream = self.last_stream.max(stream.writer.stream);
        Some(stream)
    }

    /// Says good-bye and ends.
    pub async fn close(self) {
        // A client that has left needs no good-bye.
        let _ = self.frames.send(Outgoing::GoAway { last_stream: self.last_stream }).await;
    }
}

impl StreamReader {
    /// The next bytes, or `None` at the end of the stream or the session.
    pub async fn read(&mut self) -> Option<Bytes> {
        self.0.recv().await
    }
}

impl StreamWriter {
    /// Sends bytes; waits while the connection is busy.
    ///
    /// # Errors
    /// [`Closed`].
    pub async fn write(&self, mut data: Bytes) -> Result<(), Closed> {
        while !data.is_empty() {
            let chunk = data.split_to(data.len().min(CHUNK));
            self.send(Outgoing::Data { stream: self.stream, data: chunk, fin: false }).await?;
        }
        Ok(())
    }

    /// Ends our side of the stream.
    pub async fn finish(self) {
        // A session that has ended ends its streams.
        let _ = self.send(Outgoing::Data { stream: self.stream, data: Bytes::new(), fin: true }).await;
    }

    /// Gives the stream up on both sides.
    pub async fn reset(self) {
        let _ = self.send(Outgoing::Reset { stream: self.stream, status: CANCEL }).await;
    }

    async fn send(&self, frame: Outgoing) -> Result<(), Closed> {
        self.frames.send(frame).await.map_err(|_| Closed)
    }
}

/// The reading task.
struct Reading<T> {
    connection: BufReader<ReadHalf<T>>,
    headers: Decompressor,
    /// Streams the client has not ended.
    streams: HashMap<u32, mpsc::Sender<Bytes>>,
    opened: mpsc::Sender<Stream>,
    frames: mpsc::Sender<Outgoing>,
}

impl<T: AsyncRead> Reading<T> {
    /// Reads to the end of the connection.
    async fn run(&mut self) -> io::Result<()> {
        loop {
            let mut header = [0; HEADER];
            match self.connection.read_exact(&mut header).await {
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
                outcome => outcome?,
            };
            match Preamble::read(header).map_err(io::Error::other)? {
                Preamble::Data { stream, fin, length } => self.take_data(stream, fin, length).await?,
                Preamble::Control { kind, fin, length } => {
                    let mut content = vec![0; length];
                    self.connection.read_exact(&mut content).await?;
                    let frame = Control::read(kind, fin, &content, &mut self.headers).map_err(io::Error::other)?;
                    if self.take_control(frame).await.is_err() {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn take_data(&mut self, stream: u32, fin: bool, mut length: usize) -> io::Result<()> {
        while length > 0 {
            let mut chunk = BytesMut::zeroed(length.min(CHUNK));
            self.connection.read_exact(&mut chunk).await?;
            length -= chunk.len();
            if let Some(reader) = self.streams.get(&stream) {
                // Without a reader the bytes are let go.
                let _ = reader.send(chunk.freeze()).await;
            }
        }
        if fin {
            self.streams.remove(&stream);
        }
        Ok(())
    }

    async fn take_control(&mut self, frame: Control) -> Result<(), Closed> {
        match frame {
            Control::SynStream { stream, fin, headers } => self.open(stream, fin, headers).await,
            Control::Reset { stream } => {
                self.streams.remove(&stream);
                Ok(())
            }
            Control::Ping(id) => self.send(Outgoing::Ping(id)).await,
            Control::GoAway | Control::Other => Ok(()),
        }
    }

    async fn open(&mut self, stream: u32, fin: bool, headers: Headers) -> Result<(), Closed> {
        if self.streams.len() >= MAX_STREAMS || self.streams.contains_key(&stream) {
            return self.send(Outgoing::Reset { stream, status: REFUSED_STREAM }).await;
        }
        let (sender, receiver) = mpsc::channel(CHUNKS_WAITING);
        if !fin {
            self.streams.insert(stream, sender);
        }
        self.send(Outgoing::SynReply { stream }).await?;
        let writer = StreamWriter { stream, frames: self.frames.clone() };
        self.opened.send(Stream { headers, reader: StreamReader(receiver), writer }).await.map_err(|_| Closed)
    }

    async fn send(&mut self, frame: Outgoing) -> Result<(), Closed> {
        self.frames.send(frame).await.map_err(|_| Closed)
    }
}

/// The writing task: ends when nobody is left who could send, or the connection breaks.
async fn write<T: AsyncWrite>(mut connection: WriteHalf<T>, mut frames: mpsc::Receiver<Outgoing>) {
    let mut headers = Compressor::new();
    while let Some(frame) = frames.recv().await {
        let mut bytes = frame.head(&mut headers);
        if let Outgoing::Data { data, .. } = &frame {
            bytes.extend_from_slice(data);
        }
        let sent = async {
            connection.write_all(&bytes).await?;
            connection.flush().await
        };
        if let Err(error) = sent.await {
            return tracing::debug!(%error, "SPDY connection broke");
        }
    }
    // The other side sees the end; one that has left does not care.
    let _ = connection.shutdown().await;
}
