//! The tables in the redb file: everything up to the last checkpoint (see FORMAT.md).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use redb::{
    Database, ReadOnlyTable, ReadableDatabase, ReadableTable, Table, TableDefinition, TableError, WriteTransaction,
};

use super::record::{Change, Malformed, Record, RecordHead};
use crate::history::{HistoryLimits, HistorySize};
use crate::{KeyValue, Revision};

/// Key to the revision that wrote its value.
const CURRENT: TableDefinition<'static, &'static str, u64> = TableDefinition::new("current");
/// Revision to its record.
const LOG: TableDefinition<'static, u64, &'static [u8]> = TableDefinition::new("log");
/// Names to numbers.
const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");

/// The format this code reads and writes.
pub(crate) const FORMAT: u64 = 1;

/// The tables, open for checkpoints.
#[derive(Debug)]
pub(crate) struct Tables {
    database: Database,
    meta: Meta,
}

/// The numbers in `meta`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Meta {
    /// Identifies the store, so that a log of another one is not taken for its own.
    pub(crate) store: u64,
    /// The write-ahead log's frames that count carry this number.
    pub(crate) epoch: u64,
    /// The newest commit in the tables.
    pub(crate) head: Revision,
    /// Revisions up to here may have been handed out; equal to `head` after a clean stop.
    pub(crate) reserved: Revision,
    /// The newest commit that is no longer part of the history.
    pub(crate) compacted: Revision,
    /// What the history amounts to.
    pub(crate) history: HistorySize,
}

/// What history may be forgotten on the occasion of a checkpoint.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trim {
    pub(crate) limits: HistoryLimits,
    pub(crate) now_ms: i64,
    /// Forget everything before this revision.
    pub(crate) before: Revision,
}

/// Why the tables can't be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("{act}")]
    Redb {
        act: &'static str,
        #[source]
        cause: redb::Error,
    },
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the record of revision {} is missing", .0.0)]
    Missing(Revision),
    #[error("revision {} is no value of {key}", .revision.0)]
    Mismatch { key: String, revision: Revision },
    #[error("`{0}` is missing in the table `meta`")]
    MissingMeta(&'static str),
    #[error("the file is of format {0}")]
    Format(u64),
}

fn failed<E: Into<redb::Error>>(act: &'static str) -> impl FnOnce(E) -> Failure {
    move |cause| Failure::Redb { act, cause: cause.into() }
}

impl Tables {
    /// Makes the tables of a new store.
    #[cfg(test)]
    pub(crate) fn create(database: Database, store: u64) -> Result<Self, Failure> {
        Self::create_with(database, store, &[], Revision(0))
    }

    /// Makes the tables of a store that holds these values, at most one for each key, is at a later revision, and has no
    /// history.
    pub(crate) fn create_with(
        database: Database,
        store: u64,
        values: &[Arc<Record>],
        head: Revision,
    ) -> Result<Self, Failure> {
        let history = HistorySize::default();
        let meta = Meta { store, epoch: 1, head, reserved: head, compacted: head, history };
        let mut tables = Self { database, meta };
        let transaction = tables.begin_checkpoint()?;
        {
            let mut log = transaction.open_table(LOG).map_err(failed("opening the table `log`"))?;
            append(&mut log, values, &mut HistorySize::default())?;
        }
        tables.end_checkpoint(transaction, values, meta)?;
        Ok(tables)
    }

