//! Opening files that are not as they should be.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use redb::TableDefinition;

use crate::embedded::{Config, EmbeddedStore, OpenError};
use crate::tests::{Sequence, put, put_volatile, small_config};
use crate::{Error, Expect, Op, Revision, Store};

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// A store with a few commits, closed or not.
async fn written(config: &Config, closed: bool) {
    let store = EmbeddedStore::open(config).unwrap();
    for n in 0..10 {
        store.commit(&format!("/{n}"), Expect::Absent, put(vec![n; 300])).await.unwrap();
    }
    store.commit("/volatile", Expect::Absent, put_volatile("x")).await.unwrap();
    if closed {
        store.close().await.unwrap();
    }
}

#[tokio::test]
async fn files_are_private_and_so_is_a_directory_it_makes() {
    let directory = tempfile::tempdir().unwrap();
    let mut config = small_config(&directory);
    config.path = directory.path().join("deep/data/store.redb");
    written(&config, true).await;
    for (path, expected) in [("deep", 0o700), ("deep/data", 0o700), ("deep/data/store.redb", 0o600)] {
        assert_eq!(mode(&directory.path().join(path)), expected, "{path}");
    }
    assert_eq!(mode(&directory.path().join("deep/data/store.wal")), 0o600);
    for file in crate::embedded::files(&config.path) {
        let _ = std::fs::remove_file(file);
    }
    std::fs::remove_dir(directory.path().join("deep/data")).expect("there are no other files");
}

#[tokio::test]
async fn a_second_server_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_config(&directory);
    let store = EmbeddedStore::open(&config).unwrap();
    for _ in 0..2 {
        let refused = EmbeddedStore::open(&config).unwrap_err();
        assert!(matches!(refused, OpenError::InUse { .. }), "{refused}");
    }
    store.commit("/a", Expect::Absent, put("x")).await.unwrap();
    drop(store);
    EmbeddedStore::open(&config).unwrap();
}

#[tokio::test]
async fn a_file_that_is_no_store_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_config(&directory);
    std::fs::write(&config.path, "apiVersion: v1\n").unwrap();
    let refused = EmbeddedStore::open(&config).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
    assert_eq!(std::fs::read(&config.path).unwrap(), b"apiVersion: v1\n");

    std::fs::remove_file(&config.path).unwrap();
    drop(redb::Database::create(&config.path).unwrap());
    let refused = EmbeddedStore::open(&config).unwrap_err();
    assert!(matches!(refused, OpenError::Foreign { .. }), "{refused}");
}

#[tokio::test]
async fn a_newer_format_is_refused_by_its_number() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_config(&directory);
    written(&config, true).await;
    let database = redb::Database::open(&config.path).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(TableDefinition::<&str, u64>::new("meta")).unwrap().insert("format", 2).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let refused = EmbeddedStore::open(&config).unwrap_err();
    assert!(matches!(refused, OpenError::NewerFormat { found: 2, .. }), "{refused}");
}

#[tokio::test]
async fn half_a_store_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_config(&directory);
    let wal = config.path.with_extension("wal");
    written(&config, false).await;
    let tables = std::fs::read(&config.path).unwrap();
    std::fs::remove_file(&config.path).unwrap();
    let refused = EmbeddedStore::open(&config).unwrap_err();
    assert!(matches!(&refused, OpenError::Incomplete { missing, .. } if *missing == config.path), "{refused}");
    std::fs::write(&config.path, tables).unwrap();
    std::fs::remove_file(&wal).unwrap();
    let refused = EmbeddedStore::open(&config).unwrap_err();
    assert!(matches!(&refused, OpenError::Incomplete { missing, .. } if *missing == wal), "{refused}");
}

#[tokio::test]
async fn after_a_clean_stop_the_tables_alone_are_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_config(&directory);
    written(&config, true).await;
    std::fs::remove_file(config.path.with_extension("wal")).unwrap();
    let store = EmbeddedStore::open(&config).unwrap();
    assert_eq!(store.revision(), Revision(11));
    assert_eq!(store.list("").await.unwrap().items.len(), 11);
}

