//! The writer: the one thread that commits.
//!
//! # Flow
//! Take everything that is queued, decide each commit in turn against the newest state, make the lot durable with one
//! append to the write-ahead log, publish it, answer. While the disk works, the next lot gathers: one client waits for
//! one sync, many share one. When the log or the overlay has grown enough, a checkpoint moves it into the tables.
//!
//! # Guarantees
//! - The log holds commits without holes: whatever precedes a durable commit, volatile ones included, is on disk with it.
//! - No revision is handed out above what is reserved on disk.
//! - After a failure nothing more is committed; what the disk holds is found out by opening it again.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use platform::clock::SharedClock;
use tokio::sync::{mpsc, oneshot};
use tracing::error;

use super::overlay::Overlay;
use super::plan::{Batch, Newest, plan_batch};
use super::state::{Shared, Stop};
use super::tables::{Failure, Meta, Tables, Trim};
use super::wal::{RESERVED_BYTES, Wal, push_record};
use crate::{Error, Expect, HistoryLimits, Op, Revision};

/// How many revisions are reserved on disk at a time; a crash leaves a gap of at most that many.
pub(crate) const RESERVATION: u64 = 10_000;
/// The most commits decided at once.
const BATCH_COMMITS: usize = 1024;
/// A batch takes no more commits once its values have this size.
const BATCH_BYTES: usize = 4 << 20;
/// A checkpoint is due once the log holds this much, so that it seldom outgrows the space kept for it.
const CHECKPOINT_LOG_BYTES: u64 = RESERVED_BYTES / 4 * 3;

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<Result<T, Error>>;

/// What the writer is asked for.
#[derive(Debug)]
pub(crate) enum Request {
    /// Decide and make a commit.
    Commit(Commit),
    /// Forget history before a revision.
    Compact { before: Revision, reply: Reply<()> },
    /// Bring everything to disk and end.
    Close { reply: Reply<()> },
}

/// A commit somebody waits for.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) key: Arc<str>,
    pub(crate) expect: Expect,
    pub(crate) op: Op,
    pub(crate) reply: Reply<Revision>,
}

/// The writer's own state.
pub(crate) struct Writer {
    pub(crate) shared: Arc<Shared>,
    /// Written by checkpoints.
    pub(crate) tables: Tables,
    pub(crate) wal: Wal,
    pub(crate) clock: SharedClock,
    pub(crate) limits: HistoryLimits,
    pub(crate) checkpoint_bytes: usize,
    /// Revisions up to here are reserved on disk.
    pub(crate) reserved: Revision,
    /// Volatile commits that the next frame takes along.
    pub(crate) unwritten: Vec<u8>,
}

impl Writer {
    /// Works until asked to close, until the queue is dropped (which leaves volatile commits behind, like a crash), or
    /// until the disk fails.
    pub(crate) fn run(mut self, mut queue: mpsc::Receiver<Request>) {
        let (outcome, closing) = self.work(&mut queue);
        let Self { shared, tables, wal, .. } = self;
        // The files are free again before anybody learns that it is over.
        drop((tables, wal));
        shared.stop(match &outcome {
            Ok(()) => Stop::Closed,
            Err(failure) => Stop::Failed(failure.clone()),
        });
        if let Err(failure) = &outcome {
            error!(error = %failure, "the store stops");
        }
        if let Some(reply) = closing {
            let _ = reply.send(outcome);
        }
    }

    /// Returns how it went, and who waits for the end.
    fn work(&mut self, queue: &mut mpsc::Receiver<Request>) -> (Result<(), Error>, Option<Reply<()>>) {
        while let Some(first) = queue.blocking_recv() {
            match self.serve(first, queue) {
                Ok(None) => {}
                Ok(Some(reply)) => return (self.checkpoint(Revision(0), 0), Some(reply)),
                Err(failure) => return (Err(failure), None),
            }
        }
        (Ok(()), None)
    }

