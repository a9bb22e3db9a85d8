//! From wake-ups to passes: the same small machine under every controller.
//!
//! Handlers of watches put keys into a [`WorkQueue`]; workers take a key and reconcile it. A key says which object to
//! look at, never what happened, and a pass always reads the present state. A failed pass is repeated with growing
//! delays; a panic ends the pass, not the controller.

use std::fmt::Display;
use std::future::Future;
use std::hash::Hash;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use client::{WorkQueue, is_conflict, is_not_found};
use futures::FutureExt;
use platform::tasks::{TaskKind, spawn};
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, warn};

/// When a key is looked at next, besides on its next wake-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Only then.
    OnWakeUp,
    /// After this time.
    After(Duration),
}

/// What went wrong in a pass.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A request failed.
    #[error("{act}")]
    Request {
        /// What was being done.
        act: &'static str,
        /// Why it failed.
        source: kube::Error,
    },
    /// A certificate could not be signed.
    #[error("signing a certificate")]
    Sign {
        /// Why not.
        source: crate::certificates::AuthorityError,
    },
    /// A token could not be signed.
    #[error("signing a token")]
    SignToken {
        /// Why not.
        source: crate::service_account_tokens::SignError,
    },
    /// The file system said no.
    #[error("{act}")]
    Io {
        /// What was being done.
        act: &'static str,
        /// Why it failed.
        source: std::io::Error,
    },
}

impl Error {
    /// For `map_err`: names what was being done.
    pub fn during(act: &'static str) -> impl Fn(kube::Error) -> Self {
        move |source| Self::Request { act, source }
    }

    /// The same for the file system.
    pub fn during_io(act: &'static str) -> impl Fn(std::io::Error) -> Self {
        move |source| Self::Io { act, source }
    }

    /// Somebody else was faster: normal, the next pass sees what they did.
    fn is_race(&self) -> bool {
        matches!(self, Self::Request { source, .. } if is_conflict(source) || is_not_found(source))
    }
}

/// A controller.
pub trait Reconcile: Send + Sync + 'static {
    /// What it looks at in one pass.
    type Key: Clone + Eq + Hash + Display + Send + Sync + 'static;

    /// For logs and task names.
    const NAME: &'static str;

    /// One pass: reads the present state and brings it closer to what it should be.
    ///
    /// # Errors
    /// Any error repeats the pass later.
    fn reconcile(&self, key: &Self::Key) -> impl Future<Output = Result<Next, Error>> + Send;
}

type Worker = Pin<Box<dyn Future<Output = ()> + Send>>;

/// All workers of all controllers.
pub struct Workers {
    cancel: CancellationToken,
    workers: Vec<(&'static str, Worker)>,
}

impl Workers {
    /// Workers that stop when cancelled.
    pub fn new(cancel: CancellationToken) -> Self {
        Self { cancel, workers: Vec::new() }
    }

    /// Adds `count` workers that reconcile the keys of `queue`, once `ready` resolves.
    pub fn add<R: Reconcile>(
        &mut self,
        controller: R,
        queue: &WorkQueue<R::Key>,
        count: usize,
        ready: impl Future<Output = ()> + Send + 'static,
    ) {
        let (controller, ready) = (Arc::new(controller), ready.shared());
        for _ in 0..count {
            let (controller, queue, ready) = (Arc::clone(&controller), queue.clone(), ready.clone());
            let work = async move {
                ready.await;
                loop {
                    pass(&*controller, &queue).await;
                }
            };
            self.workers.push((R::NAME, Box::pin(work)));
        }
    }

    /// Runs until cancelled.
    pub async fn run(self) {
        let start = |(name, work): (&'static str, Worker)| {
            let cancel = self.cancel.clone();
            spawn(TaskKind::Component, name, async move {
                tokio::select! {
                    () = cancel.cancelled() => {}
                    () = work => {}
                }
            })
        };
        futures::future::join_all(self.workers.into_iter().map(start)).await;
    }
}

async fn pass<R: Reconcile>(controller: &R, queue: &WorkQueue<R::Key>) {
    let key = queue.next().await;
    match AssertUnwindSafe(controller.reconcile(&key)).catch_unwind().await {
        Ok(Ok(next)) => {
            queue.forget(&key);
            if let Next::After(delay) = next {
                queue.add_after(key.clone(), delay);
            }
        }
        Ok(Err(failure)) => {
            let cause = std::error::Error::source(&failure).map(ToString::to_string).unwrap_or_default();
            if failure.is_race() {
                debug!(controller = R::NAME, key = %*key, error = %failure, cause, "again");
            } else {
                warn!(controller = R::NAME, key = %*key, error = %failure, cause, "pass failed");
            }
            queue.add_failed(key.clone());
        }
        Err(_) => {
            error!(controller = R::NAME, key = %*key, "pass panicked");
            queue.add_failed(key.clone());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    struct Flaky {
        passes: Arc<AtomicU32>,
    }

    impl Reconcile for Flaky {
        type Key = String;
        const NAME: &'static str = "flaky";

        async fn reconcile(&self, key: &String) -> Result<Next, Error> {
            let pass = self.passes.fetch_add(1, Ordering::SeqCst);
            assert_ne!(pass, 0, "the first pass panics");
            if pass == 1 {
                let source = kube::Error::LinesCodecMaxLineLengthExceeded;
                return Err(Error::Request { act: "trying", source });
            }
            Ok(if key == "again" { Next::After(Duration::from_secs(60)) } else { Next::OnWakeUp })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_pass_that_fails_or_panics_is_repeated_and_a_good_one_is_not() {
        let (queue, passes) = (WorkQueue::new(), Arc::new(AtomicU32::new(0)));
        let cancel = CancellationToken::new();
        let mut workers = Workers::new(cancel.clone());
        workers.add(Flaky { passes: Arc::clone(&passes) }, &queue, 1, std::future::ready(()));
        let running = spawn(TaskKind::Worker, "workers", workers.run());
        queue.add("once".to_owned());
        tokio::time::sleep(Duration::from_secs(3600)).await;
        assert_eq!(passes.load(Ordering::SeqCst), 3);
        queue.add("again".to_owned());
        tokio::time::sleep(Duration::from_secs(90)).await;
        assert_eq!(passes.load(Ordering::SeqCst), 5);
        cancel.cancel();
        running.await.expect("ends");
    }
}
