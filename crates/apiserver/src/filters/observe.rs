//! Counting requests, and telling their end: of most when they are answered, of those that take as long as they like
//! when their answer ends.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use hyper::body::Body as _;
use tokio::time::Instant;

use crate::api_server::Server;
use crate::audit::Record;
use crate::body::{Body, BodyError};
use crate::metrics::requests::{About, Running, ended};
use crate::request::{Request, Response};

/// A request that is being counted.
pub struct Observed {
    about: About,
    long: bool,
    since: Instant,
}

impl Observed {
    /// `None` for what is not counted.
    pub fn new(request: &Request) -> Option<Self> {
        let about = About::of(request)?;
        Some(Self { about, long: request.info.is_long_running(), since: Instant::now() })
    }

    /// Counts the answer; what goes on is counted as long as the result lives.
    fn answered(self, server: &Server, response: &Response) -> Option<Running> {
        let series = server.requests.series(self.about);
        let code = response.status().as_u16();
        if self.long {
            return Some(Running::new(Arc::clone(&series), code, self.since));
        }
        ended(&series, &self.about, code, self.since.elapsed(), response.body().size_hint().exact());
        None
    }
}

/// The answer is there: counts it, and lets the audit record live as long as it goes on.
pub fn answered(observed: Option<Observed>, record: Option<Record>, server: &Server, response: Response) -> Response {
    let running = observed.and_then(|observed| observed.answered(server, &response));
    if running.is_none() && record.is_none() {
        return response;
    }
    let (parts, body) = response.into_parts();
    let body = match body {
        Body::Stream(stream) => Body::Stream(Followed { stream, running, _record: record }.boxed()),
        body @ Body::Parts(_) => body,
    };
    Response::from_parts(parts, body)
}

/// A stream of parts that are counted; the request ends with it.
struct Followed {
    stream: BoxStream<'static, Result<Bytes, BodyError>>,
    running: Option<Running>,
    _record: Option<Record>,
}

impl Stream for Followed {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.stream.poll_next_unpin(context);
        if let (Poll::Ready(Some(Ok(part))), Some(running)) = (&next, &self.running) {
            running.sent(part.len());
        }
        next
    }
}
