//! Opening the files: a new store, one that was closed, or one that a crash left behind.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::backends::FileBackend;
use redb::{Builder, Database, DatabaseError, StorageBackend, StorageError};
use rustix::fs::Advice;
use tracing::info;

use super::overlay::Overlay;
use super::record::{Change, Record};
use super::state::{Shared, State};
use super::tables::{FORMAT, Failure, Meta, Tables, Trim};
use super::wal::{self, Epoch, ReplayError, Wal};
use super::writer::Writer;
use super::{Config, describe};
use crate::Revision;
use crate::watch::Hub;

/// Memory redb may use for pages. Values that matter for speed are held by the API server's watch cache.
const CACHE_BYTES: usize = 4 << 20;

/// Why a store can't be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process, or another part of this one, has it open.
    #[error("{path} is in use by another process: only one server can run on a data directory")]
    InUse {
        /// The file that is locked.
        path: PathBuf,
    },
    /// It was written by a newer release.
    #[error("{path} has format {found}, this release reads {FORMAT}: it was written by a newer release")]
    NewerFormat {
        /// The tables.
        path: PathBuf,
        /// The format it has.
        found: u64,
    },
    /// It is no store of ours.
    #[error("{path} is not a store: {problem}")]
    Foreign {
        /// The tables.
        path: PathBuf,
        /// How that shows.
        problem: String,
    },
    /// It was a store and is damaged.
    #[error("{path} is damaged: {problem}; restore it from a copy")]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// Half of the store is missing, and with it acknowledged commits.
    #[error("{missing} is missing, but {present} needs it: restore both from one copy, or remove both to start afresh")]
    Incomplete {
        /// What is there.
        present: PathBuf,
        /// What is not.
        missing: PathBuf,
    },
    /// The operating system refused.
    #[error("{act} {path}")]
    Io {
        /// What was attempted.
        act: &'static str,
        /// On what.
        path: PathBuf,
        /// Its answer.
        #[source]
        cause: io::Error,
    },
}

fn io_error(act: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |cause| OpenError::Io { act, path: path.to_owned(), cause }
}

/// Where the log of a store is.
pub(crate) fn wal_path(tables: &Path) -> PathBuf {
    tables.with_extension("wal")
}

/// Where the tables of a store are while they are made.
pub(crate) fn unfinished_path(tables: &Path) -> PathBuf {
    tables.with_extension("new")
}

/// Opens or makes the store at `config.path`.
pub(crate) fn open_files(config: &Config) -> Result<Writer, OpenError> {
    // redb returns errors for most kinds of damage, but panics on some.
    let opened = std::panic::catch_unwind(AssertUnwindSafe(|| open_unguarded(config)));
    opened.unwrap_or_else(|panic| {
        let problem = panic.downcast_ref::<String>().map_or("its tables make no sense", String::as_str).to_owned();
        Err(OpenError::Corrupt { path: config.path.clone(), problem })
    })
}

fn open_unguarded(config: &Config) -> Result<Writer, OpenError> {
    let path = &config.path;
    let directory = make_directory(path)?;
    let wal_path = wal_path(path);
    let wal = lock(&wal_path)?;
    let is_wal_new = is_empty(&wal).map_err(io_error("opening", &wal_path))?;
    let cached = wal.try_clone().map_err(io_error("opening", &wal_path))?;
    let backend = FileBackend::new(wal).map_err(|error| database_error(&wal_path, error))?;
    let is_new = match File::open(path) {
        Ok(tables) => is_empty(&tables).map_err(io_error("opening", path))?,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => true,
        Err(cause) => return Err(io_error("opening", path)(cause)),
    };
    if is_new {
        if wal::holds_frames(&backend).map_err(io_error("reading", &wal_path))? {
            return Err(OpenError::Incomplete { present: wal_path, missing: path.clone() });
        }
        create(path, config, &[], Revision(0))?;
    }
    let tables = open_tables(path, open_file(path)?)?;
    if is_wal_new {
        let meta = tables.meta();
        if meta.reserved > meta.head {
            return Err(OpenError::Incomplete { present: path.clone(), missing: wal_path });
        }
        reserve(&backend).map_err(io_error("writing", &wal_path))?;
    }
    if is_new || is_wal_new {
        sync_directory(directory)?;
    }
    let writer = recover(tables, Box::new(backend), config)?;
    // Read or filled as a whole, the file is cached in pieces of up to a megabyte, and the kernel would count each small
    // append for a whole piece. Forgotten, it is cached anew by the pages that are appended.
    rustix::fs::fadvise(&cached, 0, None, Advice::DontNeed)
        .map_err(|errno| io_error("uncaching", &wal_path)(errno.into()))?;
    Ok(writer)
}

