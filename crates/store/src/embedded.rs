//! The embedded engine: a write-ahead log that makes commits durable, and a redb file that holds everything older.
//!
//! # Shape
//! ```text
//! commit() --queue--> writer thread --append+sync--> store.wal      get(), list(), watch()
//!                          |                                               |
//!                          +--publish--> overlay, watchers <---------------+
//!                          +--checkpoint, now and then--> store.redb <-----+
//! ```
//! One thread commits; readers look at the overlay (what was committed since the last checkpoint) on top of a snapshot of
//! the tables, and never wait for it. Values live in the tables: memory holds only the overlay, bounded by
//! [`Config::checkpoint_bytes`], and a small page cache.
//!
//! # Why a log of our own in front of redb
//! A redb commit either costs one sync and, after a crash, a walk through the whole file (50 ms for every 20 MiB of
//! values), or two syncs. Appending to a log costs one sync and a sixth of the bytes, and after a crash only the log is
//! read back. Checkpoints are redb commits with quick-repair. FORMAT.md has the details.

mod open;
mod overlay;
mod plan;
mod record;
mod restore;
mod state;
mod tables;
#[cfg(test)]
mod tests;
mod wal;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use platform::clock::SharedClock;
use platform::random::SharedRandom;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

pub use open::OpenError;
pub use restore::{RestoreError, restore};

use self::state::{History, Listing, Shared, State, Stop};
use self::tables::Failure;
use self::writer::{Commit, Reply, Request, Writer};
use crate::watch::{Subscription, WATCH_QUEUE};
use crate::{Error, EventStream, Expect, HistoryLimits, KeyValue, Notice, Op, Revision, Snapshot, Store};

/// How many requests may wait for the writer; who comes later waits before the queue.
const REQUEST_QUEUE: usize = 1024;

/// How to open an embedded store.
#[derive(Clone)]
pub struct Config {
    /// The redb file; the log is beside it, with the extension `wal`. Both are made if missing.
    pub path: PathBuf,
    /// How much history to keep.
    pub history: HistoryLimits,
    /// Memory that commits may take before a checkpoint moves them into the tables.
    pub checkpoint_bytes: usize,
    /// How many commits a watcher may be behind.
    pub watch_queue: usize,
    /// Dates commits.
    pub clock: SharedClock,
    /// Names new stores.
    pub random: SharedRandom,
}

impl Config {
    /// The usual sizes.
    pub fn new(path: impl Into<PathBuf>, clock: SharedClock, random: SharedRandom) -> Self {
        let history = HistoryLimits::default();
        Self { path: path.into(), history, checkpoint_bytes: 1 << 20, watch_queue: WATCH_QUEUE, clock, random }
    }
}

/// Every file a store at this path may consist of, for whoever wants to remove it.
pub fn files(path: &Path) -> [PathBuf; 3] {
    [path.to_owned(), open::wal_path(path), open::unfinished_path(path)]
}

/// A store in a file. Dropping it without [`Store::close`] is safe for durable commits and loses volatile ones.
#[derive(Debug)]
pub struct EmbeddedStore {
    shared: Arc<Shared>,
    /// `None` only while it is dropped.
    queue: Option<mpsc::Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

impl EmbeddedStore {
    /// Opens or makes a store. Works for some milliseconds, mostly waiting for the disk.
    ///
    /// # Errors
    /// [`OpenError`] says what is in the way and what to do about it.
    pub fn open(config: &Config) -> Result<Self, OpenError> {
        let writer = open::open_files(config)?;
        Self::start(writer).map_err(|cause| OpenError::Io {
            act: "starting the writer thread of",
            path: config.path.clone(),
            cause,
        })
    }

    fn start(writer: Writer) -> std::io::Result<Self> {
        let shared = writer.shared.clone();
        let (queue, requests) = mpsc::channel(REQUEST_QUEUE);
        let thread = std::thread::Builder::new().name("store-writer".to_owned());
        let writer = thread.spawn(move || {
            let work = std::panic::AssertUnwindSafe(|| writer.run(requests));
            if std::panic::catch_unwind(work).is_err() {
                error!("the store's writer panicked; stopping before it can do harm");
                std::process::abort();
            }
        })?;
        Ok(Self { shared, queue: Some(queue), writer: Some(writer) })
    }