    /// Opens the tables of a store.
    pub(crate) fn open(database: Database) -> Result<Self, Failure> {
        let transaction = database.begin_read().map_err(failed("reading the table `meta`"))?;
        let table = transaction.open_table(META).map_err(failed("opening the table `meta`"))?;
        let number = |name: &'static str| -> Result<u64, Failure> {
            let value = table.get(name).map_err(failed("reading the table `meta`"))?;
            value.map(|value| value.value()).ok_or(Failure::MissingMeta(name))
        };
        let format = number("format")?;
        if format != FORMAT {
            return Err(Failure::Format(format));
        }
        let meta = Meta {
            store: number("store")?,
            epoch: number("epoch")?,
            head: Revision(number("head")?),
            reserved: Revision(number("reserved")?),
            compacted: Revision(number("compacted")?),
            history: HistorySize { commits: number("history_commits")?, bytes: number("history_bytes")? },
        };
        drop(table);
        Ok(Self { database, meta })
    }

    /// The numbers as of the last checkpoint.
    pub(crate) fn meta(&self) -> Meta {
        self.meta
    }

    /// The tables as of the last checkpoint; later ones don't show in it.
    pub(crate) fn view(&self) -> Result<TablesView, Failure> {
        let transaction = self.database.begin_read().map_err(failed("reading the tables"))?;
        Ok(TablesView {
            current: transaction.open_table(CURRENT).map_err(failed("opening the table `current`"))?,
            log: transaction.open_table(LOG).map_err(failed("opening the table `log`"))?,
        })
    }

    /// Takes commits in, which follow the ones it has, and trims the history, all in one durable transaction. Of `meta`, the compacted revision and
    /// the history's size are computed here.
    pub(crate) fn checkpoint(&mut self, records: &[Arc<Record>], mut meta: Meta, trim: Trim) -> Result<(), Failure> {
        let transaction = self.begin_checkpoint()?;
        meta.compacted = self.meta.compacted;
        meta.history = self.meta.history;
        {
            let mut log = transaction.open_table(LOG).map_err(failed("opening the table `log`"))?;
            append(&mut log, records, &mut meta.history)?;
            forget(&mut log, &mut meta, trim)?;
        }
        self.end_checkpoint(transaction, records, meta)
    }

    fn begin_checkpoint(&self) -> Result<WriteTransaction, Failure> {
        let mut transaction = self.database.begin_write().map_err(failed("beginning a checkpoint"))?;
        // An unclean stop then means no walk through the whole file at the next start.
        transaction.set_quick_repair(true);
        Ok(transaction)
    }

    fn end_checkpoint(
        &mut self,
        transaction: WriteTransaction,
        records: &[Arc<Record>],
        meta: Meta,
    ) -> Result<(), Failure> {
        update_current(&transaction, records).map_err(failed("writing the table `current`"))?;
        write_meta(&transaction, meta).map_err(failed("writing the table `meta`"))?;
        transaction.commit().map_err(failed("committing a checkpoint"))?;
        self.meta = meta;
        Ok(())
    }
}

fn append(
    log: &mut Table<'_, u64, &'static [u8]>,
    records: &[Arc<Record>],
    history: &mut HistorySize,
) -> Result<(), Failure> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.clear();
        record.encode_into(&mut bytes);
        log.insert(record.revision.0, bytes.as_slice()).map_err(failed("writing the table `log`"))?;
        history.add(bytes.len() as u64);
    }
    Ok(())
}

fn update_current(transaction: &WriteTransaction, records: &[Arc<Record>]) -> Result<(), TableError> {
    let mut current = transaction.open_table(CURRENT)?;
    let keyed = records.iter().filter(|record| record.change != Change::Gap);
    let newest: BTreeMap<&str, &Record> = keyed.map(|record| (&*record.key, &**record)).collect();
    for record in newest.into_values() {
        match record.change {
            Change::Put { .. } => current.insert(&*record.key, record.revision.0)?,
            Change::Delete | Change::Gap => current.remove(&*record.key)?,
        };
    }
    Ok(())
}

fn write_meta(transaction: &WriteTransaction, meta: Meta) -> Result<(), TableError> {
    let mut table = transaction.open_table(META)?;
    for (name, number) in [
        ("format", FORMAT),
        ("store", meta.store),
        ("epoch", meta.epoch),
        ("head", meta.head.0),
        ("reserved", meta.reserved.0),
        ("compacted", meta.compacted.0),
        ("history_commits", meta.history.commits),
        ("history_bytes", meta.history.bytes),
    ] {
        table.insert(name, number)?;
    }
    Ok(())
}

/// Forgets the oldest commits until the history is within its limits.
///
/// A commit that leaves the history takes the value it replaced with it, as nobody can ask for that any more; its own
/// value stays until it is replaced in turn.
fn forget(log: &mut Table<'_, u64, &'static [u8]>, meta: &mut Meta, trim: Trim) -> Result<(), Failure> {
    while let Some(Oldest { revision, bytes, head }) = oldest(log, meta.compacted)? {
        let age = Duration::from_millis(u64::try_from(trim.now_ms.saturating_sub(head.at_ms)).unwrap_or(0));
        if revision >= trim.before && !trim.limits.exceeded_by(meta.history, age) {
            break;
        }
        let own = (!head.is_put).then_some(revision);
        for revision in [head.previous, own].into_iter().flatten() {
            log.remove(revision.0).map_err(failed("trimming the table `log`"))?;
        }
        meta.history.remove(bytes);
        meta.compacted = revision;
    }
    Ok(())
}

/// The oldest commit of the history.
struct Oldest {
    revision: Revision,
    bytes: u64,
    head: RecordHead,
}