fn is_empty(file: &File) -> io::Result<bool> {
    Ok(file.metadata()?.len() == 0)
}

/// Makes the tables of a store that is not there yet; the log is made when it is opened.
pub(crate) fn create_files(config: &Config, values: &[Arc<Record>], head: Revision) -> Result<(), OpenError> {
    let directory = make_directory(&config.path)?;
    create(&config.path, config, values, head)?;
    sync_directory(directory)
}

/// Makes the directory of the tables if need be.
fn make_directory(path: &Path) -> Result<&Path, OpenError> {
    let directory = path.parent().filter(|directory| !directory.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(directory).map_err(io_error("making the directory", directory))?;
    Ok(directory)
}

/// Opens the log and takes the lock that makes this process the only one on the store.
fn lock(path: &Path) -> Result<File, OpenError> {
    let file = open_file(path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse { path: path.to_owned() }),
        Err(TryLockError::Error(cause)) => Err(io_error("locking", path)(cause)),
    }
}

fn open_file(path: &Path) -> Result<File, OpenError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(io_error("opening", path))
}

/// Makes the tables under another name first, so that a crash never leaves half-made ones behind.
fn create(path: &Path, config: &Config, values: &[Arc<Record>], head: Revision) -> Result<(), OpenError> {
    let unfinished = unfinished_path(path);
    match std::fs::remove_file(&unfinished) {
        Err(cause) if cause.kind() != io::ErrorKind::NotFound => return Err(io_error("removing", &unfinished)(cause)),
        _ => {}
    }
    let database = open_database(&unfinished, open_file(&unfinished)?)?;
    let tables = Tables::create_with(database, config.random.bits(), values, head);
    drop(tables.map_err(|failure| tables_error(&unfinished, failure))?);
    std::fs::rename(&unfinished, path).map_err(io_error("renaming to", path))
}

fn open_database(path: &Path, file: File) -> Result<Database, OpenError> {
    let backend = FileBackend::new(file).map_err(|error| database_error(path, error))?;
    new_database(backend).map_err(|error| database_error(path, error))
}

fn open_tables(path: &Path, file: File) -> Result<Tables, OpenError> {
    let database = open_database(path, file)?;
    Tables::open(database).map_err(|failure| tables_error(path, failure))
}

/// Opens redb on any storage.
pub(crate) fn new_database(backend: impl StorageBackend) -> Result<Database, DatabaseError> {
    let mut builder = Builder::new();
    builder.set_cache_size(CACHE_BYTES);
    builder.set_repair_callback(|session| info!(progress = session.progress(), "checking the whole store"));
    builder.create_with_backend(backend)
}

fn database_error(path: &Path, error: DatabaseError) -> OpenError {
    let path = path.to_owned();
    match error {
        DatabaseError::DatabaseAlreadyOpen => OpenError::InUse { path },
        DatabaseError::Storage(StorageError::Io(cause)) if cause.kind() == io::ErrorKind::InvalidData => {
            OpenError::Foreign { path, problem: cause.to_string() }
        }
        DatabaseError::Storage(StorageError::Io(cause)) => OpenError::Io { act: "opening", path, cause },
        error => OpenError::Corrupt { path, problem: error.to_string() },
    }
}

