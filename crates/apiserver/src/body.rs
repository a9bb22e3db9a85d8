//! Bodies of requests and responses.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::{Buf, Bytes, BytesMut};
use futures::stream::BoxStream;
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use crate::error::Error;

/// Any error of a body; a broken body ends its connection, nothing else can be said about it.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request, whatever transport it came by. Read once; the lock only makes requests shareable.
#[derive(Default)]
pub struct RequestBody(Mutex<UnsyncBoxBody<Bytes, BodyError>>);

impl RequestBody {
    /// Any body.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BodyError>,
    {
        Self(Mutex::new(UnsyncBoxBody::new(body.map_err(Into::into))))
    }

    /// The body, to read or forward.
    pub fn into_inner(self) -> UnsyncBoxBody<Bytes, BodyError> {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The largest request body, as upstream's.
pub const MAX_REQUEST_BYTES: usize = 3 * 1024 * 1024;

/// The body of a response: parts that exist already, or a stream of parts.
pub enum Body {
    /// Parts of a known total length, not copied together.
    Parts(VecDeque<Bytes>),
    /// Parts as they come.
    Stream(BoxStream<'static, Result<Bytes, BodyError>>),
}

impl Body {
    /// A body without bytes.
    pub fn empty() -> Self {
        Self::Parts(VecDeque::new())
    }

    /// A body of several parts in order.
    pub fn parts(parts: impl IntoIterator<Item = Bytes>) -> Self {
        Self::Parts(parts.into_iter().filter(|part| !part.is_empty()).collect())
    }
}

impl<T: Into<Bytes>> From<T> for Body {
    fn from(bytes: T) -> Self {
        Self::parts([bytes.into()])
    }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        match self.get_mut() {
            Self::Parts(parts) => Poll::Ready(parts.pop_front().map(|part| Ok(Frame::data(part)))),
            Self::Stream(stream) => {
                stream.as_mut().poll_next(context).map(|next| next.map(|item| item.map(Frame::data)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Parts(parts) if parts.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Parts(parts) => SizeHint::with_exact(parts.iter().map(|part| part.len() as u64).sum()),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// Reads a request body to its end.
///
/// # Errors
/// [`Error::TooLarge`] beyond [`MAX_REQUEST_BYTES`], [`Error::BadRequest`] when the connection breaks.
pub async fn read_all(body: RequestBody) -> Result<Bytes, Error> {
    let mut body = body.into_inner();
    let too_large = || Error::TooLarge(format!("limit is {MAX_REQUEST_BYTES}"));
    if body.size_hint().lower() > MAX_REQUEST_BYTES as u64 {
        return Err(too_large());
    }
    let mut first = Bytes::new();
    let mut all = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Error::BadRequest(format!("reading the request body: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if first.len() + all.len() + data.remaining() > MAX_REQUEST_BYTES {
            return Err(too_large());
        }
        if first.is_empty() && all.is_empty() {
            first = data; // most bodies are one frame: no copy
        } else {
            all.extend_from_slice(&std::mem::take(&mut first));
            all.extend_from_slice(&data);
        }
    }
    Ok(if all.is_empty() { first } else { all.freeze() })
}