#[tokio::test]
async fn a_crash_while_the_store_is_made_leaves_nothing_in_the_way() {
    for (name, content) in [("store.new", "half a file"), ("store.wal", ""), ("store.redb", "")] {
        let directory = tempfile::tempdir().unwrap();
        let config = small_config(&directory);
        std::fs::write(directory.path().join(name), content).unwrap();
        written(&config, true).await;
        EmbeddedStore::open(&config).unwrap();
        assert!(!directory.path().join("store.new").exists());
    }
}

#[tokio::test]
async fn damage_anywhere_gives_an_error_or_the_right_values() {
    let directory = tempfile::tempdir().unwrap();
    let config = small_config(&directory);
    for closed in [true, false] {
        for path in [&config.path, &config.path.with_extension("wal")] {
            std::fs::read_dir(directory.path())
                .unwrap()
                .for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap());
            written(&config, closed).await;
            let (tables, wal) =
                (std::fs::read(&config.path).unwrap(), std::fs::read(config.path.with_extension("wal")).unwrap());
            let mut sequence = Sequence(9);
            for _ in 0..25 {
                std::fs::write(&config.path, &tables).unwrap();
                std::fs::write(config.path.with_extension("wal"), &wal).unwrap();
                damage(path, &mut sequence);
                // What matters: no panic, and nothing made up.
                let Ok(store) = EmbeddedStore::open(&config) else { continue };
                let Ok(snapshot) = store.list("").await else { continue };
                for item in snapshot.items.iter().filter(|item| &*item.key != "/volatile") {
                    let n: u8 = item.key[1..].parse().unwrap();
                    assert_eq!(item.value, vec![n; 300]);
                }
            }
        }
    }
}

/// Overwrites a few bytes, or cuts the file off.
fn damage(path: &Path, sequence: &mut Sequence) {
    let mut image = std::fs::read(path).unwrap();
    let used = image.iter().rposition(|byte| *byte != 0).unwrap_or(0) as u64 + 1;
    if sequence.below(4) == 0 {
        image.truncate(sequence.below(used) as usize);
    } else {
        let offset = if sequence.below(2) == 0 { sequence.below(used) } else { sequence.below(used.min(4096)) };
        image[offset as usize] ^= 1 << sequence.below(8);
    }
    std::fs::write(path, image).unwrap();
}

#[tokio::test]
async fn a_restored_store_has_every_value_at_its_revision_and_no_history() {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&small_config(&directory)).unwrap();
    for n in 0..40 {
        store.commit(&format!("/{n}"), Expect::Absent, put(vec![7; 100])).await.unwrap();
    }
    store.commit("/0", Expect::Revision(Revision(1)), Op::Delete).await.unwrap();
    let saved = store.list("").await.unwrap();
    let occupied = crate::embedded::restore(&small_config(&directory), &saved).unwrap_err().to_string();
    assert!(occupied.contains("is there already"), "{occupied}");
    store.commit("/later", Expect::Absent, put("lost")).await.unwrap();

    let other = tempfile::tempdir().unwrap();
    let config = small_config(&other);
    let head = crate::embedded::restore(&config, &saved).unwrap();
    assert!(head > store.revision(), "newer than anything that was seen");
    let writer = crate::embedded::open::open_files(&config).unwrap();
    writer.tables.view().unwrap().verify(writer.tables.meta());
    drop(writer);
    let restored = EmbeddedStore::open(&config).unwrap();
    let found = restored.list("").await.unwrap();
    assert_eq!((found.revision, found.items), (head, saved.items));
    for seen in [Revision(0), saved.revision, store.revision()] {
        assert!(matches!(restored.watch("", seen).await.err(), Some(Error::Compacted { .. })), "{seen:?}");
    }
    assert!(restored.watch("", head).await.is_ok());
    let next = restored.commit("/1", Expect::Revision(Revision(2)), put("next")).await.unwrap();
    assert_eq!(next, Revision(head.0 + 1));
}
