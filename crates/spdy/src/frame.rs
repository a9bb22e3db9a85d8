//! Frames: eight bytes that say what follows, then that. Pure.

use bytes::Bytes;

use crate::headers::{Compressor, Decompressor, Headers, MAX_BLOCK};

/// Bytes before every frame's content.
pub const HEADER: usize = 8;

const VERSION: u16 = 3;
const CONTROL: u8 = 0x80;
const FIN: u8 = 0x01;

const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
const RST_STREAM: u16 = 3;
const PING: u16 = 6;
const GOAWAY: u16 = 7;
const HEADERS: u16 = 8;

/// Why a stream is refused.
pub const REFUSED_STREAM: u32 = 3;
/// Why a stream is given up.
pub const CANCEL: u32 = 5;

/// A connection that speaks something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Another version.
    #[error("version {0} of the protocol")]
    Version(u16),
    /// More than anybody needs.
    #[error("control frame of {0} bytes")]
    TooLarge(usize),
    /// Less than it takes.
    #[error("control frame of type {0} is cut short")]
    Short(u16),
    /// Nothing that decompresses to headers.
    #[error("malformed header block")]
    Headers,
}

/// What the next frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preamble {
    /// Data of a stream: `length` bytes follow.
    Data { stream: u32, fin: bool, length: usize },
    /// Anything else: `length` bytes follow for [`Control::read`].
    Control { kind: u16, fin: bool, length: usize },
}

impl Preamble {
    /// Reads the first bytes of a frame.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn read(header: [u8; HEADER]) -> Result<Self, FrameError> {
        let [a, b, c, d, flags, length @ ..] = header;
        let length = u32::from_be_bytes([0, length[0], length[1], length[2]]) as usize;
        let fin = flags & FIN != 0;
        if a & CONTROL == 0 {
            return Ok(Self::Data { stream: u32::from_be_bytes([a, b, c, d]), fin, length });
        }
        match u16::from_be_bytes([a & !CONTROL, b]) {
            VERSION if length <= MAX_BLOCK => Ok(Self::Control { kind: u16::from_be_bytes([c, d]), fin, length }),
            VERSION => Err(FrameError::TooLarge(length)),
            version => Err(FrameError::Version(version)),
        }
    }
}

/// A frame that is no data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Control {
    /// The other side opens a stream.
    SynStream { stream: u32, fin: bool, headers: Headers },
    /// It gives a stream up.
    Reset { stream: u32 },
    /// It wants to know whether we are there.
    Ping(u32),
    /// It opens no more streams.
    GoAway,
    /// Nothing we act on.
    Other,
}

impl Control {
    /// Reads a control frame's content.
    ///
    /// # Errors
    /// [`FrameError`].
    pub fn read(kind: u16, fin: bool, content: &[u8], headers: &mut Decompressor) -> Result<Self, FrameError> {
        let number = |at: usize| {
            let bytes = content.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map(u32::from_be_bytes).ok_or(FrameError::Short(kind))
        };
        let stream = || number(0).map(|stream| stream & 0x7fff_ffff);
        let block = |at: usize| content.get(at..).ok_or(FrameError::Short(kind));
        Ok(match kind {
            // After the id: the stream it belongs to, its priority, its slot.
            SYN_STREAM => Self::SynStream { stream: stream()?, fin, headers: headers.decompress(block(10)?)? },
            // Not for us, but part of the history that later blocks refer to.
            SYN_REPLY | HEADERS => headers.decompress(block(4)?).map(|_| Self::Other)?,
            RST_STREAM => Self::Reset { stream: stream()? },
            PING => Self::Ping(number(0)?),
            GOAWAY => Self::GoAway,
            _ => Self::Other,
        })
    }
}

/// A frame to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outgoing {
    /// Takes a stream the other side opened.
    SynReply { stream: u32 },
    /// Data, and whether it is the last.
    Data { stream: u32, data: Bytes, fin: bool },
    /// Gives a stream up.
    Reset { stream: u32, status: u32 },
    /// Answers a ping.
    Ping(u32),
    /// No more streams are taken.
    GoAway { last_stream: u32 },
}

impl Outgoing {
    /// The frame without its data, which follows it unchanged.
    pub fn head(&self, headers: &mut Compressor) -> Vec<u8> {
        match self {
            Self::SynReply { stream } => {
                let block = headers.compress(&Headers::default());
                control(SYN_REPLY, &[&stream.to_be_bytes(), &block])
            }
            Self::Data { stream, data, fin } => {
                [&stream.to_be_bytes()[..], &[if *fin { FIN } else { 0 }], &length(data.len())].concat()
            }
            Self::Reset { stream, status } => control(RST_STREAM, &[&stream.to_be_bytes(), &status.to_be_bytes()]),
            Self::Ping(id) => control(PING, &[&id.to_be_bytes()]),
            Self::GoAway { last_stream } => control(GOAWAY, &[&last_stream.to_be_bytes(), &0u32.to_be_bytes()]),
        }
    }
}

fn control(kind: u16, content: &[&[u8]]) -> Vec<u8> {
    let content = content.concat();
    let [version, rest] = VERSION.to_be_bytes();
    let [kind, kind_rest] = kind.to_be_bytes();
    [&[CONTROL | version, rest, kind, kind_rest, 0][..], &length(content.len()), &content].concat()
}

/// The three bytes a length has.
fn length(bytes: usize) -> [u8; 3] {
    let [_, length @ ..] = (bytes as u32).to_be_bytes();
    length
}
