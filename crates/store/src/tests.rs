//! What every engine promises, run against each of them.

use std::sync::Arc;

use bytes::Bytes;
use futures::StreamExt;
use tempfile::TempDir;

use crate::embedded::{Config, EmbeddedStore};
use crate::etcd::tests::Etcd;
use crate::memory::MemoryStore;
use crate::{Error, Event, EventStream, Expect, HistoryLimits, KeyValue, Notice, Op, Revision, Store, Tier};

/// Time stands still unless a test moves it.
#[derive(Debug, Default)]
pub(crate) struct TestClock(pub(crate) std::sync::atomic::AtomicI64);

impl platform::clock::Clock for TestClock {
    fn now(&self) -> jiff::Timestamp {
        let milliseconds = self.0.load(std::sync::atomic::Ordering::Relaxed);
        jiff::Timestamp::from_millisecond(milliseconds).unwrap()
    }
}

/// A sequence of numbers that looks random and is the same for the same seed.
pub(crate) struct Sequence(pub(crate) u64);

impl Sequence {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

/// A configuration with small sizes, so that short tests see checkpoints.
pub(crate) fn small_config(directory: &TempDir) -> Config {
    let clock = Arc::new(TestClock::default());
    let mut config = Config::new(directory.path().join("store.redb"), clock, Arc::new(platform::random::SystemRandom));
    config.checkpoint_bytes = 2048;
    config
}

/// One engine under test, with what must live as long as it does.
struct Fixture {
    store: Box<dyn Store>,
    _directory: Option<TempDir>,
    _etcd: Option<Etcd>,
}

#[derive(Clone, Copy)]
struct Sizes {
    history_commits: u64,
    watch_queue: usize,
}

const AMPLE: Sizes = Sizes { history_commits: 1000, watch_queue: 1000 };

fn limits(sizes: Sizes) -> HistoryLimits {
    HistoryLimits { commits: sizes.history_commits, ..HistoryLimits::default() }
}

fn memory(sizes: Sizes) -> Fixture {
    let store = MemoryStore::with_watch_queue(limits(sizes), sizes.watch_queue);
    Fixture { store: Box::new(store), _directory: None, _etcd: None }
}

fn embedded(sizes: Sizes) -> Fixture {
    let directory = tempfile::tempdir().unwrap();
    let config = Config { history: limits(sizes), watch_queue: sizes.watch_queue, ..small_config(&directory) };
    let store = Box::new(EmbeddedStore::open(&config).unwrap());
    Fixture { store, _directory: Some(directory), _etcd: None }
}

async fn etcd() -> Fixture {
    let etcd = Etcd::start();
    Fixture { store: Box::new(etcd.rebased().await), _directory: None, _etcd: Some(etcd) }
}

macro_rules! run {
    ($fixture:expr, $case:path) => {{
        let fixture = $fixture;
        $case(fixture.store).await;
    }};
}

macro_rules! on_every_engine {
    ($($case:ident($sizes:expr);)*) => {
        mod memory_engine { $(#[tokio::test] async fn $case() { run!(super::memory($sizes), super::$case); })* }
        mod embedded_engine { $(#[tokio::test] async fn $case() { run!(super::embedded($sizes), super::$case); })* }
        mod etcd_engine { $(#[tokio::test] async fn $case() { run!(super::etcd().await, super::$case); })* }
    };
}

/// What bounds memory and history in this process; etcd keeps both, and slow watchers wait for it rather than the
/// other way round.
macro_rules! on_engines_of_this_process {
    ($($case:ident($sizes:expr);)*) => {
        mod bounded_memory_engine { $(#[tokio::test] async fn $case() { run!(super::memory($sizes), super::$case); })* }
        mod bounded_embedded_engine { $(#[tokio::test] async fn $case() { run!(super::embedded($sizes), super::$case); })* }
    };
}

on_engines_of_this_process! {
    slow_watchers_are_cut_off_with_an_error(super::Sizes { watch_queue: 3, ..super::AMPLE });
    history_is_bounded(super::Sizes { history_commits: 10, ..super::AMPLE });
}

on_every_engine! {
    starts_empty_at_revision_zero(super::AMPLE);
    numbers_commits_from_one(super::AMPLE);
    refuses_a_commit_whose_expectation_does_not_hold(super::AMPLE);
    lists_a_prefix_in_key_order(super::AMPLE);
    watches_see_commits_under_their_prefix_with_what_they_replaced(super::AMPLE);
    watches_resume_from_any_revision(super::AMPLE);
    every_commit_of_concurrent_writers_is_seen_once_and_in_order(super::AMPLE);
    one_of_many_racing_commits_wins(super::AMPLE);
    compaction_forgets_history_but_no_state(super::AMPLE);
    after_close_nothing_is_committed(super::AMPLE);
    empty_values_and_strange_keys_are_kept(super::AMPLE);
}

pub(crate) fn put(value: impl Into<Bytes>) -> Op {
    Op::Put { value: value.into(), tier: Tier::Durable, time_to_live: None }
}

pub(crate) fn put_volatile(value: impl Into<Bytes>) -> Op {
    Op::Put { value: value.into(), tier: Tier::Volatile, time_to_live: None }
}

fn item(key: &str, value: &'static str, revision: u64) -> KeyValue {
    KeyValue { key: key.into(), value: value.into(), revision: Revision(revision) }
}

fn event(key: &str, value: Option<&'static str>, previous: Option<(&'static str, u64)>, revision: u64) -> Event {
    let previous = previous.map(|(value, revision)| (value.into(), Revision(revision)));
    Event { key: key.into(), value: value.map(Bytes::from), previous, revision: Revision(revision) }
}

pub(crate) async fn take(stream: &mut EventStream, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    while events.len() < count {
        if let Notice::Commit(event) = stream.next().await.expect("the watch goes on").expect("without error") {
            events.push(event);
        }
    }
    events
}

/// Three keys, one of them replaced and one removed: revisions 1 to 5.
async fn fill(store: &dyn Store) {
    store.commit("/a/1", Expect::Absent, put("one")).await.unwrap();
    store.commit("/b/1", Expect::Absent, put_volatile("other")).await.unwrap();
    store.commit("/a/2", Expect::Absent, put("two")).await.unwrap();
    store.commit("/a/1", Expect::Revision(Revision(1)), put_volatile("uno")).await.unwrap();
    store.commit("/a/2", Expect::Revision(Revision(3)), Op::Delete).await.unwrap();
}

fn filled_events() -> Vec<Event> {
    vec![
        event("/a/1", Some("one"), None, 1),
        event("/b/1", Some("other"), None, 2),
        event("/a/2", Some("two"), None, 3),
        event("/a/1", Some("uno"), Some(("one", 1)), 4),
        event("/a/2", None, Some(("two", 3)), 5),
    ]
}

async fn starts_empty_at_revision_zero(store: Box<dyn Store>) {
    assert_eq!(store.revision(), Revision(0));
    assert_eq!(store.get("/a").await.unwrap(), None);
    let snapshot = store.list("").await.unwrap();
    assert_eq!((snapshot.revision, snapshot.items), (Revision(0), vec![]));
}

async fn numbers_commits_from_one(store: Box<dyn Store>) {
    for revision in 1..=50 {
        let tier = if revision % 3 == 0 { put_volatile("v") } else { put("v") };
        let key = format!("/a/{revision}");
        assert_eq!(store.commit(&key, Expect::Absent, tier).await.unwrap(), Revision(revision));
        assert_eq!(store.revision(), Revision(revision));
        assert_eq!(store.get(&key).await.unwrap(), Some(item(&key, "v", revision)));
    }
}

async fn refuses_a_commit_whose_expectation_does_not_hold(store: Box<dyn Store>) {
    fill(&*store).await;
    let uno = Some(item("/a/1", "uno", 4));
    for (key, expect, op, current) in [
        ("/a/1", Expect::Absent, put("x"), uno.clone()),
        ("/a/1", Expect::Revision(Revision(1)), put("x"), uno.clone()),
        ("/a/1", Expect::Revision(Revision(5)), Op::Delete, uno.clone()),
        ("/a/1", Expect::Absent, Op::Delete, uno),
        ("/a/2", Expect::Revision(Revision(3)), put("x"), None),
        ("/a/2", Expect::Revision(Revision(5)), Op::Delete, None),
        ("/a/2", Expect::Absent, Op::Delete, None),
        ("/none", Expect::Revision(Revision(0)), put("x"), None),
    ] {
        match store.commit(key, expect, op.clone()).await {
            Err(Error::Conflict { current: found }) => assert_eq!(found, current, "{key} {expect:?} {op:?}"),
            other => panic!("{key} {expect:?} {op:?}: {other:?}"),
        }
    }
    assert_eq!(store.revision(), Revision(5), "a refused commit takes no revision");
}

async fn lists_a_prefix_in_key_order(store: Box<dyn Store>) {
    fill(&*store).await;
    for key in ["/a/3", "/a/11", "/a", "/ab"] {
        store.commit(key, Expect::Absent, put("x")).await.unwrap();
    }
    for (prefix, keys) in [
        ("/a/", vec!["/a/1", "/a/11", "/a/3"]),
        ("/a", vec!["/a", "/a/1", "/a/11", "/a/3", "/ab"]),
        ("", vec!["/a", "/a/1", "/a/11", "/a/3", "/ab", "/b/1"]),
        ("/c", vec![]),
    ] {
        let snapshot = store.list(prefix).await.unwrap();
        assert_eq!(snapshot.revision, Revision(9));
        assert_eq!(snapshot.items.iter().map(|item| &*item.key).collect::<Vec<_>>(), keys, "{prefix:?}");
    }
}

async fn watches_see_commits_under_their_prefix_with_what_they_replaced(store: Box<dyn Store>) {
    let mut all = store.watch("", Revision(0)).await.unwrap();
    let mut some = store.watch("/a/", Revision(0)).await.unwrap();
    fill(&*store).await;
    assert_eq!(take(&mut all, 5).await, filled_events());
    let under: Vec<_> = filled_events().into_iter().filter(|event| event.key.starts_with("/a/")).collect();
    assert_eq!(take(&mut some, 4).await, under);
}

async fn watches_resume_from_any_revision(store: Box<dyn Store>) {
    fill(&*store).await;
    // More than a checkpoint's worth of other commits: part of the history is in the tables, part is not.
    for n in 0..40 {
        store.commit(&format!("/c/{n}"), Expect::Absent, put(vec![0; 100])).await.unwrap();
    }
    for after in 0..=5 {
        let mut watch = store.watch("", Revision(after)).await.unwrap();
        let expected = filled_events().split_off(after as usize);
        assert_eq!(take(&mut watch, expected.len()).await, expected, "after {after}");
        let rest: Vec<u64> = take(&mut watch, 40).await.iter().map(|event| event.revision.0).collect();
        assert_eq!(rest, (6..=45).collect::<Vec<_>>());
    }
    let mut live = store.watch("", Revision(45)).await.unwrap();
    store.commit("/d", Expect::Absent, put("live")).await.unwrap();
    assert_eq!(take(&mut live, 1).await, [event("/d", Some("live"), None, 46)]);
}

async fn every_commit_of_concurrent_writers_is_seen_once_and_in_order(store: Box<dyn Store>) {
    let watch = store.watch("", Revision(0)).await.unwrap();
    let writers = (0..8).map(|writer| {
        let store = &store;
        async move {
            for n in 0..40 {
                let op = if n % 2 == 0 { put(vec![7; 50]) } else { put_volatile(vec![8; 50]) };
                store.commit(&format!("/{writer}/{n}"), Expect::Absent, op).await.unwrap();
                // Whatever a reader sees, a watch from there continues without a hole.
                if n % 13 == 0 {
                    let snapshot = store.list("").await.unwrap();
                    let mut later = store.watch("", snapshot.revision).await.unwrap();
                    store.commit(&format!("/{writer}/{n}/x"), Expect::Absent, put("x")).await.unwrap();
                    assert_eq!(take(&mut later, 1).await[0].revision, Revision(snapshot.revision.0 + 1));
                    assert_eq!(snapshot.items.len() as u64, snapshot.revision.0);
                }
            }
        }
    });
    futures::future::join_all(writers).await;
    let mut watch = watch;
    let total = store.revision().0;
    let seen: Vec<u64> = take(&mut watch, total as usize).await.iter().map(|event| event.revision.0).collect();
    assert_eq!(seen, (1..=total).collect::<Vec<_>>());
}

async fn one_of_many_racing_commits_wins(store: Box<dyn Store>) {
    let attempts = (0..20).map(|n| store.commit("/race", Expect::Absent, put(format!("{n}"))));
    let outcomes = futures::future::join_all(attempts).await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert_eq!(store.revision(), Revision(1));
    for outcome in outcomes {
        if let Err(Error::Conflict { current }) = outcome {
            assert_eq!(current, store.get("/race").await.unwrap());
        }
    }
}

async fn slow_watchers_are_cut_off_with_an_error(store: Box<dyn Store>) {
    let mut slow = store.watch("/a", Revision(0)).await.unwrap();
    let mut other = store.watch("/b", Revision(0)).await.unwrap();
    for n in 0..10 {
        store.commit(&format!("/a/{n}"), Expect::Absent, put("x")).await.unwrap();
    }
    store.commit("/b", Expect::Absent, put("x")).await.unwrap();
    assert_eq!(take(&mut slow, 3).await.last().unwrap().revision, Revision(3));
    assert!(matches!(slow.next().await, Some(Err(Error::Lagged))));
    assert!(slow.next().await.is_none());
    assert_eq!(take(&mut other, 1).await[0].revision, Revision(11));
}

async fn compaction_forgets_history_but_no_state(store: Box<dyn Store>) {
    fill(&*store).await;
    let before = store.list("").await.unwrap();
    store.compact(Revision(4)).await.unwrap();
    for after in 0..3 {
        match store.watch("", Revision(after)).await.err() {
            Some(Error::Compacted { requested, oldest }) => {
                assert_eq!((requested, oldest), (Revision(after), Revision(3)));
            }
            other => panic!("after {after}: {other:?}"),
        }
    }
    let mut kept = store.watch("", Revision(3)).await.unwrap();
    let expected = filled_events().split_off(3);
    match kept.next().await.expect("the watch goes on") {
        Ok(Notice::Commit(first)) => assert_eq!([vec![first], take(&mut kept, 1).await].concat(), expected),
        // etcd forgets what the first commit that it keeps replaced, without which that commit is half a truth.
        Err(Error::Compacted { requested, oldest }) => assert_eq!((requested, oldest), (Revision(3), Revision(4))),
        other => panic!("{other:?}"),
    }
    store.compact(Revision(100)).await.unwrap();
    assert!(matches!(store.watch("", Revision(3)).await.err(), Some(Error::Compacted { .. })));
    assert_eq!(store.list("").await.unwrap(), before);
    let mut live = store.watch("", Revision(5)).await.unwrap();
    store.commit("/a/1", Expect::Revision(Revision(4)), put("next")).await.unwrap();
    assert_eq!(take(&mut live, 1).await, [event("/a/1", Some("next"), Some(("uno", 4)), 6)]);
}

async fn history_is_bounded(store: Box<dyn Store>) {
    let mut revision = Revision(0);
    for n in 0..100u64 {
        let expect = if n < 5 { Expect::Absent } else { Expect::Revision(Revision(n - 4)) };
        revision = store.commit(&format!("/{}", n % 5), expect, put(vec![1; 200])).await.unwrap();
    }
    assert!(matches!(store.watch("", Revision(0)).await.err(), Some(Error::Compacted { .. })));
    assert!(matches!(store.watch("", Revision(70)).await.err(), Some(Error::Compacted { .. })));
    let mut kept = store.watch("", Revision(revision.0 - 5)).await.unwrap();
    let events = take(&mut kept, 5).await;
    assert!(events.iter().all(|event| event.previous.as_ref().unwrap().1.0 == event.revision.0 - 5));
    assert_eq!(store.list("").await.unwrap().items.len(), 5);
}

async fn after_close_nothing_is_committed(store: Box<dyn Store>) {
    fill(&*store).await;
    let mut watch = store.watch("", Revision(5)).await.unwrap();
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(watch.next().await.is_none());
    assert!(matches!(store.commit("/z", Expect::Absent, put("x")).await, Err(Error::Engine(_))));
    assert!(matches!(store.watch("", Revision(5)).await.err(), Some(Error::Engine(_))));
    assert_eq!(store.revision(), Revision(5));
}

async fn empty_values_and_strange_keys_are_kept(store: Box<dyn Store>) {
    for key in ["", "/ключ", "\u{10ffff}", "a\0b"] {
        let revision = store.commit(key, Expect::Absent, put("")).await.unwrap();
        let found = store.get(key).await.unwrap().unwrap();
        assert_eq!((&*found.key, found.value, found.revision), (key, Bytes::new(), revision));
    }
    store.compact(Revision(100)).await.unwrap();
    assert_eq!(store.list("").await.unwrap().items.len(), 4);
}

/// Both engines are given the same random commits and must answer alike; the embedded one is reopened now and then.
#[tokio::test]
async fn the_embedded_engine_agrees_with_the_in_memory_one() {
    for seed in 0..5 {
        let directory = tempfile::tempdir().unwrap();
        let config = small_config(&directory);
        let model = MemoryStore::default();
        let mut store = EmbeddedStore::open(&config).unwrap();
        let mut sequence = Sequence(seed);
        for _ in 0..400 {
            let key = format!("/{}/{}", sequence.below(3), sequence.below(6));
            let expect = match (model.get(&key).await.unwrap(), sequence.below(10)) {
                (Some(item), 1..) => Expect::Revision(item.revision),
                (None, 1..) => Expect::Absent,
                (_, _) => Expect::Revision(Revision(sequence.below(400))),
            };
            let value = vec![sequence.below(256) as u8; sequence.below(300) as usize];
            let op = match sequence.below(4) {
                0 => Op::Delete,
                1 => put_volatile(value),
                _ => put(value),
            };
            let expected = model.commit(&key, expect, op.clone()).await;
            let found = store.commit(&key, expect, op).await;
            assert_eq!(format!("{found:?}"), format!("{expected:?}"), "seed {seed}");
            if sequence.below(60) == 0 {
                store.close().await.unwrap();
                drop(store);
                store = EmbeddedStore::open(&config).unwrap();
            }
            if sequence.below(20) == 0 {
                compare(&store, &model, Revision(sequence.below(model.revision().0 + 1))).await;
            }
        }
        compare(&store, &model, Revision(0)).await;
    }
}

async fn compare(store: &dyn Store, model: &dyn Store, after: Revision) {
    assert_eq!(store.list("").await.unwrap(), model.list("").await.unwrap());
    assert_eq!(store.list("/1").await.unwrap(), model.list("/1").await.unwrap());
    let (mut watch, mut expected) = (store.watch("/1", after).await.unwrap(), model.watch("/1", after).await.unwrap());
    let count = {
        let mut all = model.watch("/1", after).await.unwrap();
        let mut count = 0;
        while let Some(Some(notice)) = futures::FutureExt::now_or_never(all.next()) {
            count += usize::from(matches!(notice, Ok(Notice::Commit(_))));
        }
        count
    };
    assert_eq!(take(&mut watch, count).await, take(&mut expected, count).await);
}
