//! A new store from a backup.

use std::path::PathBuf;
use std::sync::Arc;

use super::Config;
use super::open::{self, OpenError};
use super::record::{Change, Record};
use crate::{Revision, Snapshot, Tier};

/// How far the revisions of a restored store are beyond those of its backup: farther than anybody can have seen by the
/// time it is needed. Who watches from a revision that was lost is then told to list again.
const BUMP: u64 = 1_000_000_000;

/// Why a backup can't be restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a store.
    #[error("{path} is there already: a snapshot is restored where there is no store")]
    Occupied {
        /// A file of it.
        path: PathBuf,
    },
    /// It can't be written.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Makes a store with the objects of a backup, each at its revision, and without history. Returns its revision.
///
/// # Errors
/// [`RestoreError`]; nothing has changed then.
pub fn restore(config: &Config, snapshot: &Snapshot) -> Result<Revision, RestoreError> {
    if let Some(path) = super::files(&config.path).into_iter().find(|path| path.exists()) {
        return Err(RestoreError::Occupied { path });
    }
    let at_ms = config.clock.now().as_millisecond();
    let records = snapshot.items.iter().map(|item| {
        let change = Change::Put { value: item.value.clone(), tier: Tier::Durable };
        Arc::new(Record { revision: item.revision, previous: None, at_ms, key: item.key.clone(), change })
    });
    let head = Revision(snapshot.revision.0 + BUMP);
    open::create_files(config, &records.collect::<Vec<_>>(), head)?;
    Ok(head)
}
