//! Power cuts at any moment: what was acknowledged is there, nothing else has changed, no revision comes twice.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use tempfile::TempDir;

use super::disk::Disk;
use crate::embedded::open::{new_database, recover};
use crate::embedded::tables::Tables;
use crate::embedded::{Config, EmbeddedStore};
use crate::tests::{Sequence, put, put_volatile, small_config};
use crate::{Error, Expect, Op, Revision, Store, Tier};

/// A store on two disks.
struct Machine {
    tables: Disk,
    wal: Disk,
    config: Config,
    _directory: TempDir,
}

impl Machine {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let config = small_config(&directory);
        let machine = Self { tables: Disk::default(), wal: Disk::default(), config, _directory: directory };
        drop(Tables::create(new_database(machine.tables.clone()).unwrap(), 1).unwrap());
        machine
    }

    fn open(&self) -> EmbeddedStore {
        let tables = Tables::open(new_database(self.tables.clone()).unwrap()).unwrap();
        EmbeddedStore::start(recover(tables, Box::new(self.wal.clone()), &self.config).unwrap()).unwrap()
    }

    /// The power is cut and comes back.
    fn cut_power(&mut self, sequence: &mut Sequence) {
        // The log first, as a commit that hits the log in between must not be missed in both.
        let wal = self.wal.crash_image(sequence);
        self.tables = Disk::of(self.tables.crash_image(sequence));
        self.wal = Disk::of(wal);
    }
}

/// What must hold of a key after a crash.
#[derive(Debug, Clone, Default)]
struct Promise {
    /// What was last acknowledged as durable; `None` is a removal or nothing ever.
    durable: Option<(Bytes, Revision)>,
    /// What came later without such a promise, in order.
    later: Vec<Option<(Bytes, Revision)>>,
}

#[tokio::test]
async fn acknowledged_durable_commits_survive_power_cuts() {
    for seed in 0..40 {
        let mut sequence = Sequence(seed);
        let mut machine = Machine::new();
        let mut promises: BTreeMap<String, Promise> = BTreeMap::new();
        let mut used: BTreeSet<Revision> = BTreeSet::new();
        for round in 0..6 {
            let store = machine.open();
            check(&store, &mut promises, &format!("seed {seed} round {round}")).await;
            for _ in 0..sequence.below(60) {
                commit(&store, &mut sequence, &mut promises, &mut used).await;
            }
            // The image is taken while the store runs: dropping it first would tidy up.
            machine.cut_power(&mut sequence);
            drop(store);
        }
    }
}

async fn commit(
    store: &EmbeddedStore,
    sequence: &mut Sequence,
    promises: &mut BTreeMap<String, Promise>,
    used: &mut BTreeSet<Revision>,
) {
    let key = format!("/{}", sequence.below(8));
    let current = store.get(&key).await.unwrap();
    let expect = current.as_ref().map_or(Expect::Absent, |item| Expect::Revision(item.revision));
    let value = Bytes::from(vec![sequence.below(256) as u8; sequence.below(700) as usize]);
    let op = match sequence.below(5) {
        0 if current.is_some() => Op::Delete,
        1 | 2 => put_volatile(value.clone()),
        _ => put(value.clone()),
    };
    let revision = store.commit(&key, expect, op.clone()).await.unwrap();
    assert!(used.insert(revision), "{revision:?} was handed out twice");
    let promise = promises.entry(key).or_default();
    let state = (op != Op::Delete).then_some((value, revision));
    match op {
        Op::Put { tier: Tier::Durable, .. } => *promise = Promise { durable: state, later: vec![] },
        // A removal may be as lazy as what it removes.
        _ => promise.later.push(state),
    }
}

/// Each key holds what was promised, or something later; from then on that is the promise.
async fn check(store: &EmbeddedStore, promises: &mut BTreeMap<String, Promise>, context: &str) {
    for (key, promise) in promises {
        let found = store.get(key).await.unwrap().map(|item| (item.value, item.revision));
        assert!(
            found == promise.durable || promise.later.contains(&found),
            "{context}: {key} holds {:?} of {:?}",
            found.map(|(_, revision)| revision),
            promise
        );
        *promise = Promise { durable: found, later: vec![] };
    }
}

#[tokio::test]
async fn every_durable_commit_costs_one_sync_and_a_volatile_one_none() {
    let machine = Machine::new();
    let store = machine.open();
    store.commit("/first", Expect::Absent, put("x")).await.unwrap();
    let before = (machine.wal.syncs(), machine.tables.syncs());
    for n in 0..5 {
        store.commit(&format!("/durable/{n}"), Expect::Absent, put("x")).await.unwrap();
    }
    assert_eq!((machine.wal.syncs(), machine.tables.syncs()), (before.0 + 5, before.1));
    for n in 0..5 {
        store.commit(&format!("/volatile/{n}"), Expect::Absent, put_volatile("x")).await.unwrap();
        store.commit(&format!("/volatile/{n}"), Expect::Revision(store.revision()), Op::Delete).await.unwrap();
    }
    assert_eq!((machine.wal.syncs(), machine.tables.syncs()), (before.0 + 5, before.1));
}

#[tokio::test]
async fn a_failing_disk_ends_the_store_with_its_reason() {
    for (failing_log, syncs) in [(true, 0), (true, 3), (false, 0)] {
        let machine = Machine::new();
        let store = machine.open();
        let mut watch = store.watch("", Revision(0)).await.unwrap();
        if failing_log {
            machine.wal.fail_after(syncs)
        } else {
            machine.tables.fail_after(syncs)
        };
        let mut acknowledged = 0;
        let failure = loop {
            match store.commit(&format!("/{acknowledged}"), Expect::Absent, put(vec![1; 300])).await {
                Ok(_) => acknowledged += 1,
                Err(failure) => break failure,
            }
            assert!(acknowledged < 1000, "the disk fails sooner");
        };
        assert!(failure.to_string().contains("the disk is gone"), "{failure}");
        assert!(store.commit("/x", Expect::Absent, put("")).await.is_err());
        assert!(store.close().await.is_err());
        assert_eq!(crate::tests::take(&mut watch, acknowledged).await.len(), acknowledged);
        assert!(matches!(futures::StreamExt::next(&mut watch).await, Some(Err(Error::Engine(_)))));
        let after = Machine { tables: Disk::default(), wal: Disk::default(), ..Machine::new() };
        let mut after = Machine { tables: machine.tables.clone(), wal: machine.wal.clone(), ..after };
        after.cut_power(&mut Sequence(1));
        drop(store);
        assert!(after.open().list("").await.unwrap().items.len() >= acknowledged);
    }
}
