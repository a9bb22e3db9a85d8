//! What some clients call a server behind a unix socket.
//!
//! `:authority` should name a host, `localhost` for want of a better one. Go's gRPC names the socket's path, as it is in
//! older versions and percent-encoded in newer ones, when it is given that path as the address; kubelets do not mind and
//! so device plugins do it. The HTTP/2 library here refuses such requests before anybody is asked. [`Lenient`] stands
//! between the socket and the library and makes the name harmless: every octet that no host's name has becomes a dash.
//!
//! Only literals that spell out the name are touched, and they keep their length once decoded: the tables of header
//! compression, which count lengths, stay the same on both sides.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::hpack;

const PREFACE: usize = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
const FRAME_HEAD: usize = 9;
/// More than the library accepts: it refuses the frame itself.
const FRAME_MAX: usize = 1 << 20;
const HEADERS: u8 = 1;
const END_HEADERS: u8 = 0x4;
const PADDED: u8 = 0x8;
const PRIORITY: u8 = 0x20;

/// A connection whose requests' authorities are made harmless as they are read.
pub struct Lenient<T> {
    inner: T,
    /// What has arrived and is not looked at yet: less than a frame.
    arrived: Vec<u8>,
    /// What may be read.
    ready: Vec<u8>,
    given: usize,
    /// How much follows that is not looked at.
    skip: usize,
}

impl<T> Lenient<T> {
    /// Around a connection of which nothing has been read.
    pub fn new(inner: T) -> Self {
        Self { inner, arrived: Vec::new(), ready: Vec::new(), given: 0, skip: PREFACE }
    }

    /// Moves what can be judged from `arrived` to `ready`.
    fn advance(&mut self) {
        loop {
            let passing = self.skip.min(self.arrived.len());
            self.ready.extend(self.arrived.drain(..passing));
            self.skip -= passing;
            let Some(head) = self.arrived.first_chunk::<FRAME_HEAD>() else { return };
            let length = usize::from(head[0]) << 16 | usize::from(head[1]) << 8 | usize::from(head[2]);
            if head[3] != HEADERS || head[4] & END_HEADERS == 0 || length > FRAME_MAX {
                self.skip = FRAME_HEAD + length;
                continue;
            }
            let end = FRAME_HEAD + length;
            if self.arrived.len() < end {
                return;
            }
            let frame: Vec<u8> = self.arrived.drain(..end).collect();
            self.ready.extend(harmless(&frame).unwrap_or(frame));
        }
    }
}

/// A frame of headers with another authority, if it needs one.
fn harmless(frame: &[u8]) -> Option<Vec<u8>> {
    let (head, payload) = frame.split_at_checked(FRAME_HEAD)?;
    let flags = head[4];
    let padding = if flags & PADDED == 0 { 0 } else { usize::from(*payload.first()?) };
    let start = usize::from(flags & PADDED != 0) + if flags & PRIORITY == 0 { 0 } else { 5 };
    let block = payload.get(start..payload.len().checked_sub(padding)?)?;
    let block = hpack::rewrite_authority(block, is_of_a_host, |octet| if is_of_a_host(octet) { octet } else { b'-' })?;
    // Padding was for hiding lengths; here both sides are one host's.
    let priority = &payload[usize::from(flags & PADDED != 0)..start];
    let length = u32::try_from(priority.len() + block.len()).ok()?.to_be_bytes();
    Some([&length[1..], &[HEADERS, flags & !PADDED], &head[5..], priority, &block].concat())
}

fn is_of_a_host(octet: u8) -> bool {
    octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_' | b':' | b'[' | b']')
}

impl<T: AsyncRead + Unpin> AsyncRead for Lenient<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        while this.given == this.ready.len() {
            this.ready.clear();
            this.given = 0;
            let mut chunk = [0; 4096];
            let mut chunk = ReadBuf::new(&mut chunk);
            ready!(Pin::new(&mut this.inner).poll_read(context, &mut chunk))?;
            if chunk.filled().is_empty() {
                // The end; half a frame is none.
                return Poll::Ready(Ok(()));
            }
            this.arrived.extend_from_slice(chunk.filled());
            this.advance();
        }
        let giving = into.remaining().min(this.ready.len() - this.given);
        into.put_slice(&this.ready[this.given..this.given + giving]);
        this.given += giving;
        Poll::Ready(Ok(()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Lenient<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame of headers with a block.
    fn frame(flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&length[1..], &[HEADERS, flags | END_HEADERS, 0, 0, 0, 1], payload].concat()
    }

    fn literal(value: &str) -> Vec<u8> {
        [&[0x41, u8::try_from(value.len()).unwrap()], value.as_bytes()].concat()
    }

    /// What comes out of a connection, however it was cut.
    async fn through(bytes: &[u8], cut: usize) -> Vec<u8> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut near, far) = tokio::io::duplex(1 << 16);
        for piece in bytes.chunks(cut) {
            near.write_all(piece).await.unwrap();
        }
        drop(near);
        let mut out = Vec::new();
        Lenient::new(far).read_to_end(&mut out).await.unwrap();
        out
    }

    #[tokio::test]
    async fn paths_become_names_and_everything_else_stays() {
        let preface = [b'p'; PREFACE];
        let data = [&[0, 0, 3, 0, 0, 0, 0, 0, 1], &b"a/b"[..]].concat();
        for (flags, payload, expected_flags, expected) in [
            (0, literal("/run/kubelet.sock"), 0, literal("-run-kubelet.sock")),
            (0, literal("%2Frun%2Fx"), 0, literal("-2Frun-2Fx")),
            (0, literal("localhost:80"), 0, literal("localhost:80")),
            (PADDED, [&[2][..], &literal("/x"), b"pp"].concat(), 0, literal("-x")),
            (PRIORITY, [b"12345", &literal("/x")[..]].concat(), PRIORITY, [b"12345", &literal("-x")[..]].concat()),
            (PADDED, vec![200, 1], PADDED, vec![200, 1]),
        ] {
            let bytes = [&preface[..], &data, &frame(flags, &payload), &data].concat();
            let wanted = [&preface[..], &data, &frame(expected_flags, &expected), &data].concat();
            for cut in [1, 7, bytes.len()] {
                assert_eq!(through(&bytes, cut).await, wanted, "{payload:?}");
            }
        }
    }
}
