//! How frames of channels travel in the messages of a WebSocket. Pure.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::body::Bytes;
use tokio_tungstenite::tungstenite::Message;

/// What a message of the client's means.
#[derive(Debug, PartialEq, Eq)]
pub enum Received {
    /// A frame: its first byte names the channel.
    Frame(Bytes),
    /// The client says good-bye.
    Close,
    /// Nothing.
    Nothing,
}

/// One message for each frame, in either of two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// As it is.
    Binary,
    /// As text: the channel's digit, then base64. For clients in browsers of old.
    Base64,
}

impl Codec {
    /// The message for a frame.
    pub fn encode(self, frame: Vec<u8>) -> Message {
        match (self, frame.split_first()) {
            (Self::Base64, Some((channel, data))) => {
                let mut text = String::from(char::from(b'0'.wrapping_add(*channel)));
                STANDARD.encode_string(data, &mut text);
                Message::Text(text.into())
            }
            _ => Message::Binary(frame.into()),
        }
    }

    /// What a message means. What makes no sense is ignored, as other servers do.
    pub fn decode(self, message: Message) -> Received {
        let bytes: Bytes = match message {
            Message::Binary(bytes) => bytes,
            Message::Text(text) => text.into(),
            Message::Close(_) => return Received::Close,
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => return Received::Nothing,
        };
        if self == Self::Binary {
            return Received::Frame(bytes);
        }
        let Some((digit, text)) = bytes.split_first() else { return Received::Nothing };
        match STANDARD.decode(text) {
            Ok(data) => Received::Frame([&[digit.wrapping_sub(b'0')], &data[..]].concat().into()),
            Err(_) => Received::Nothing,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_either_form() {
        for codec in [Codec::Binary, Codec::Base64] {
            for frame in [&b"\x01hello"[..], b"\x00", b"\x04\xff\x00"] {
                assert_eq!(codec.decode(codec.encode(frame.to_vec())), Received::Frame(frame.to_vec().into()));
            }
        }
        assert_eq!(Codec::Base64.encode(b"\x01hi".to_vec()), Message::Text("1aGk=".into()));
    }

    #[test]
    fn other_messages_mean_nothing() {
        assert_eq!(Codec::Base64.decode(Message::Text("0?!".into())), Received::Nothing);
        assert_eq!(Codec::Base64.decode(Message::Text("".into())), Received::Nothing);
        assert_eq!(Codec::Binary.decode(Message::Ping(Bytes::new())), Received::Nothing);
        assert_eq!(Codec::Binary.decode(Message::Close(None)), Received::Close);
    }
}
