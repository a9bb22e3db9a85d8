//! Handing commits to watchers.
//!
//! # Guarantees
//! - A watcher sees every commit under its prefix after its start, once and in order, or its stream ends with an error.
//! - Publishing never waits: a watcher whose queue is full is cut off, drains what it was given, and reads
//!   [`Error::Lagged`] last.

use std::sync::{Arc, OnceLock};

use futures::Stream;
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{Error, Event, Notice, Revision};

/// How many commits a watcher may be behind before it is cut off.
pub(crate) const WATCH_QUEUE: usize = 8192;

/// All watchers of one store. The engines keep it under the lock that guards what readers see, so that a commit
/// becomes visible and reaches the queues in one step.
#[derive(Debug)]
pub(crate) struct Hub {
    watchers: Vec<Watcher>,
    queue: usize,
}

#[derive(Debug)]
struct Watcher {
    prefix: Box<str>,
    after: Revision,
    sender: mpsc::Sender<Event>,
    end: Arc<OnceLock<Error>>,
}

/// The receiving end of one watch.
#[derive(Debug)]
pub(crate) struct Subscription {
    receiver: mpsc::Receiver<Event>,
    end: Arc<OnceLock<Error>>,
}

impl Hub {
    pub(crate) fn new(queue: usize) -> Self {
        Self { watchers: Vec::new(), queue }
    }

    /// Every commit under `prefix` with a revision greater than `after` that is published from now on.
    pub(crate) fn subscribe(&mut self, prefix: &str, after: Revision) -> Subscription {
        self.watchers.retain(|watcher| !watcher.sender.is_closed());
        let (sender, receiver) = mpsc::channel(self.queue);
        let end = Arc::new(OnceLock::new());
        self.watchers.push(Watcher { prefix: prefix.into(), after, sender, end: end.clone() });
        Subscription { receiver, end }
    }

    /// Hands out commits, which must be in revision order, also across calls.
    pub(crate) fn publish(&mut self, events: &[Event]) {
        self.watchers.retain(|watcher| watcher.offer(events));
    }

    /// Ends every watch: each drains its queue and then reads this error, if there is one.
    pub(crate) fn end(&mut self, error: Option<&Error>) {
        for watcher in self.watchers.drain(..) {
            if let Some(error) = error {
                watcher.finish(error.clone());
            }
        }
    }
}

impl Watcher {
    /// Whether the watcher goes on watching.
    fn offer(&self, events: &[Event]) -> bool {
        for event in events {
            if event.revision <= self.after || !event.key.starts_with(&*self.prefix) {
                continue;
            }
            match self.sender.try_send(event.clone()) {
                Ok(()) => {}
                Err(TrySendError::Full(_)) => {
                    self.finish(Error::Lagged);
                    return false;
                }
                Err(TrySendError::Closed(_)) => return false,
            }
        }
        !self.sender.is_closed()
    }

    fn finish(&self, error: Error) {
        // A watcher is removed as soon as it has an end, so nothing can have been set before.
        let _ = self.end.set(error);
    }
}

impl Subscription {
    /// The commits, then the error that ended the watch, if one did.
    pub(crate) fn into_stream(self) -> impl Stream<Item = Result<Notice, Error>> + Send + 'static {
        futures::stream::unfold(Some(self), |subscription| async move {
            let mut subscription = subscription?;
            if let Some(event) = subscription.receiver.recv().await {
                return Some((Ok(Notice::Commit(event)), Some(subscription)));
            }
            let error = subscription.end.get().cloned()?;
            Some((Err(error), None))
        })
    }
}
