mod fuzz;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;
use crate::dictionary::dictionary;
use crate::frame::{Control, FrameError, Outgoing, Preamble};
use crate::headers::{Compressor, Decompressor};

fn headers(entries: &[(&str, &str)]) -> Headers {
    Headers(entries.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
}

#[test]
fn header_blocks_share_one_history() {
    let (mut compressor, mut decompressor) = (Compressor::new(), Decompressor::new());
    let mut sizes = Vec::new();
    for number in 0..50 {
        let sent = headers(&[("streamtype", "error"), ("port", "8080"), ("requestid", &number.to_string())]);
        let block = compressor.compress(&sent);
        sizes.push(block.len());
        assert_eq!(decompressor.decompress(&block).unwrap(), sent);
    }
    assert!(sizes[49] < sizes[0], "{sizes:?}");
    let large = headers(&[("x", &"abcdefgh".repeat(2000))]);
    let block = compressor.compress(&large);
    assert_eq!(decompressor.decompress(&block).unwrap(), large);
}

#[test]
fn what_is_no_header_block_is_refused() {
    assert_eq!(Decompressor::new().decompress(b"junk"), Err(FrameError::Headers));
    // A bomb: it says little and means much.
    let mut compress = Compress::new(Compression::best(), true);
    compress.set_dictionary(&dictionary()).unwrap();
    let mut bomb = Vec::with_capacity(1 << 20);
    compress.compress_vec(&vec![0; 1 << 24], &mut bomb, FlushCompress::Sync).unwrap();
    assert_eq!(Decompressor::new().decompress(&bomb), Err(FrameError::Headers));
}

#[test]
fn frames_say_what_follows() {
    assert_eq!(Preamble::read([0, 0, 0, 5, 1, 0, 1, 2]), Ok(Preamble::Data { stream: 5, fin: true, length: 258 }));
    assert_eq!(Preamble::read([0x80, 3, 0, 6, 0, 0, 0, 4]), Ok(Preamble::Control { kind: 6, fin: false, length: 4 }));
    assert_eq!(Preamble::read([0x80, 2, 0, 6, 0, 0, 0, 4]), Err(FrameError::Version(2)));
    assert_eq!(Preamble::read([0x80, 3, 0, 1, 0, 0xff, 0, 0]), Err(FrameError::TooLarge(0xff_0000)));
    let read = |kind, content: &[u8]| Control::read(kind, false, content, &mut Decompressor::new());
    assert_eq!(read(6, &7u32.to_be_bytes()), Ok(Control::Ping(7)));
    assert_eq!(read(6, &[1]), Err(FrameError::Short(6)));
    assert_eq!(read(1, &[0; 9]), Err(FrameError::Short(1)));
    assert_eq!(read(4, &[]), Ok(Control::Other));
}

/// The client's side, frame by frame.
struct Client {
    connection: DuplexStream,
    compressor: Compressor,
}

impl Client {
    async fn open(&mut self, stream: u32, opened_with: &Headers) {
        let block = self.compressor.compress(opened_with);
        let content = [&stream.to_be_bytes()[..], &[0; 6], &block].concat();
        let head = [&[0x80, 3, 0, 1, 0, 0][..], &(content.len() as u16).to_be_bytes()].concat();
        self.connection.write_all(&[head, content].concat()).await.unwrap();
    }

    async fn send(&mut self, frame: Outgoing) {
        let mut bytes = frame.head(&mut self.compressor);
        if let Outgoing::Data { data, .. } = frame {
            bytes.extend(data);
        }
        self.connection.write_all(&bytes).await.unwrap();
    }

    async fn receive(&mut self) -> (Preamble, Vec<u8>) {
        let mut head = [0; 8];
        self.connection.read_exact(&mut head).await.unwrap();
        let preamble = Preamble::read(head).unwrap();
        let (Preamble::Data { length, .. } | Preamble::Control { length, .. }) = preamble;
        let mut content = vec![0; length];
        self.connection.read_exact(&mut content).await.unwrap();
        (preamble, content)
    }
}

fn connect() -> (Session, Client) {
    let (near, far) = tokio::io::duplex(1 << 16);
    (Session::serve(near), Client { connection: far, compressor: Compressor::new() })
}

#[tokio::test]
async fn a_stream_carries_bytes_both_ways() {
    let (mut session, mut client) = connect();
    client.open(1, &headers(&[("streamtype", "data"), ("port", "80")])).await;
    assert!(matches!(client.receive().await.0, Preamble::Control { kind: 2, .. }));
    let mut stream = session.accept().await.unwrap();
    assert_eq!(stream.headers.get("port"), Some("80"));

    client.send(Outgoing::Data { stream: 1, data: Bytes::from(vec![7; 40_000]), fin: true }).await;
    let mut got = 0;
    while let Some(chunk) = stream.reader.read().await {
        got += chunk.len();
    }
    assert_eq!(got, 40_000);

    stream.writer.write(Bytes::from_static(b"answer")).await.unwrap();
    stream.writer.finish().await;
    assert_eq!(client.receive().await, (Preamble::Data { stream: 1, fin: false, length: 6 }, b"answer".to_vec()));
    assert_eq!(client.receive().await, (Preamble::Data { stream: 1, fin: true, length: 0 }, Vec::new()));
    client.send(Outgoing::Ping(9)).await;
    assert_eq!(client.receive().await.1, 9u32.to_be_bytes());

    session.close().await;
    assert!(matches!(client.receive().await.0, Preamble::Control { kind: 7, .. }));
    assert_eq!(client.connection.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_client_that_leaves_or_babbles_ends_the_session() {
    let (mut session, client) = connect();
    drop(client);
    assert!(session.accept().await.is_none());

    let (mut session, mut client) = connect();
    client.open(1, &Headers::default()).await;
    let mut stream = session.accept().await.unwrap();
    client.connection.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    // 'G' is a data frame of a stream nobody opened; the rest is cut short.
    client.connection.shutdown().await.unwrap();
    assert!(stream.reader.read().await.is_none());
    assert!(session.accept().await.is_none());
}

#[tokio::test]
async fn a_reset_stream_ends() {
    let (mut session, mut client) = connect();
    client.open(3, &Headers::default()).await;
    let mut stream = session.accept().await.unwrap();
    client.send(Outgoing::Reset { stream: 3, status: 5 }).await;
    assert!(stream.reader.read().await.is_none());
    client.open(5, &Headers::default()).await;
    assert!(session.accept().await.is_some());
}
