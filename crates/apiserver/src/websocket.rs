//! Watches and logs as the messages of a WebSocket, the only endless answer that a script in a web page can read.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use futures::{SinkExt as _, StreamExt as _};
use http::header::{CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderValue, StatusCode};
use http_body_util::BodyExt as _;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use platform::tasks::{self, TaskKind};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::tungstenite::{Error as WebSocketError, Message};
use tracing::debug;

use crate::body::Body;
use crate::error::Error;
use crate::request::{Request, Response};

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Messages {
    /// Bytes as they come.
    Binary,
    /// The same in base64, as text.
    Base64,
    /// A line of text: an event of a watch in JSON.
    Lines,
    /// What a length of four bytes stands before: an event of a watch in protobuf.
    Framed,
}

/// A WebSocket that a client asked for.
pub struct WebSocket {
    connection: OnUpgrade,
    accept_key: String,
    protocol: HeaderValue,
    messages: Messages,
}

impl WebSocket {
    /// What a request asks for, if that is a WebSocket, with one of the known sub-protocols; the nameless one is for who
    /// names none. The request is a plain one afterwards.
    ///
    /// # Errors
    /// [`Error::BadRequest`] for a protocol nobody knows, and for half a handshake.
    pub fn of(request: &mut Request, known: &[(&str, Messages)]) -> Result<Option<Self>, Error> {
        let wanted = request.header(&UPGRADE).is_some_and(|name| name.eq_ignore_ascii_case("websocket"));
        let Some(connection) = request.upgrade.take_if(|_| wanted) else { return Ok(None) };
        let offered = request.header(&SEC_WEBSOCKET_PROTOCOL).unwrap_or_default();
        let mut offers = offered.split(',').map(str::trim);
        let found = offers.find_map(|offer| known.iter().find(|(name, _)| *name == offer));
        let Some((name, messages)) = found else {
            let known: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
            let text = format!("requested protocol(s) are not supported: [{offered}]; supports {known:?}");
            return Err(Error::BadRequest(text));
        };
        let key = request.headers.get(SEC_WEBSOCKET_KEY).ok_or_else(|| Error::bad_request("missing WebSocket key"))?;
        let accept_key = derive_accept_key(key.as_bytes());
        let protocol = HeaderValue::from_str(name).expect("protocols are header values");
        let messages = *messages;
        for header in [UPGRADE, CONNECTION, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL] {
            request.headers.remove(header);
        }
        Ok(Some(Self { connection, accept_key, protocol, messages }))
    }

    /// Switches protocols; what the body holds follows in messages, and the socket is closed after the last.
    pub fn carry(self, body: Body) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        let headers = response.headers_mut();
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        let key = HeaderValue::from_str(&self.accept_key).expect("base64 is a header value");
        headers.insert(SEC_WEBSOCKET_ACCEPT, key);
        if !self.protocol.is_empty() {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, self.protocol);
        }
        let (connection, splitter) = (self.connection, Splitter { messages: self.messages, rest: BytesMut::new() });
        tasks::spawn(TaskKind::Worker, "websocket", async move {
            match connection.await {
                Ok(connection) => {
                    if let Err(error) = send_all(TokioIo::new(connection), body, splitter).await {
                        debug!(%error, "websocket");
                    }
                }
                Err(error) => debug!(%error, "switching protocols"),
            }
        });
        response
    }
}

/// Sends what a body holds until it ends or the client leaves. What the client says is read for its pings and good-byes.
async fn send_all<S>(connection: S, mut body: Body, mut splitter: Splitter) -> Result<(), WebSocketError>
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let mut socket = WebSocketStream::from_raw_socket(connection, Role::Server, None).await;
    loop {
        tokio::select! {
            said = socket.next() => match said {
                Some(Ok(Message::Close(_))) | None => return Ok(()),
                Some(Ok(_)) => {}
                Some(Err(error)) => return Err(error),
            },
            frame = body.frame() => {
                let Some(Ok(frame)) = frame else { return socket.close(None).await };
                let Ok(data) = frame.into_data() else { continue };
                for message in splitter.split(&data) {
                    socket.send(message).await?;
                }
            }
        }
    }
}

/// Cuts a stream into messages.
struct Splitter {
    messages: Messages,
    /// The beginning of the next one.
    rest: BytesMut,
}

impl Splitter {
    fn split(&mut self, data: &[u8]) -> Vec<Message> {
        match self.messages {
            Messages::Binary => return vec![Message::Binary(Bytes::copy_from_slice(data))],
            Messages::Base64 => return vec![Message::Text(STANDARD.encode(data).into())],
            Messages::Lines | Messages::Framed => self.rest.extend_from_slice(data),
        }
        std::iter::from_fn(|| self.take()).collect()
    }

    /// The next message, once all of it is here.
    fn take(&mut self) -> Option<Message> {
        if self.messages == Messages::Lines {
            let end = self.rest.iter().position(|byte| *byte == b'\n')? + 1;
            let line = self.rest.split_to(end);
            return Some(Message::Text(String::from_utf8_lossy(&line).into_owned().into()));
        }
        let length = u32::from_be_bytes(*self.rest.first_chunk()?) as usize;
        (self.rest.len() >= 4 + length).then(|| Message::Binary(self.rest.split_to(4 + length).split_off(4).freeze()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(messages: Messages, chunks: &[&[u8]], expected: &[Message]) {
        let mut splitter = Splitter { messages, rest: BytesMut::new() };
        let found: Vec<Message> = chunks.iter().flat_map(|chunk| splitter.split(chunk)).collect();
        assert_eq!(found, expected, "{messages:?}");
    }

    #[test]
    fn streams_are_cut_into_messages() {
        let binary = |bytes: &'static [u8]| Message::Binary(Bytes::from_static(bytes));
        check(Messages::Binary, &[b"a\nb", b"\xff"], &[binary(b"a\nb"), binary(b"\xff")]);
        check(Messages::Base64, &[b"hello"], &[Message::Text("aGVsbG8=".into())]);
        let lines = [Message::Text("{1}\n".into()), Message::Text("{2}\n".into())];
        check(Messages::Lines, &[b"{1}\n{2", b"}", b"\n{3"], &lines);
        let frames = [binary(b"ab"), binary(b""), binary(b"c")];
        check(Messages::Framed, &[b"\0\0\0\x02a", b"b\0\0", b"\0\0\0\0\0\x01c\0"], &frames);
    }
}
