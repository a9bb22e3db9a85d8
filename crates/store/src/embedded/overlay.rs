//! What was committed since the last checkpoint, in memory: the newest state of everything not yet in the tables.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use super::record::{Change, Record};
use crate::Revision;

/// Commits on top of the tables.
#[derive(Debug, Default)]
pub(crate) struct Overlay {
    records: BTreeMap<Revision, Arc<Record>>,
    newest: BTreeMap<Arc<str>, Arc<Record>>,
    bytes: usize,
}

impl Overlay {
    /// Adds the next commit.
    pub(crate) fn push(&mut self, record: Arc<Record>) {
        assert!(
            self.records.last_key_value().is_none_or(|(last, _)| *last < record.revision),
            "commits arrive in revision order"
        );
        self.bytes += record.encoded_len();
        if record.change != Change::Gap {
            self.newest.insert(record.key.clone(), record.clone());
        }
        self.records.insert(record.revision, record);
    }

    /// Memory its records take, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The newest commit of a key, which may be its removal.
    pub(crate) fn newest(&self, key: &str) -> Option<&Arc<Record>> {
        self.newest.get(key)
    }

    /// The newest commit of each key under a prefix.
    pub(crate) fn newest_under(&self, prefix: &str) -> BTreeMap<Arc<str>, Arc<Record>> {
        let range = self.newest.range::<str, _>((Bound::Included(prefix), Bound::Unbounded));
        let under = range.take_while(|(key, _)| key.starts_with(prefix));
        under.map(|(key, record)| (key.clone(), record.clone())).collect()
    }

    /// Every commit, in order.
    pub(crate) fn records(&self) -> impl Iterator<Item = &Arc<Record>> {
        self.records.values()
    }

    /// Every commit by its revision.
    pub(crate) fn by_revision(&self) -> &BTreeMap<Revision, Arc<Record>> {
        &self.records
    }
}
