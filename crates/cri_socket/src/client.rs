//! Using a runtime that others serve.

mod images;
mod relist;
mod runtime;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use grpc::{Channel, Endpoint};
use prost::Message;
use tokio::sync::Notify;

use crate::status;

/// How long a call may take, as upstream's `--runtime-request-timeout`.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// Why an endpoint cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// It is not the address of a unix socket.
    #[error("{0:?} is not the address of a unix socket, such as unix:///run/containerd/containerd.sock")]
    NotUnix(String),
}

/// A runtime behind a socket: `unix:///path`, or the path alone. Nothing is connected yet.
///
/// # Errors
/// [`EndpointError`] when the address has another form.
pub fn connect(endpoint: &str) -> Result<cri::Runtime, EndpointError> {
    let client =
        Client(Arc::new(Shared { channel: Channel::new(Endpoint::Unix(path(endpoint)?)), changed: Notify::new() }));
    Ok(cri::Runtime { runtime: Arc::new(client.clone()), images: Arc::new(client) })
}

fn path(endpoint: &str) -> Result<PathBuf, EndpointError> {
    let path = Path::new(endpoint.strip_prefix("unix://").unwrap_or(endpoint));
    if path.is_absolute() { Ok(path.to_owned()) } else { Err(EndpointError::NotUnix(endpoint.to_owned())) }
}

/// Both services of a runtime behind a socket.
#[derive(Debug, Clone)]
struct Client(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    channel: Channel,
    /// Told after each call that changed something.
    changed: Notify,
}

impl Client {
    async fn call<Q: Message, A: Message + Default>(&self, path: &'static str, request: Q) -> cri::Result<A> {
        self.call_within(path, request, Some(REQUEST_TIMEOUT)).await
    }

    async fn call_within<Q: Message, A: Message + Default>(
        &self,
        path: &'static str,
        request: Q,
        timeout: Option<Duration>,
    ) -> cri::Result<A> {
        self.0.channel.unary(path, &request, timeout).await.map_err(status::to_cri)
    }

    /// Calls something that changes sandboxes or containers.
    async fn change<Q: Message, A: Message + Default>(
        &self,
        path: &'static str,
        request: Q,
        timeout: Duration,
    ) -> cri::Result<A> {
        let outcome = self.call_within(path, request, Some(timeout)).await;
        self.0.changed.notify_one();
        outcome
    }
}

/// A part that an answer must have.
fn present<T>(part: Option<T>, name: &str) -> cri::Result<T> {
    part.ok_or_else(|| cri::Error::Failed(format!("the runtime's answer has no {name}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_unix_sockets() {
        for good in ["unix:///run/c.sock", "/run/c.sock"] {
            assert_eq!(path(good).unwrap(), Path::new("/run/c.sock"), "{good}");
        }
        for bad in ["", "c.sock", "tcp://127.0.0.1:1", "unix://c.sock", "npipe:////./pipe/x"] {
            assert!(path(bad).is_err(), "{bad}");
        }
    }
}