fn tables_error(path: &Path, failure: Failure) -> OpenError {
    let path = path.to_owned();
    match failure {
        Failure::Format(found) => OpenError::NewerFormat { path, found },
        Failure::MissingMeta(_) => OpenError::Foreign { path, problem: describe(&failure) },
        Failure::Redb { cause: redb::Error::TableDoesNotExist(_) | redb::Error::TableTypeMismatch { .. }, .. } => {
            OpenError::Foreign { path, problem: describe(&failure) }
        }
        failure => OpenError::Corrupt { path, problem: describe(&failure) },
    }
}

/// Writes zeros, not a hole: appending frames then changes no metadata of the file.
fn reserve(file: &dyn StorageBackend) -> io::Result<()> {
    const PIECE: usize = 1 << 20;
    file.set_len(wal::RESERVED_BYTES)?;
    for offset in (0..wal::RESERVED_BYTES).step_by(PIECE) {
        file.write(offset, &[0; PIECE])?;
    }
    file.sync_data()
}

fn sync_directory(path: &Path) -> Result<(), OpenError> {
    File::open(path).and_then(|directory| directory.sync_all()).map_err(io_error("syncing the directory", path))
}

/// Reads the log back on top of the tables.
///
/// Revisions that may have been handed out and lost are passed over: a gap record takes the last of them, so that the
/// present revision is a commit that watches can start from, while those in the gap are refused.
pub(crate) fn recover(mut tables: Tables, wal: Box<dyn StorageBackend>, config: &Config) -> Result<Writer, OpenError> {
    let meta = tables.meta();
    let epoch = Epoch { store: meta.store, number: meta.epoch };
    let mut replay = wal::replay(&*wal, epoch).map_err(|error| replay_error(&wal_path(&config.path), error))?;
    let now_ms = config.clock.now().as_millisecond();
    let reserved = replay.reserved.max(meta.reserved);
    let mut head = replay.records.last().map_or(meta.head, |record| record.revision);
    check_order(&replay.records, meta.head).map_err(|error| replay_error(&wal_path(&config.path), error))?;
    if reserved > head {
        info!(last_on_disk = head.0, continues_after = reserved.0, "the store was not closed; its log was read back");
        let gap = Record { revision: reserved, previous: None, at_ms: now_ms, key: "".into(), change: Change::Gap };
        replay.records.push(gap);
        head = reserved;
    }
    let records: Vec<_> = replay.records.into_iter().map(Arc::new).collect();
    if !records.is_empty() {
        let trim = Trim { limits: config.history, now_ms, before: Revision(0) };
        let next = Meta { epoch: meta.epoch + 1, head, reserved: head, ..meta };
        tables.checkpoint(&records, next, trim).map_err(|failure| tables_error(&config.path, failure))?;
    }
    start(tables, wal, config)
}

/// The log continues where the tables end, without holes.
fn check_order(records: &[Record], head: Revision) -> Result<(), ReplayError> {
    let mut expected = head;
    for record in records {
        expected.0 += 1;
        if record.revision != expected {
            return Err(ReplayError::Order { expected, found: record.revision });
        }
    }
    Ok(())
}

/// The writer of a store whose log is empty.
fn start(tables: Tables, wal: Box<dyn StorageBackend>, config: &Config) -> Result<Writer, OpenError> {
    let meta = tables.meta();
    let epoch = Epoch { store: meta.store, number: meta.epoch };
    let wal = Wal::start(wal, epoch).map_err(io_error("opening", &wal_path(&config.path)))?;
    let view = tables.view().map_err(|failure| tables_error(&config.path, failure))?;
    let state = State {
        head: meta.head,
        compacted: meta.compacted,
        overlay: Overlay::default(),
        tables: Arc::new(view),
        hub: Hub::new(config.watch_queue),
        stopped: None,
    };
    Ok(Writer {
        shared: Arc::new(Shared::new(state)),
        tables,
        wal,
        clock: config.clock.clone(),
        limits: config.history,
        checkpoint_bytes: config.checkpoint_bytes,
        reserved: meta.reserved,
        unwritten: Vec::new(),
    })
}

fn replay_error(path: &Path, error: ReplayError) -> OpenError {
    let path = path.to_owned();
    match error {
        ReplayError::Read(cause) => OpenError::Io { act: "reading", path, cause },
        error => OpenError::Corrupt { path, problem: describe(&error) },
    }
}
