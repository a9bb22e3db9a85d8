//! Counting requests: those with an end when they end, those without when their answer does.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use hyper::body::Body as _;
use tokio::time::Instant;

use crate::api_server::Server;
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

    /// The answer is there.
    pub fn answered(self, server: &Server, response: Response) -> Response {
        let series = server.requests.series(self.about);
        let code = response.status().as_u16();
        if !self.long {
            ended(&series, &self.about, code, self.since.elapsed(), response.body().size_hint().exact());
            return response;
        }
        let running = Running::new(Arc::clone(&series), code, self.since);
        let (parts, body) = response.into_parts();
        let body = match body {
            Body::Stream(stream) => Body::Stream(Counted { stream, running }.boxed()),
            body @ Body::Parts(_) => body,
        };
        Response::from_parts(parts, body)
    }
}

/// A stream of parts that are counted; the request ends with it.
struct Counted {
    stream: BoxStream<'static, Result<Bytes, BodyError>>,
    running: Running,
}

impl Stream for Counted {
    type Item = Result<Bytes, BodyError>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.stream.poll_next_unpin(context);
        if let Poll::Ready(Some(Ok(part))) = &next {
            self.running.sent(part.len());
        }
        next
    }
}
