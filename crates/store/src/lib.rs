//! Revisioned keys and bytes: what the API server keeps everything in.
//!
//! One trait, [`Store`], and engines that pass one test suite: the embedded one ([`embedded`], a redb file), etcd
//! ([`mod@etcd`]), and an in-memory one ([`memory`]) for tests and simulation. The store knows keys, bytes and
//! revisions; it must never know what an object is, and no component but the API server may hold one.
//!
//! # What always holds
//! - Revisions start at 1, grow by one per commit and are never reused, across restarts and crashes too. With etcd, which
//!   others write to as well, they grow by at least one.
//! - A durable commit is on disk before it is acknowledged. A volatile one ([`Tier::Volatile`]) takes a revision like
//!   any other, is visible at once, and reaches the disk lazily; a crash may lose it but never reuses its revision.
//! - Watchers see every commit once, in revision order, and never one that a reader could not see.

pub mod embedded;
pub mod etcd;
mod history;
pub mod memory;
pub mod snapshot;
#[cfg(test)]
mod tests;
mod watch;

pub use history::HistoryLimits;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;

/// The store's counter: the state after that many commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Revision(pub u64);

/// A key with its value and the commits that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// The key, for instance `/registry/pods/default/web`.
    pub key: Arc<str>,
    /// The value.
    pub value: Bytes,
    /// The commit that wrote this value.
    pub revision: Revision,
}

/// What must be true of a key for a commit to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key must not exist.
    Absent,
    /// The key must have been written last at this revision.
    Revision(Revision),
}

impl Expect {
    /// Whether it is true of a key that holds `current`.
    pub fn holds(self, current: Option<&KeyValue>) -> bool {
        match self {
            Self::Absent => current.is_none(),
            Self::Revision(revision) => current.is_some_and(|item| item.revision == revision),
        }
    }
}

/// How soon a value must reach the disk. A key keeps the tier of its last put; removing it is as urgent as that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tier {
    /// Before the commit is acknowledged.
    Durable,
    /// Some time later, at a clean stop at the latest; may be lost in a crash. For heartbeats and events.
    Volatile,
}

/// What a commit does to its key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes a value.
    Put {
        /// The value.
        value: Bytes,
        /// How soon it must reach the disk.
        tier: Tier,
        /// How long the key lives unless it is written again. Only for engines that keep time ([`Store::keeps_time`]);
        /// the others leave the key where it is.
        time_to_live: Option<Duration>,
    },
    /// Removes the key.
    Delete,
}

impl Op {
    /// Length of the value it writes.
    pub(crate) fn value_bytes(&self) -> usize {
        match self {
            Self::Put { value, .. } => value.len(),
            Self::Delete => 0,
        }
    }
}

/// One commit as watchers see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The key.
    pub key: Arc<str>,
    /// The value written, or `None` when the key was removed.
    pub value: Option<Bytes>,
    /// What the key held before, with the revision that wrote it. etcd may have forgotten it in the first commit after
    /// a compaction.
    pub previous: Option<(Bytes, Revision)>,
    /// The commit.
    pub revision: Revision,
}

/// The keys under a prefix at one revision, in key order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// The state they are of.
    pub revision: Revision,
    /// The keys and values.
    pub items: Vec<KeyValue>,
}

/// What a watch says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A commit under the prefix.
    Commit(Event),
    /// Every commit up to this revision has been told: at the end of the history a watch began with, and, from engines
    /// that others write to as well, now and then.
    Reached(Revision),
}

/// A watch: commits in revision order; an error is the last item. Without one it ends when the store is closed.
pub type EventStream = BoxStream<'static, Result<Notice, Error>>;

/// Why the store did not do as asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The expectation did not hold; the present value comes along so that the caller can tell why.
    #[error("the key is not in the expected state")]
    Conflict {
        /// What the key holds, if it exists.
        current: Option<KeyValue>,
    },
    /// The history asked for is no longer kept.
    #[error("revision {requested:?} is older than the oldest kept, {oldest:?}")]
    Compacted {
        /// What was asked for.
        requested: Revision,
        /// The oldest revision after which a watch can start.
        oldest: Revision,
    },
    /// A watcher read too slowly and was dropped.
    #[error("the watcher fell too far behind")]
    Lagged,
    /// Another process did not do it, or it is not known whether it did; it may do it when asked again.
    #[error("{0}")]
    Remote(String),
    /// The engine failed; nothing was acknowledged that is not durable.
    #[error("store: {0}")]
    Engine(String),
}

impl Error {
    /// What every call gets once the store is closed.
    pub(crate) fn closed() -> Self {
        Self::Engine("it is closed".to_owned())
    }
}

/// Keys, bytes and revisions.
#[async_trait]
pub trait Store: Send + Sync {
    /// The newest revision this process knows of; readers can see it.
    fn revision(&self) -> Revision;

    /// The newest revision there is, whoever wrote it, at some moment during this call.
    ///
    /// # Errors
    /// [`Error::Remote`].
    async fn latest(&self) -> Result<Revision, Error> {
        Ok(self.revision())
    }

    /// Whether the engine removes keys at the end of their `time_to_live`. Otherwise somebody else has to.
    fn keeps_time(&self) -> bool {
        false
    }

    /// One key.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Remote`].
    async fn get(&self, key: &str) -> Result<Option<KeyValue>, Error>;

    /// All keys under a prefix, as of one revision (the newest).
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Remote`].
    async fn list(&self, prefix: &str) -> Result<Snapshot, Error>;

    /// Writes or removes one key if it is as expected. Returns the new revision; when it returns, the new state is
    /// visible to every reader and, if durable, on disk. Removing an absent key is a [`Error::Conflict`].
    ///
    /// # Errors
    /// [`Error::Conflict`] when the expectation does not hold, [`Error::Engine`], [`Error::Remote`].
    async fn commit(&self, key: &str, expect: Expect, op: Op) -> Result<Revision, Error>;

    /// Every commit under a prefix after a revision.
    ///
    /// # Errors
    /// [`Error::Compacted`] when that history is gone; the stream ends with [`Error::Lagged`] for a slow reader.
    async fn watch(&self, prefix: &str, after: Revision) -> Result<EventStream, Error>;

    /// Forgets history up to a revision, exclusive: watches can no longer start there.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Remote`].
    async fn compact(&self, before: Revision) -> Result<(), Error>;

    /// Brings everything volatile to disk and stops; later commits fail.
    ///
    /// # Errors
    /// [`Error::Engine`], [`Error::Remote`].
    async fn close(&self) -> Result<(), Error>;
}
