//! `isopod snapshot`: backups of the embedded store.
//!
//! A running server is asked for its state over a socket in the data directory, so that it goes on serving; the files of
//! one that does not run are read directly. Either way the backup is of one revision.

mod server;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use platform::clock::SystemClock;
use platform::random::SystemRandom;
use store::embedded::{self, EmbeddedStore};
use store::{Snapshot, Store as _, snapshot};

use crate::cli;
use crate::data_dir::DataDir;
pub use server::serve;

/// What a server answers instead of a snapshot when it has none to give.
const REFUSAL: &[u8] = b"refused: ";
/// Where to turn with etcd.
const USE_ETCDCTL: &str = "this server keeps its objects in etcd: use `etcdctl snapshot save|restore`";

/// Runs the command.
pub fn run(arguments: cli::Snapshot) -> Result<()> {
    match arguments {
        cli::Snapshot::Save { file, data_dir } => save(&file, &DataDir::open(&data_dir.data_dir)?),
        cli::Snapshot::Restore { file, data_dir } => restore(&file, &data_dir),
    }
}

fn save(file: &Path, data_dir: &DataDir) -> Result<()> {
    let bytes = match ask_server(data_dir)? {
        Some(bytes) => bytes,
        None => read_files(data_dir)?,
    };
    let snapshot = read(bytes.clone())?;
    write_private(file, &bytes).with_context(|| format!("cannot write {}", file.display()))?;
    println!("Saved {} objects at revision {} to {}", snapshot.items.len(), snapshot.revision.0, file.display());
    Ok(())
}

fn read(bytes: Vec<u8>) -> Result<Snapshot> {
    Ok(snapshot::decode(&bytes.into())?)
}

/// What the server of a data directory answers, if one runs.
fn ask_server(data_dir: &DataDir) -> Result<Option<Vec<u8>>> {
    let socket = data_dir.snapshot_socket();
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let answer = threads.block_on(async {
        let mut stream = grpc::socket::connect(&socket).await?;
        let mut answer = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await.map(|_| answer)
    });
    match answer {
        Ok(answer) => match answer.strip_prefix(REFUSAL) {
            Some(reason) => bail!("{}", String::from_utf8_lossy(reason)),
            None => Ok(Some(answer)),
        },
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused) => Ok(None),
        Err(error) => Err(error).context("cannot ask the server for a snapshot"),
    }
}

/// The state that the files of a data directory hold.
fn read_files(data_dir: &DataDir) -> Result<Vec<u8>> {
    let _lock = data_dir.lock()?;
    let path = data_dir.store();
    ensure!(path.exists(), "there is nothing to save: {} does not exist", path.display());
    let threads = tokio::runtime::Builder::new_current_thread().build()?;
    let store = EmbeddedStore::open(&store_config(data_dir)).context("cannot open the store")?;
    let state = threads.block_on(async {
        let state = store.list("").await?;
        store.close().await.map(|()| state)
    })?;
    Ok(snapshot::encode(&state).flatten().collect())
}

fn store_config(data_dir: &DataDir) -> embedded::Config {
    embedded::Config::new(data_dir.store(), Arc::new(SystemClock), Arc::new(SystemRandom))
}

fn restore(file: &Path, data_dir: &cli::DataDir) -> Result<()> {
    let mut bytes = Vec::new();
    let opened = File::open(file).and_then(|mut file| file.read_to_end(&mut bytes));
    opened.with_context(|| format!("cannot read {}", file.display()))?;
    let state = read(bytes).with_context(|| format!("cannot restore {}", file.display()))?;
    let data_dir = DataDir::create(&data_dir.data_dir)?;
    let _lock = data_dir.lock()?;
    let revision = embedded::restore(&store_config(&data_dir), &state).context("cannot restore")?;
    println!("Restored {} objects of revision {}; the store is at {}", state.items.len(), state.revision.0, revision.0);
    Ok(())
}

/// Writes a file that its owner alone may read, in one stroke: a file of that name is whole.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let unfinished = path.with_added_extension("part");
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    let written = written.and_then(|()| fs::rename(&unfinished, path));
    if written.is_err() {
        // The error is what counts; a file that cannot be removed either is in plain sight.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use store::{Expect, Op, Tier};

    use super::*;

    #[test]
    fn what_was_saved_can_be_restored_and_only_where_nothing_is() {
        let directory = tempfile::tempdir().unwrap();
        let (here, there, file) =
            (directory.path().join("here"), directory.path().join("there"), directory.path().join("saved"));
        let data_dir = DataDir::create(&here).unwrap();
        assert!(save(&file, &data_dir).unwrap_err().to_string().contains("nothing to save"));
        let threads = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let store = EmbeddedStore::open(&store_config(&data_dir)).unwrap();
        let op = Op::Put { value: "x".into(), tier: Tier::Durable, time_to_live: None };
        threads.block_on(store.commit("/a", Expect::Absent, op)).unwrap();
        drop(store);
        save(&file, &data_dir).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);

        let there = cli::DataDir { data_dir: there };
        restore(&file, &there).unwrap();
        let restored = EmbeddedStore::open(&store_config(&DataDir::open(&there.data_dir).unwrap())).unwrap();
        assert_eq!(threads.block_on(restored.get("/a")).unwrap().unwrap().value, "x");
        drop(restored);
        let again = format!("{:#}", restore(&file, &there).unwrap_err());
        assert!(again.contains("is there already"), "{again}");
        fs::write(&file, "something else").unwrap();
        let other = cli::DataDir { data_dir: directory.path().join("other") };
        let refused = format!("{:#}", restore(&file, &other).unwrap_err());
        assert!(refused.contains("it is no snapshot") && !other.data_dir.exists(), "{refused}");
    }
}