fn oldest(log: &Table<'_, u64, &'static [u8]>, compacted: Revision) -> Result<Option<Oldest>, Failure> {
    let mut history = log.range(compacted.0 + 1..).map_err(failed("reading the table `log`"))?;
    let Some(entry) = history.next() else { return Ok(None) };
    let (revision, record) = entry.map_err(failed("reading the table `log`"))?;
    let (revision, record) = (Revision(revision.value()), record.value());
    Ok(Some(Oldest { revision, bytes: record.len() as u64, head: RecordHead::decode(revision, record)? }))
}

/// The tables at one checkpoint, for reading.
pub(crate) struct TablesView {
    current: ReadOnlyTable<&'static str, u64>,
    log: ReadOnlyTable<u64, &'static [u8]>,
}

impl std::fmt::Debug for TablesView {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("TablesView").finish_non_exhaustive()
    }
}

impl TablesView {
    /// The record that wrote a key's value.
    pub(crate) fn newest(&self, key: &str) -> Result<Option<Record>, Failure> {
        let revision = self.current.get(key).map_err(failed("reading the table `current`"))?;
        revision.map(|revision| self.current_record(key, Revision(revision.value()))).transpose()
    }

    fn current_record(&self, key: &str, revision: Revision) -> Result<Record, Failure> {
        let record = self.value_record(revision)?;
        if *record.key != *key || record.key_value().is_none() {
            return Err(Failure::Mismatch { key: key.to_owned(), revision });
        }
        Ok(record)
    }

    /// The record at a revision, if it is kept.
    pub(crate) fn record(&self, revision: Revision) -> Result<Option<Record>, Failure> {
        let bytes = self.log.get(revision.0).map_err(failed("reading the table `log`"))?;
        Ok(bytes.map(|bytes| Record::decode(revision, bytes.value())).transpose()?)
    }

    /// The record at a revision that something in the tables refers to.
    pub(crate) fn value_record(&self, revision: Revision) -> Result<Record, Failure> {
        self.record(revision)?.ok_or(Failure::Missing(revision))
    }

    /// All keys under a prefix, in no order, but those that `overlay` knows better.
    pub(crate) fn list(
        &self,
        prefix: &str,
        overlay: &BTreeMap<Arc<str>, Arc<Record>>,
    ) -> Result<Vec<KeyValue>, Failure> {
        let mut keys = Vec::new();
        for entry in self.current.range(prefix..).map_err(failed("reading the table `current`"))? {
            let (key, revision) = entry.map_err(failed("reading the table `current`"))?;
            if !key.value().starts_with(prefix) {
                break;
            }
            if !overlay.contains_key(key.value()) {
                keys.push((Revision(revision.value()), key.value().to_owned()));
            }
        }
        // In the order they lie on disk: every page is read once, however small the cache.
        keys.sort_unstable();
        let records = keys.iter().map(|(revision, key)| self.current_record(key, *revision));
        records.filter_map(|record| record.map(|record| record.key_value()).transpose()).collect()
    }

    /// The next `limit` records after a revision, in order.
    pub(crate) fn records_after(&self, after: Revision, limit: usize) -> Result<Vec<Record>, Failure> {
        let range = self.log.range(after.0 + 1..).map_err(failed("reading the table `log`"))?;
        let mut records = Vec::new();
        for entry in range.take(limit) {
            let (revision, bytes) = entry.map_err(failed("reading the table `log`"))?;
            records.push(Record::decode(Revision(revision.value()), bytes.value())?);
        }
        Ok(records)
    }
}

#[cfg(test)]
impl TablesView {
    /// Checks what FORMAT.md promises of the tables.
    pub(crate) fn verify(&self, meta: Meta) {
        let mut referenced: std::collections::BTreeSet<u64> = std::collections::BTreeSet::new();
        for entry in self.current.iter().unwrap() {
            let (key, revision) = entry.unwrap();
            let record = self.value_record(Revision(revision.value())).unwrap();
            assert_eq!(&*record.key, key.value());
            assert!(record.key_value().is_some());
            referenced.insert(revision.value());
        }
        let mut history = HistorySize::default();
        for entry in self.log.range(meta.compacted.0 + 1..).unwrap() {
            let (revision, bytes) = entry.unwrap();
            let head = RecordHead::decode(Revision(revision.value()), bytes.value()).unwrap();
            referenced.insert(revision.value());
            referenced.extend(head.previous.map(|revision| revision.0));
            history.add(bytes.value().len() as u64);
        }
        assert_eq!(history, meta.history, "the history's size is kept");
        let kept: std::collections::BTreeSet<u64> =
            self.log.iter().unwrap().map(|entry| entry.unwrap().0.value()).collect();
        assert_eq!(kept, referenced, "exactly what can still be asked for is kept");
    }
}
