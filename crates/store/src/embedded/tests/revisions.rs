//! Revisions and history across restarts and crashes.

use crate::embedded::open::{new_database, open_files};
use crate::embedded::tables::Tables;
use crate::embedded::writer::RESERVATION;
use crate::embedded::{Config, EmbeddedStore};
use crate::tests::{put, put_volatile, small_config, take};
use crate::{Error, Expect, Op, Revision, Store};

fn open(config: &Config) -> EmbeddedStore {
    EmbeddedStore::open(config).unwrap()
}

#[tokio::test]
async fn a_clean_stop_keeps_everything_and_leaves_no_gap() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_config(&directory);
    let store = open(&config);
    store.commit("/durable", Expect::Absent, put("x")).await.unwrap();
    store.commit("/volatile", Expect::Absent, put_volatile("y")).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let store = open(&config);
    assert_eq!(store.revision(), Revision(2));
    assert_eq!(store.list("").await.unwrap().items.len(), 2);
    let mut watch = store.watch("", Revision(0)).await.unwrap();
    assert_eq!(take(&mut watch, 2).await[1].revision, Revision(2));
    assert_eq!(store.commit("/next", Expect::Absent, put("z")).await.unwrap(), Revision(3));
}

#[tokio::test]
async fn whoever_saw_a_lost_commit_has_to_list_again() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_config(&directory);
    let store = open(&config);
    store.commit("/durable", Expect::Absent, put("x")).await.unwrap();
    store.commit("/kept", Expect::Absent, put_volatile("rides along")).await.unwrap();
    store.commit("/durable", Expect::Revision(Revision(1)), put("y")).await.unwrap();
    store.commit("/lost", Expect::Absent, put_volatile("z")).await.unwrap();
    drop(store);

    let store = open(&config);
    let restarted = store.revision();
    assert_eq!(restarted, Revision(3 + RESERVATION));
    assert_eq!(store.get("/lost").await.unwrap(), None);
    assert!(store.get("/kept").await.unwrap().is_some());
    let next = store.commit("/lost", Expect::Absent, put("again")).await.unwrap();
    assert_eq!(next, Revision(restarted.0 + 1));
    for seen in [4, 5, restarted.0 - 1] {
        let refused = store.watch("", Revision(seen)).await.err();
        assert!(matches!(refused, Some(Error::Compacted { .. })), "{seen}: {refused:?}");
    }
    for (seen, expected) in [(0, vec![1, 2, 3, next.0]), (3, vec![next.0]), (restarted.0, vec![next.0])] {
        let mut watch = store.watch("", Revision(seen)).await.unwrap();
        let events = take(&mut watch, expected.len()).await;
        assert_eq!(events.iter().map(|event| event.revision.0).collect::<Vec<_>>(), expected);
        assert!(futures::FutureExt::now_or_never(take(&mut watch, 1)).is_none());
    }
}

#[tokio::test]
async fn a_crash_without_commits_takes_no_revisions() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_config(&directory);
    let store = open(&config);
    store.commit("/a", Expect::Absent, put("x")).await.unwrap();
    drop(store);
    let revision = open(&config).revision();
    for _ in 0..3 {
        assert_eq!(open(&config).revision(), revision);
    }
}

#[tokio::test]
async fn volatile_commits_alone_never_use_unreserved_revisions() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = small_config(&directory);
    config.checkpoint_bytes = usize::MAX;
    let store = open(&config);
    let mut last = store.commit("/lease", Expect::Absent, put_volatile("0")).await.unwrap();
    for _ in 0..RESERVATION + 10 {
        last = store.commit("/lease", Expect::Revision(last), put_volatile("n")).await.unwrap();
    }
    drop(store);
    assert!(open(&config).revision() >= last);
}

#[tokio::test]
async fn a_volatile_value_falls_back_to_the_durable_one_it_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_config(&directory);
    let store = open(&config);
    let first = store.commit("/a", Expect::Absent, put("durable")).await.unwrap();
    store.commit("/a", Expect::Revision(first), put_volatile("volatile")).await.unwrap();
    drop(store);
    let store = open(&config);
    assert_eq!(store.get("/a").await.unwrap().unwrap().value, "durable");
}

#[tokio::test]
async fn history_is_bounded_by_bytes_and_age() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = small_config(&directory);
    let clock = std::sync::Arc::new(crate::tests::TestClock::default());
    config.clock = clock.clone();
    config.history.age = std::time::Duration::from_secs(60);
    let store = open(&config);
    store.commit("/old", Expect::Absent, put("x")).await.unwrap();
    clock.0.store(61_000, std::sync::atomic::Ordering::Relaxed);
    store.commit("/new", Expect::Absent, put(vec![0; 3000])).await.unwrap();
    // Answered after the checkpoint that the commit before made due.
    store.commit("/new2", Expect::Absent, put("x")).await.unwrap();
    assert!(matches!(store.watch("", Revision(0)).await.err(), Some(Error::Compacted { oldest: Revision(1), .. })));

    config.history.bytes = 5000;
    store.close().await.unwrap();
    drop(store);
    let store = open(&config);
    for n in 0..10 {
        store.commit(&format!("/{n}"), Expect::Absent, put(vec![0; 1000])).await.unwrap();
    }
    assert!(matches!(store.watch("", Revision(3)).await.err(), Some(Error::Compacted { .. })));
    assert!(store.watch("", Revision(store.revision().0 - 3)).await.is_ok());
}

#[tokio::test]
async fn the_tables_hold_exactly_what_can_be_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = small_config(&directory);
    config.history.commits = 30;
    let store = open(&config);
    let mut sequence = crate::tests::Sequence(4);
    for _ in 0..500 {
        let key = format!("/{}", sequence.below(20));
        let (expect, op) = match store.get(&key).await.unwrap() {
            Some(item) if sequence.below(3) == 0 => (Expect::Revision(item.revision), Op::Delete),
            Some(item) => (Expect::Revision(item.revision), put(vec![0; 40])),
            None => (Expect::Absent, put_volatile(vec![0; 40])),
        };
        store.commit(&key, expect, op).await.unwrap();
        if sequence.below(100) == 0 {
            store.compact(Revision(store.revision().0 - sequence.below(20))).await.unwrap();
        }
    }
    let items = store.list("").await.unwrap().items;
    store.close().await.unwrap();
    drop(store);
    let writer = open_files(&config).unwrap();
    writer.tables.view().unwrap().verify(writer.tables.meta());
    drop(writer);
    assert_eq!(open(&config).list("").await.unwrap().items, items);
    let tables = Tables::open(
        new_database(
            redb::backends::FileBackend::new(
                std::fs::OpenOptions::new().read(true).write(true).open(&config.path).unwrap(),
            )
            .unwrap(),
        )
        .unwrap(),
    )
    .unwrap();
    assert!(tables.meta().history.commits <= 30);
}
