//! What a batch of commits comes to: pure, given the newest state of their keys.

use std::collections::HashMap;
use std::sync::Arc;

use super::record::{Change, Record};
use super::writer::{Commit, Reply};
use crate::{Error, Event, Op, Revision, Tier};

/// The newest record of each key at hand.
pub(crate) type Newest = HashMap<Arc<str>, Arc<Record>>;

/// Commits decided together.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    /// What to keep.
    pub(crate) records: Vec<Arc<Record>>,
    /// What to publish once it is kept.
    pub(crate) events: Vec<Event>,
    /// Whether anybody may only be answered when it is on disk.
    pub(crate) is_durable: bool,
    /// What to answer after that.
    pub(crate) answers: Vec<(Reply<Revision>, Result<Revision, Error>)>,
}

/// Decides each commit in turn, each seeing the ones before it.
pub(crate) fn plan_batch(mut head: Revision, at_ms: i64, mut newest: Newest, commits: Vec<Commit>) -> Batch {
    let mut batch = Batch::default();
    for Commit { key, expect, op, reply } in commits {
        let next = Revision(head.0 + 1);
        let current = newest.get(&key).and_then(|record| record.key_value());
        if !expect.holds(current.as_ref()) || (current.is_none() && op == Op::Delete) {
            batch.answers.push((reply, Err(Error::Conflict { current })));
            continue;
        }
        // A removal is as urgent as the value it removes: nobody waits for a disk when an Event expires.
        let (change, tier) = match op {
            Op::Put { value, tier, .. } => (Change::Put { value, tier }, tier),
            Op::Delete => (Change::Delete, newest.get(&key).map_or(Tier::Durable, |record| record.tier())),
        };
        let previous = current.map(|item| (item.value, item.revision));
        let replaced = previous.as_ref().map(|(_, revision)| *revision);
        let record = Record { revision: next, previous: replaced, at_ms, key: key.clone(), change };
        batch.events.push(record.event(previous).expect("a commit is no gap"));
        let record = Arc::new(record);
        newest.insert(key, record.clone());
        batch.records.push(record);
        batch.is_durable |= tier == Tier::Durable;
        batch.answers.push((reply, Ok(next)));
        head = next;
    }
    batch
}