    /// Puts a request to the writer and waits for its answer.
    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let queue = self.queue.as_ref().expect("the queue lives as long as the store");
        let sent = queue.send(request(reply)).await;
        match sent.ok() {
            Some(()) => answer.await.unwrap_or_else(|_| Err(self.stop().error())),
            None => Err(self.stop().error()),
        }
    }

    /// Why the writer no longer answers.
    fn stop(&self) -> Stop {
        self.shared.read().stopped.clone().expect("the writer says why before it drops its queue")
    }

    /// The history after a revision, if any was made, and everything from now on.
    fn subscribe(&self, prefix: &str, after: Revision) -> Result<(Option<History>, Subscription), Error> {
        self.check_kept(after)?;
        let mut state = self.shared.write();
        if let Some(stop) = &state.stopped {
            return Err(stop.error());
        }
        check_compacted(&state, after)?;
        let history = (after < state.head).then(|| History::new(&state, prefix, after));
        let live_after = after.max(state.head);
        Ok((history, state.hub.subscribe(prefix, live_after)))
    }

    /// Refuses revisions that a crash lost: who has seen them has seen commits that did not last, and must list again.
    fn check_kept(&self, after: Revision) -> Result<(), Error> {
        let (head, tables) = {
            let state = self.shared.read();
            check_compacted(&state, after)?;
            if after == state.compacted || after >= state.head || state.overlay.by_revision().contains_key(&after) {
                return Ok(());
            }
            (state.head, state.tables.clone())
        };
        match tables.record(after)? {
            Some(_) => Ok(()),
            None => Err(Error::Compacted { requested: after, oldest: head }),
        }
    }
}

fn check_compacted(state: &State, after: Revision) -> Result<(), Error> {
    if after < state.compacted {
        return Err(Error::Compacted { requested: after, oldest: state.compacted });
    }
    Ok(())
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.queue = None;
        // Its files are free for the next one to open when this returns. A panic has ended the process already.
        if let Some(Err(_)) = self.writer.take().map(JoinHandle::join) {
            error!("the store's writer panicked");
        }
    }
}

#[async_trait]
impl Store for EmbeddedStore {
    fn revision(&self) -> Revision {
        self.shared.read().head
    }

    async fn get(&self, key: &str) -> Result<Option<KeyValue>, Error> {
        // A read of one page, mostly from memory, is shorter than handing it to another thread.
        Ok(self.shared.newest(key)?.and_then(|record| record.key_value()))
    }

    async fn list(&self, prefix: &str) -> Result<Snapshot, Error> {
        let listing = Listing::new(&self.shared.read(), prefix);
        let revision = listing.revision;
        let items = off_thread(|| listing.read()).await?;
        Ok(Snapshot { revision, items })
    }

    async fn commit(&self, key: &str, expect: Expect, op: Op) -> Result<Revision, Error> {
        self.ask(|reply| Request::Commit(Commit { key: key.into(), expect, op, reply })).await
    }

    async fn watch(&self, prefix: &str, after: Revision) -> Result<EventStream, Error> {
        let (history, subscription) = self.subscribe(prefix, after)?;
        let live = subscription.into_stream();
        Ok(match history {
            Some(history) => {
                let reached = Notice::Reached(history.upto());
                replay(history).chain(stream::iter([Ok(reached)])).chain(live).boxed()
            }
            None => live.boxed(),
        })
    }

    async fn compact(&self, before: Revision) -> Result<(), Error> {
        self.ask(|reply| Request::Compact { before, reply }).await
    }

    async fn close(&self) -> Result<(), Error> {
        let outcome = self.ask(|reply| Request::Close { reply }).await;
        match &self.shared.read().stopped {
            Some(Stop::Closed) => Ok(()),
            _ => outcome,
        }
    }
}

/// Reads history piece by piece as it is asked for.
fn replay(history: History) -> impl futures::Stream<Item = Result<Notice, Error>> + Send {
    let pieces = stream::try_unfold(history, |mut history| async move {
        let piece = off_thread(move || history.next_piece().map(|piece| piece.map(|piece| (piece, history)))).await?;
        Ok::<_, Error>(piece)
    });
    pieces.map_ok(|events| stream::iter(events.into_iter().map(Notice::Commit).map(Ok))).try_flatten()
}

/// Runs what may wait for the disk where it holds up no other task.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Error> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::Engine(format!("reading was interrupted: {error}")))?.map_err(Error::from)
}

/// An error with its causes, in one line.
fn describe(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
