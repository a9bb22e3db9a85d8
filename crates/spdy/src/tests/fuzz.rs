//! Whatever a client sends, the session ends when the client leaves.

use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use testkit::fuzz::{Campaign, Shape};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::headers;
use crate::frame::{Control, HEADER, Outgoing, Preamble};
use crate::headers::{Compressor, Decompressor};
use crate::{Session, Stream};

/// Longer than any input takes.
const PATIENCE: Duration = Duration::from_secs(10);
/// What fits between both sides, so that neither waits for the other.
const ROOM: usize = 1 << 20;

/// What a client sends to open streams, fill and leave them.
fn conversation() -> Vec<u8> {
    let mut compressor = Compressor::new();
    let mut sent = Vec::new();
    for stream in [1_u32, 3, 5] {
        let opened_with = headers(&[("streamtype", "data"), ("port", "80"), ("requestid", &stream.to_string())]);
        let content = [&stream.to_be_bytes()[..], &[0; 6], &compressor.compress(&opened_with)].concat();
        sent.extend([0x80, 3, 0, 1, 0, 0]);
        sent.extend((content.len() as u16).to_be_bytes());
        sent.extend(content);
    }
    let data = || bytes::Bytes::from_static(b"hello");
    for frame in [
        Outgoing::Data { stream: 1, data: data(), fin: false },
        Outgoing::Data { stream: 3, data: data(), fin: true },
        Outgoing::Ping(7),
        Outgoing::Reset { stream: 5, status: 5 },
        Outgoing::SynReply { stream: 1 },
        Outgoing::GoAway { last_stream: 5 },
    ] {
        sent.extend(frame.head(&mut compressor));
        if let Outgoing::Data { data, .. } = frame {
            sent.extend(data);
        }
    }
    sent
}

/// The frames in the input.
fn frames(mut input: &[u8]) -> String {
    let (mut decompressor, mut found) = (Decompressor::new(), String::new());
    while let Some((head, rest)) = input.split_first_chunk::<HEADER>() {
        let preamble = match Preamble::read(*head) {
            Ok(preamble) => preamble,
            Err(error) => return format!("{found} {error}"),
        };
        let (Preamble::Data { length, .. } | Preamble::Control { length, .. }) = preamble;
        let Some((content, rest)) = rest.split_at_checked(length) else { break };
        input = rest;
        match preamble {
            Preamble::Data { fin, .. } => found.push_str(&format!("data {fin} ")),
            Preamble::Control { kind, fin, .. } => match Control::read(kind, fin, content, &mut decompressor) {
                Ok(control) => found.push_str(&format!("{control:?} ")),
                Err(error) => return format!("{found} {error}"),
            },
        }
    }
    found
}

async fn serve(input: &[u8]) -> String {
    let (near, far) = tokio::io::duplex(ROOM);
    let mut session = Session::serve(near);
    let (mut answers, mut questions) = tokio::io::split(far);
    let client = async {
        // A session that has had enough does not read on.
        let _ = questions.write_all(input).await;
        let _ = questions.shutdown().await;
        let mut answered = Vec::new();
        let _ = answers.read_to_end(&mut answered).await;
        answered.len()
    };
    let server = async {
        let mut bytes = 0;
        // Each is read as it comes: one that is not holds up the others.
        let mut streams = FuturesUnordered::new();
        loop {
            tokio::select! {
                stream = session.accept() => match stream {
                    Some(stream) => streams.push(read_all(stream)),
                    None => break,
                },
                Some(read) = streams.next() => bytes += read,
            }
        }
        while let Some(read) = streams.next().await {
            bytes += read;
        }
        session.close().await;
        bytes
    };
    let (answered, bytes) = tokio::join!(client, server);
    format!("{} {}", answered.min(64), bytes.min(64))
}

async fn read_all(mut stream: Stream) -> usize {
    let mut bytes = 0;
    while let Some(chunk) = stream.reader.read().await {
        bytes += chunk.len();
    }
    bytes
}

#[test]
fn spdy_frames() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    Campaign::new("spdy_frames", Shape::Bytes).run(vec![conversation()], |input| {
        let ended = runtime.block_on(async { tokio::time::timeout(PATIENCE, serve(input)).await });
        format!("{} {}", frames(input), ended.expect("the session ends with its client"))
    });
}
