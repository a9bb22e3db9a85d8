//! What lies between components and the API server: requests that take time, fail, or are carried out without an answer,
//! and watches that stall and break.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use apiserver::{ApiServer, UserInfo};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::stream::BoxStream;
use futures::{StreamExt as _, stream};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use kube::Client;
use kube::client::Body;
use serde_json::json;
use testkit::dice::Dice;
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tower::Service as _;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
type Chunks = BoxStream<'static, Result<Frame<Bytes>, BoxError>>;

/// What befalls requests, in cases of a thousand. The default is a network without faults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// The longest a request takes on its way, and an answer on its way back.
    pub latency: Duration,
    /// Requests that fail before anything is done: 429, 500, 503 or a broken connection.
    pub failed: usize,
    /// Requests that are carried out and not answered.
    pub lost: usize,
    /// Updates and patches that are told of a conflict.
    pub conflicts: usize,
    /// Starts of watches that are told that their past is forgotten.
    pub forgotten: usize,
    /// Parts of a watch that come late.
    pub stalled: usize,
    /// The longest a part of a watch is late.
    pub stall: Duration,
    /// The longest a watch lives; zero for as long as it likes.
    pub watch: Duration,
}

/// The one way to the API server.
pub struct Network {
    state: Mutex<State>,
}

struct State {
    server: Option<Arc<ApiServer>>,
    down: CancellationToken,
    faults: Faults,
    dice: Dice,
}

/// What becomes of one request.
enum Fate {
    Answered { before: Duration, after: Duration },
    Lost { before: Duration },
    Refused { before: Duration, code: u16 },
    Broken,
}

/// The connection is gone; nobody knows what became of the request.
#[derive(Debug, thiserror::Error)]
#[error("connection closed")]
struct Closed;

impl Network {
    /// A network without faults that leads nowhere yet.
    pub fn new(seed: u64) -> Arc<Self> {
        let dice = Dice::new(seed);
        let state = State { server: None, down: CancellationToken::new(), faults: Faults::default(), dice };
        Arc::new(Self { state: Mutex::new(state) })
    }

    /// Another server answers, or nobody: every connection to the one before breaks.
    pub fn lead_to(&self, server: Option<Arc<ApiServer>>) {
        let mut state = self.lock();
        state.down.cancel();
        state.down = CancellationToken::new();
        if let Some(old) = std::mem::replace(&mut state.server, server) {
            old.shut_down();
        }
    }

    /// Whether somebody answers.
    pub fn is_up(&self) -> bool {
        self.lock().server.is_some()
    }

    /// What befalls requests from now on.
    pub fn set_faults(&self, faults: Faults) {
        self.lock().faults = faults;
    }

    /// A client of somebody who lives until `alive` is cancelled. Requests of the dead go nowhere.
    pub fn client(self: &Arc<Self>, user: UserInfo, alive: CancellationToken) -> Client {
        Client::new(Wire { network: Arc::clone(self), user, alive, spared: false }, "default")
    }

    /// A client whom no fault befalls but that the server is not there.
    pub fn spared_client(self: &Arc<Self>, user: UserInfo) -> Client {
        let alive = CancellationToken::new();
        Client::new(Wire { network: Arc::clone(self), user, alive, spared: true }, "default")
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server(&self) -> Option<(Arc<ApiServer>, CancellationToken)> {
        let state = self.lock();
        Some((Arc::clone(state.server.as_ref()?), state.down.clone()))
    }

    fn fate<B>(&self, request: &Request<B>) -> Fate {
        let mut state = self.lock();
        let (faults, dice) = (state.faults, &mut state.dice);
        let (before, after) = (dice.up_to(faults.latency), dice.up_to(faults.latency));
        let is_change = matches!(*request.method(), Method::PUT | Method::PATCH);
        if dice.per_mille(faults.failed) {
            return match *dice.choose(&[429, 500, 503, 0]) {
                0 => Fate::Broken,
                code => Fate::Refused { before, code },
            };
        }
        if is_change && dice.per_mille(faults.conflicts) {
            return Fate::Refused { before, code: 409 };
        }
        if is_watch(request) && dice.per_mille(faults.forgotten) {
            return Fate::Refused { before, code: 410 };
        }
        if dice.per_mille(faults.lost) {
            return Fate::Lost { before };
        }
        Fate::Answered { before, after }
    }

    /// How late the next part of a watch is.
    fn stall(&self) -> Duration {
        let mut state = self.lock();
        let faults = state.faults;
        let late = state.dice.per_mille(faults.stalled);
        state.dice.up_to(if late { faults.stall } else { faults.latency })
    }

    /// How long a watch lives.
    fn watch_life(&self) -> Option<Duration> {
        let mut state = self.lock();
        let longest = state.faults.watch;
        (!longest.is_zero()).then(|| state.dice.up_to(longest))
    }
}

fn is_watch<B>(request: &Request<B>) -> bool {
    request.uri().query().is_some_and(|query| query.split('&').any(|pair| pair == "watch=true"))
}

/// One component's transport.
#[derive(Clone)]
struct Wire {
    network: Arc<Network>,
    user: UserInfo,
    alive: CancellationToken,
    spared: bool,
}

impl tower::Service<Request<Body>> for Wire {
    type Response = Response<StreamBody<Chunks>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let wire = self.clone();
        Box::pin(async move {
            let alive = wire.alive.clone();
            tokio::select! {
                biased;
                () = alive.cancelled() => Err(Closed.into()),
                answer = wire.deliver(request) => answer,
            }
        })
    }
}

