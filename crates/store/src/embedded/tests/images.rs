//! Crash images: everything a store writes is noted, and each beginning of that, with the last write whole or torn, must
//! open as a store that has all it had acknowledged by then, nothing that was never written, and goes on counting.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::disk::{Change, Disk, Journal};
use crate::embedded::EmbeddedStore;
use crate::embedded::open::{new_database, recover};
use crate::embedded::tables::Tables;
use crate::tests::{Sequence, put, put_volatile, small_config};
use crate::{Expect, Op, Revision, Store, Tier};

/// Commits of one run; with small checkpoints they come to several hundred writes.
const COMMITS: usize = 60;
const TABLES: usize = 0;
const LOG: usize = 1;

/// One acknowledged commit.
#[derive(Debug)]
struct Commit {
    key: String,
    value: Option<Bytes>,
    tier: Tier,
    revision: Revision,
    /// How many writes had been made when it was asked for.
    begun_at: usize,
    /// How many writes had been made when it was acknowledged, at most.
    acknowledged_at: usize,
}

/// What a run wrote and acknowledged.
struct Run {
    writes: Vec<(usize, Change)>,
    /// When the empty store was made: before that there is none.
    made_at: usize,
    commits: Vec<Commit>,
}

async fn run(seed: u64) -> Run {
    let mut sequence = Sequence(seed);
    let directory = tempfile::tempdir().unwrap();
    let journal = Journal::default();
    let (tables, log) = (Disk::noted(&journal, TABLES), Disk::noted(&journal, LOG));
    drop(Tables::create(new_database(tables.clone()).unwrap(), 1).unwrap());
    let made_at = journal.lock().unwrap().len();
    let tables = Tables::open(new_database(tables).unwrap()).unwrap();
    let store = EmbeddedStore::start(recover(tables, Box::new(log), &small_config(&directory)).unwrap()).unwrap();
    let mut commits = Vec::new();
    for _ in 0..COMMITS {
        let key = format!("/{}", sequence.below(8));
        let current = store.get(&key).await.unwrap();
        let expect = current.as_ref().map_or(Expect::Absent, |item| Expect::Revision(item.revision));
        let value = Bytes::from(vec![sequence.below(256) as u8; sequence.below(900) as usize]);
        let (op, value, tier) = match sequence.below(5) {
            // A removal may be as lazy as what it removes.
            0 if current.is_some() => (Op::Delete, None, Tier::Volatile),
            1 => (put_volatile(value.clone()), Some(value), Tier::Volatile),
            _ => (put(value.clone()), Some(value), Tier::Durable),
        };
        let begun_at = journal.lock().unwrap().len();
        let revision = store.commit(&key, expect, op).await.unwrap();
        let acknowledged_at = journal.lock().unwrap().len();
        commits.push(Commit { key, value, tier, revision, begun_at, acknowledged_at });
    }
    store.close().await.unwrap();
    let writes = std::mem::take(&mut *journal.lock().unwrap());
    Run { writes, made_at, commits }
}

/// Opens the image of a crash after `writes` writes, and checks it.
async fn check(run: &Run, tables: Vec<u8>, log: Vec<u8>, writes: usize, context: &str) {
    let directory = tempfile::tempdir().unwrap();
    let tables = new_database(Disk::of(tables)).unwrap_or_else(|error| panic!("{context}: {error}"));
    let tables = Tables::open(tables).unwrap_or_else(|error| panic!("{context}: {error}"));
    let writer = recover(tables, Box::new(Disk::of(log)), &small_config(&directory));
    let writer = writer.unwrap_or_else(|error| panic!("{context}: {error}"));
    writer.tables.view().unwrap().verify(writer.tables.meta());
    let store = EmbeddedStore::start(writer).unwrap();
    let found: BTreeMap<String, (Bytes, Revision)> = store
        .list("")
        .await
        .unwrap()
        .items
        .into_iter()
        .map(|item| (item.key.to_string(), (item.value, item.revision)))
        .collect();
    let begun = |commit: &Commit| commit.begun_at <= writes;
    let acknowledged = |commit: &&Commit| commit.acknowledged_at <= writes;
    let durable = |commit: &&Commit| acknowledged(commit) && commit.tier == Tier::Durable;
    for commit in run.commits.iter().filter(durable) {
        // It is there, or what came after it.
        let holds = found.get(&commit.key).is_some_and(|(_, revision)| *revision >= commit.revision);
        let removed = run.commits.iter().any(|later| {
            later.key == commit.key && later.revision > commit.revision && later.value.is_none() && begun(later)
        });
        assert!(holds || removed, "{context}: {} of {:?} is lost", commit.key, commit.revision);
    }
    for (key, (value, revision)) in &found {
        let written = run.commits.iter().any(|commit| {
            begun(commit) && commit.key == *key && commit.revision == *revision && commit.value.as_ref() == Some(value)
        });
        assert!(written, "{context}: {key} holds what nobody wrote at {revision:?}");
    }
    let newest = run.commits.iter().filter(acknowledged).map(|commit| commit.revision).max();
    let next = store.commit("/next", Expect::Absent, put("x")).await.unwrap();
    assert!(Some(next) > newest, "{context}: {next:?} comes again after {newest:?}");
}

#[tokio::test]
async fn every_beginning_of_what_is_written_opens_with_all_that_was_acknowledged() {
    let (seeds, every) = (0..3u64, 3);
    for seed in seeds {
        let run = run(seed).await;
        let mut sequence = Sequence(seed);
        let (mut images, mut checked) = ([Vec::new(), Vec::new()], 0);
        for (index, (disk, change)) in run.writes.iter().enumerate() {
            // The first run is looked at after each write, others after some.
            let chosen = index >= run.made_at && (seed == 0 || sequence.below(every) == 0);
            for torn in change.torn(&mut sequence).into_iter().filter(|_| chosen) {
                let mut images = images.clone();
                torn.apply(&mut images[*disk]);
                let [tables, log] = images;
                check(&run, tables, log, index, &format!("seed {seed}, write {index} torn")).await;
                checked += 1;
            }
            change.apply(&mut images[*disk]);
            if chosen {
                let [tables, log] = images.clone();
                check(&run, tables, log, index + 1, &format!("seed {seed}, after write {index}")).await;
                checked += 1;
            }
        }
        println!("seed {seed}: {} writes, {checked} images", run.writes.len());
    }
}