    /// Serves a request together with the commits that wait behind it. Returns who waits for the end, if that is due.
    fn serve(&mut self, first: Request, queue: &mut mpsc::Receiver<Request>) -> Result<Option<Reply<()>>, Error> {
        let mut commits = Vec::new();
        let mut bytes = 0;
        let mut next = Some(first);
        while let Some(request) = next {
            match request {
                Request::Commit(commit) => {
                    bytes += commit.op.value_bytes();
                    commits.push(commit);
                }
                Request::Compact { before, reply } => {
                    let outcome = self.commit(std::mem::take(&mut commits));
                    let outcome = outcome.and_then(|()| self.checkpoint(before, RESERVATION));
                    let _ = reply.send(outcome.clone());
                    outcome?;
                }
                Request::Close { reply } => {
                    let Err(failure) = self.commit(commits) else { return Ok(Some(reply)) };
                    let _ = reply.send(Err(failure.clone()));
                    return Err(failure);
                }
            }
            let is_full = commits.len() >= BATCH_COMMITS || bytes >= BATCH_BYTES;
            next = if is_full { None } else { queue.try_recv().ok() };
        }
        self.commit(commits)?;
        if self.is_checkpoint_due() {
            self.checkpoint(Revision(0), RESERVATION)?;
        }
        Ok(None)
    }

    fn commit(&mut self, commits: Vec<Commit>) -> Result<(), Error> {
        if commits.is_empty() {
            return Ok(());
        }
        let newest = match self.look_up(&commits) {
            Ok(newest) => newest,
            Err(failure) => return Err(refuse(commits.into_iter().map(|commit| commit.reply), failure.into())),
        };
        let head = self.shared.read().head;
        let batch = plan_batch(head, self.clock.now().as_millisecond(), newest, commits);
        if let Err(failure) = self.persist(&batch) {
            return Err(refuse(batch.answers.into_iter().map(|(reply, _)| reply), failure));
        }
        self.shared.publish(batch.records, &batch.events);
        for (reply, answer) in batch.answers {
            // Who no longer waits does not need the answer; the commit stands.
            let _ = reply.send(answer);
        }
        Ok(())
    }

    /// The newest record of each key that is to be committed.
    fn look_up(&self, commits: &[Commit]) -> Result<Newest, Failure> {
        let mut newest = Newest::new();
        for commit in commits {
            if let Entry::Vacant(entry) = newest.entry(commit.key.clone())
                && let Some(record) = self.shared.newest(&commit.key)?
            {
                entry.insert(record);
            }
        }
        Ok(newest)
    }

    /// Writes what must be on disk before the batch is published.
    fn persist(&mut self, batch: &Batch) -> Result<(), Error> {
        let Some(last) = batch.records.last() else { return Ok(()) };
        for record in &batch.records {
            push_record(&mut self.unwritten, record);
        }
        if !batch.is_durable && last.revision <= self.reserved {
            return Ok(());
        }
        let reserved = Revision(last.revision.0 + RESERVATION);
        let appended = self.wal.append(&self.unwritten, reserved);
        appended.map_err(|cause| Error::Engine(format!("appending to the write-ahead log: {cause}")))?;
        self.reserved = reserved;
        self.unwritten.clear();
        Ok(())
    }

    fn is_checkpoint_due(&self) -> bool {
        self.wal.used_bytes() >= CHECKPOINT_LOG_BYTES || self.shared.read().overlay.bytes() >= self.checkpoint_bytes
    }

    /// Moves the overlay into the tables, reserves further revisions, and begins a new epoch of the log.
    pub(crate) fn checkpoint(&mut self, forget_before: Revision, reservation: u64) -> Result<(), Error> {
        let (head, records) = {
            let state = self.shared.read();
            (state.head, state.overlay.records().cloned().collect::<Vec<_>>())
        };
        let meta = self.tables.meta();
        let reserved = Revision(head.0 + reservation);
        let forgets = forget_before.0 > meta.compacted.0 + 1;
        if records.is_empty() && meta.reserved == reserved && !forgets {
            return Ok(());
        }
        let trim = Trim { limits: self.limits, now_ms: self.clock.now().as_millisecond(), before: forget_before };
        let epoch = meta.epoch + 1;
        self.tables.checkpoint(&records, Meta { epoch, head, reserved, ..meta }, trim)?;
        let begun = self.wal.begin_epoch(epoch);
        begun.map_err(|cause| Error::Engine(format!("shortening the write-ahead log: {cause}")))?;
        self.reserved = reserved;
        self.unwritten.clear();
        let view = Arc::new(self.tables.view()?);
        let mut state = self.shared.write();
        state.overlay = Overlay::default();
        state.tables = view;
        state.compacted = self.tables.meta().compacted;
        Ok(())
    }
}

/// Answers all with the failure, and hands it on.
fn refuse(replies: impl Iterator<Item = Reply<Revision>>, failure: Error) -> Error {
    for reply in replies {
        let _ = reply.send(Err(failure.clone()));
    }
    failure
}