impl Wire {
    async fn deliver(self, request: Request<Body>) -> Result<Response<StreamBody<Chunks>>, BoxError> {
        if self.spared {
            return self.carry_out(request).await;
        }
        match self.network.fate(&request) {
            Fate::Broken => Err(Closed.into()),
            Fate::Refused { before, code } => {
                sleep(before).await;
                Ok(refusal(code))
            }
            Fate::Lost { before } => {
                sleep(before).await;
                self.carry_out(request).await?;
                Err(Closed.into())
            }
            Fate::Answered { before, after } => {
                sleep(before).await;
                let answer = self.carry_out(request).await?;
                sleep(after).await;
                Ok(answer)
            }
        }
    }

    async fn carry_out(&self, request: Request<Body>) -> Result<Response<StreamBody<Chunks>>, BoxError> {
        let watch = is_watch(&request);
        let (server, down) = self.network.server().ok_or(Closed)?;
        let mut service = server.in_process(self.user.clone());
        let answer = tokio::select! {
            biased;
            () = down.cancelled() => return Err(Closed.into()),
            Ok(answer) = service.call(request) => answer,
        };
        let chunks = |body: apiserver::body::Body| body.into_data_stream().map(|part| part.map(Frame::data)).boxed();
        Ok(answer.map(|body| {
            let chunks = chunks(body);
            StreamBody::new(if watch && !self.spared { self.watched(chunks, down) } else { chunks })
        }))
    }

    /// A watch as it arrives.
    fn watched(&self, chunks: Chunks, down: CancellationToken) -> Chunks {
        let end = self.network.watch_life().map(|life| Instant::now() + life);
        let (network, alive) = (Arc::clone(&self.network), self.alive.clone());
        let watch = Watch { chunks, network, alive, down, end };
        stream::unfold(Some(watch), |watch| async move {
            let mut watch = watch?;
            let part = watch.next().await?;
            let open = part.is_ok().then_some(watch);
            Some((part, open))
        })
        .boxed()
    }
}

/// A watch on its way.
struct Watch {
    chunks: Chunks,
    network: Arc<Network>,
    alive: CancellationToken,
    down: CancellationToken,
    end: Option<Instant>,
}

impl Watch {
    async fn next(&mut self) -> Option<Result<Frame<Bytes>, BoxError>> {
        let end = self.end;
        let over = async move {
            match end {
                Some(end) => sleep_until(end).await,
                None => std::future::pending().await,
            }
        };
        let (chunks, network) = (&mut self.chunks, &self.network);
        let late = async {
            let part = chunks.next().await;
            sleep(network.stall()).await;
            part
        };
        tokio::select! {
            biased;
            () = self.alive.cancelled() => Some(Err(Closed.into())),
            () = self.down.cancelled() => Some(Err(Closed.into())),
            () = over => None,
            part = late => part,
        }
    }
}

fn refusal(code: u16) -> Response<StreamBody<Chunks>> {
    let reason = match code {
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                         "message": "the simulation says no", "reason": reason, "code": code });
    let text = Bytes::from(status.to_string());
    let mut response = Response::new(StreamBody::new(stream::iter([Ok(Frame::data(text))]).boxed()));
    *response.status_mut() = http::StatusCode::from_u16(code).expect("a status code");
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}
