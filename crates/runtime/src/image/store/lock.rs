//! File locks between the processes and threads that use one store. The kernel releases them with their holder.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use crate::image::error::StoreError;

/// A held lock; dropping it releases it.
#[derive(Debug)]
pub struct InUse {
    _file: File,
}

/// Waits for a shared lock.
pub fn shared(path: &Path) -> Result<InUse, StoreError> {
    let file = open(path)?;
    retry_on_intr(|| flock(&file, FlockOperation::LockShared)).map_err(StoreError::io("locking", path))?;
    Ok(InUse { _file: file })
}

/// Waits for an exclusive lock.
pub fn exclusive(path: &Path) -> Result<InUse, StoreError> {
    let file = open(path)?;
    retry_on_intr(|| flock(&file, FlockOperation::LockExclusive)).map_err(StoreError::io("locking", path))?;
    Ok(InUse { _file: file })
}

/// An exclusive lock if nobody holds it.
pub fn try_exclusive(path: &Path) -> Result<Option<InUse>, StoreError> {
    let file = open(path)?;
    match retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(Some(InUse { _file: file })),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(StoreError::io("locking", path)(error)),
    }
}

/// A lock belongs to the open file, so every holder opens its own.
fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::io("opening", path))
}
