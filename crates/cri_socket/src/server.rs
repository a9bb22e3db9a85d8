//! Serving a runtime to others.

mod images;
mod methods;
mod streaming;

use std::io;
use std::path::Path;
use std::sync::Arc;

use grpc::Router;
use platform::random::SharedRandom;
use tokio::net::UnixListener;
use tokio_util::sync::CancellationToken;

pub(crate) use streaming::StreamingGate;

/// A runtime's socket, with the loopback port that exec and attach URLs lead to.
pub struct CriServer {
    listener: UnixListener,
    router: Router,
    gate: Arc<StreamingGate>,
}

impl CriServer {
    /// Listens, on a socket that only its owner may use; nothing is answered before [`run`](Self::run).
    ///
    /// # Errors
    /// When the socket or a loopback port cannot be had.
    pub async fn listen(socket: &Path, runtime: &cri::Runtime, random: SharedRandom) -> io::Result<Self> {
        let listener = grpc::socket::listen(socket)?;
        let gate = StreamingGate::listen(Arc::clone(&runtime.runtime), random).await?;
        let router = methods::routes(Router::new(), &runtime.runtime, &gate);
        Ok(Self { listener, router: images::routes(router, &runtime.images), gate })
    }

    /// Answers until cancelled.
    pub async fn run(self, cancel: CancellationToken) {
        tokio::join!(grpc::serve(self.listener, self.router, cancel.clone()), self.gate.run(&cancel));
    }
}

/// Answers a method with one call of a service.
macro_rules! unary {
    ($router:ident, $service:expr, $path:expr, |$target:ident, $request:ident: $type:ty| $answer:expr) => {{
        let service = std::sync::Arc::clone($service);
        $router = $router.unary($path, move |$request: $type| {
            let $target = std::sync::Arc::clone(&service);
            async move {
                let call = async move { Ok($answer) };
                let outcome: cri::Result<_> = call.await;
                outcome.map_err(crate::status::to_grpc)
            }
        });
    }};
}

/// Answers a method with the items of a list, a bounded number in each message. Requests and messages of these methods
/// are on the wire what those of the plain list are.
macro_rules! list_stream {
    ($router:ident, $service:expr, $path:expr, |$target:ident, $request:ident: $type:ty| $list:expr, $message:expr) => {{
        let service = std::sync::Arc::clone($service);
        $router = $router.server_stream($path, move |$request: $type| {
            let $target = std::sync::Arc::clone(&service);
            async move {
                let list: cri::Result<_> = async move { Ok($list) }.await;
                let items = list.map_err(crate::status::to_grpc)?;
                let messages: Vec<_> = items.chunks(crate::server::ITEMS_PER_MESSAGE).map(<[_]>::to_vec).collect();
                Ok(futures::StreamExt::boxed(futures::stream::iter(messages.into_iter().map($message).map(Ok))))
            }
        });
    }};
}

pub(crate) use {list_stream, unary};

/// So many items stay far below what a message may hold.
pub(crate) const ITEMS_PER_MESSAGE: usize = 100;

/// A part that a request cannot do without.
fn required<T>(part: Option<T>, name: &str) -> cri::Result<T> {
    part.ok_or_else(|| cri::Error::InvalidArgument(format!("the request has no {name}")))
}
