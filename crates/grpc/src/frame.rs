//! Messages in a body: a byte that says whether it is compressed, four with its length, the message.

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http::HeaderMap;
use http_body_util::BodyExt as _;
use hyper::body::Body;
use prost::Message;

use crate::status::{Code, Status};

const PREFIX_BYTES: usize = 5;

/// A message with its prefix, if it has no more than `max` bytes.
pub fn encode(message: &impl Message, max: usize) -> Result<Bytes, Status> {
    let length = message.encoded_len();
    if length > max {
        let words = format!("trying to send message larger than max ({length} vs. {max})");
        return Err(Status::new(Code::ResourceExhausted, words));
    }
    let mut frame = BytesMut::with_capacity(PREFIX_BYTES + length);
    frame.put_u8(0);
    frame.put_u32(u32::try_from(length).expect("it is below the limit"));
    message.encode(&mut frame).expect("the buffer is large enough");
    Ok(frame.freeze())
}

/// Takes the first whole message off the front of what has arrived, if it is all there.
fn take(arrived: &mut BytesMut, max: usize) -> Result<Option<Bytes>, Status> {
    let Some(mut prefix) = arrived.get(..PREFIX_BYTES) else { return Ok(None) };
    if prefix.get_u8() != 0 {
        return Err(Status::new(Code::Unimplemented, "compressed messages are not supported"));
    }
    let length = usize::try_from(prefix.get_u32()).unwrap_or(usize::MAX);
    if length > max {
        let words = format!("received message larger than max ({length} vs. {max})");
        return Err(Status::new(Code::ResourceExhausted, words));
    }
    if arrived.len() < PREFIX_BYTES + length {
        arrived.reserve(PREFIX_BYTES + length - arrived.len());
        return Ok(None);
    }
    arrived.advance(PREFIX_BYTES);
    Ok(Some(arrived.split_to(length).freeze()))
}

/// Reads messages from a body.
pub struct Reader<B> {
    body: B,
    arrived: BytesMut,
    max: usize,
    trailers: Option<HeaderMap>,
}

impl<B: Body<Data = Bytes, Error = hyper::Error> + Unpin> Reader<B> {
    /// Of messages with `max` bytes at most.
    pub fn new(body: B, max: usize) -> Self {
        Self { body, arrived: BytesMut::new(), max, trailers: None }
    }

    /// The next message, `None` at the end of the body.
    pub async fn next<M: Message + Default>(&mut self) -> Result<Option<M>, Status> {
        loop {
            if let Some(message) = take(&mut self.arrived, self.max)? {
                let undecodable = |error| Status::new(Code::Internal, format!("cannot decode the message: {error}"));
                return M::decode(message).map(Some).map_err(undecodable);
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.accept(frame),
                Some(Err(error)) => {
                    return Err(Status::new(Code::Unavailable, format!("the connection broke: {error}")));
                }
                None if self.arrived.is_empty() => return Ok(None),
                None => return Err(Status::new(Code::Internal, "the body ended within a message")),
            }
        }
    }

    /// What came after the last message.
    pub fn trailers(&self) -> Option<&HeaderMap> {
        self.trailers.as_ref()
    }

    fn accept(&mut self, frame: hyper::body::Frame<Bytes>) {
        match frame.into_data() {
            Ok(data) => self.arrived.extend_from_slice(&data),
            Err(frame) => self.trailers = frame.into_trailers().ok(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::MAX_MESSAGE_BYTES as MAX;

    #[test]
    fn messages_are_taken_once_they_are_whole() {
        let frame = encode(&"hello".to_owned(), MAX).unwrap();
        let mut arrived = BytesMut::new();
        for byte in &frame[..frame.len() - 1] {
            arrived.put_u8(*byte);
            assert_eq!(take(&mut arrived, MAX), Ok(None));
        }
        arrived.extend_from_slice(&frame[frame.len() - 1..]);
        arrived.extend_from_slice(&frame);
        for _ in 0..2 {
            let message = take(&mut arrived, MAX).unwrap().unwrap();
            assert_eq!(String::decode(message).unwrap(), "hello");
        }
        assert_eq!(take(&mut arrived, MAX), Ok(None));
    }

    #[test]
    fn hostile_prefixes_are_refused_before_memory_is_taken() {
        for (prefix, code) in
            [([1, 0, 0, 0, 1], Code::Unimplemented), ([0, 0xff, 0xff, 0xff, 0xff], Code::ResourceExhausted)]
        {
            let refused = take(&mut BytesMut::from(&prefix[..]), MAX).unwrap_err();
            assert_eq!(refused.code, code);
        }
    }
}
