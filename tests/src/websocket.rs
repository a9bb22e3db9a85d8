//! A WebSocket client that is just good enough to speak Kubernetes' protocols for streams, octet by octet.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};

const TIMEOUT: Duration = Duration::from_secs(30);
const CLOSE: u8 = 8;

/// An open WebSocket.
pub struct WebSocket {
    stream: TcpStream,
    base64: bool,
}

/// What the server said instead of opening one, or the head of its answer.
pub type Head = String;

/// Asks an `http://` URL for a WebSocket with one sub-protocol, or none; the head of the answer comes with it.
///
/// # Errors
/// When nobody answers.
pub fn upgrade(url: &str, protocol: &str) -> Result<(TcpStream, Head)> {
    let (address, path) = url.strip_prefix("http://").and_then(|rest| rest.split_once('/')).context("an http URL")?;
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    let mut request = format!(
        "GET /{path} HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
    );
    if !protocol.is_empty() {
        request.push_str(&format!("Sec-WebSocket-Protocol: {protocol}\r\n"));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte)? == 1 {
        head.push(byte[0]);
    }
    Ok((stream, String::from_utf8(head)?))
}

impl WebSocket {
    /// Opens one.
    ///
    /// # Errors
    /// When the server does not agree to the sub-protocol.
    pub fn open(url: &str, protocol: &str) -> Result<Self> {
        let (stream, head) = upgrade(url, protocol)?;
        let agreed = format!("\r\nsec-websocket-protocol: {}\r\n", protocol.to_lowercase());
        ensure!(head.starts_with("HTTP/1.1 101") && head.to_lowercase().contains(&agreed), "{protocol}: {head}");
        Ok(Self { stream, base64: protocol.contains("base64") })
    }

    /// Sends data on a channel.
    ///
    /// # Errors
    /// When the server has left.
    pub fn send(&mut self, channel: u8, data: &[u8]) -> Result<()> {
        let (kind, payload) = match self.base64 {
            true => (1, format!("{channel}{}", encode(data)).into_bytes()),
            false => (2, [&[channel], data].concat()),
        };
        let length = u8::try_from(payload.len()).ok().filter(|length| *length < 126).context("a short message")?;
        // A mask of zeros masks nothing.
        Ok(self.stream.write_all(&[&[0x80 | kind, 0x80 | length, 0, 0, 0, 0], &payload[..]].concat())?)
    }

    /// The next message: its channel and data; nothing once the server has closed.
    ///
    /// # Errors
    /// When nothing comes, or nonsense.
    pub fn receive(&mut self) -> Result<Option<(u8, Vec<u8>)>> {
        let [first, second] = self.take::<2>()?;
        let length = match second {
            126 => usize::from(u16::from_be_bytes(self.take()?)),
            127 => usize::try_from(u64::from_be_bytes(self.take()?))?,
            short => usize::from(short),
        };
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload)?;
        if first & 0xf == CLOSE {
            return Ok(None);
        }
        let Some((channel, data)) = payload.split_first() else { bail!("a message without a channel") };
        Ok(Some(match self.base64 {
            true => (channel - b'0', decode(data)?),
            false => (*channel, data.to_vec()),
        }))
    }

    /// Everything of one channel until `done` says that it is enough, or the server closes.
    ///
    /// # Errors
    /// As [`WebSocket::receive`].
    pub fn collect(&mut self, channel: u8, done: impl Fn(&[u8]) -> bool) -> Result<Vec<u8>> {
        let mut collected = Vec::new();
        while !done(&collected) {
            match self.receive()? {
                Some((number, data)) if number == channel => collected.extend(data),
                Some(_) => {}
                None => break,
            }
        }
        Ok(collected)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.stream.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}

const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

fn encode(data: &[u8]) -> String {
    let mut text = String::new();
    for chunk in data.chunks(3) {
        let number = (0..3).fold(0_usize, |number, at| number << 8 | usize::from(chunk.get(at).copied().unwrap_or(0)));
        for at in 0..4 {
            let digit = DIGITS[number >> (18 - 6 * at) & 63];
            text.push(if at <= chunk.len() { char::from(digit) } else { '=' });
        }
    }
    text
}

fn decode(text: &[u8]) -> Result<Vec<u8>> {
    let mut data = Vec::new();
    let (mut number, mut bits) = (0_usize, 0);
    for digit in text.iter().filter(|digit| **digit != b'=') {
        let value = DIGITS.iter().position(|known| known == digit).context("base64")?;
        (number, bits) = (number << 6 | value, bits + 6);
        if bits >= 8 {
            bits -= 8;
            data.push(u8::try_from(number >> bits & 255)?);
        }
    }
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_others() {
        for (data, text) in
            [(&b""[..], ""), (b"h", "aA=="), (b"hi", "aGk="), (b"hi!", "aGkh"), (b"\xff\x00\x7f+", "/wB/Kw==")]
        {
            assert_eq!(encode(data), text);
            assert_eq!(decode(text.as_bytes()).unwrap(), data);
        }
    }
}
