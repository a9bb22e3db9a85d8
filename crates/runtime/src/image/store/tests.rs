use std::collections::BTreeSet;

use super::*;
use crate::image::fixture::{directory, file, files, gzip, tar};
use crate::image::index::ImageRecord;
use crate::image::manifest::ImageConfig;

fn record(name: &str, layers: &[&Digest], boot: Option<&str>) -> ImageRecord {
    ImageRecord {
        id: Digest::of(name.as_bytes()),
        tags: BTreeSet::from([name.to_owned()]),
        digests: BTreeSet::new(),
        size_bytes: 0,
        layers: layers.iter().map(|layer| (*layer).clone()).collect(),
        config: ImageConfig::default(),
        unsynced_in_boot: boot.map(str::to_owned),
    }
}

fn staged(files: &ImageFiles) -> usize {
    fs::read_dir(files.root().join("staging")).expect("lists").count()
}

#[test]
fn layers_are_verified_in_every_compression() {
    let root = tempfile::tempdir().expect("a directory");
    let files = files(root.path());
    for (name, compress) in [
        ("plain", (|bytes| bytes.to_vec()) as fn(&[u8]) -> Vec<u8>),
        ("gzip", gzip),
        ("zstd", |bytes| zstd::encode_all(bytes, 1).expect("memory")),
    ] {
        let layer = tar(&[directory("dir"), file("dir/name", name)]);
        let (blob, diff_id) = (compress(&layer), Digest::of(&layer));
        files.add_layer(blob.as_slice(), Some(&Digest::of(&blob)), &diff_id).expect(name);
        assert_eq!(fs::read_to_string(files.layer_content(&diff_id).join("dir/name")).expect("there"), name);
        assert_eq!(files.layer_usage(&diff_id).expect("known").inodes, 2);
    }
    let layer = tar(&[file("a", "b")]);
    let (blob, diff_id, other) = (gzip(&layer), Digest::of(&layer), Digest::of(b"other"));
    assert!(files.add_layer(blob.as_slice(), None, &other).is_err(), "wrong content");
    assert!(files.add_layer(blob.as_slice(), Some(&other), &diff_id).is_err(), "wrong blob");
    assert!(files.add_layer(&blob[..blob.len() - 9], Some(&Digest::of(&blob)), &diff_id).is_err(), "cut short");
    assert!(!files.has_layer(&other) && !files.has_layer(&diff_id));
    assert_eq!(staged(&files), 0, "failures leave nothing");
    files.add_layer(blob.as_slice(), None, &diff_id).expect("good");
    files.add_layer(blob.as_slice(), None, &diff_id).expect("adding again is fine");
}

#[test]
fn other_processes_changes_are_seen_at_once() {
    let root = tempfile::tempdir().expect("a directory");
    let (one, other) = (files(root.path()), files(root.path()));
    for round in 0..20 {
        let name = format!("image-{round}");
        other.update(|index| index.add(record(&name, &[], None))).expect("writes");
        assert!(one.index().expect("reads").find(&name).is_some(), "{name}");
    }
    assert_eq!(fs::metadata(root.path()).expect("there").mode() & 0o777, 0o700);
}

#[test]
fn garbage_waits_for_those_inside() {
    let root = tempfile::tempdir().expect("a directory");
    let files = files(root.path());
    let layer = tar(&[file("a", "b")]);
    let diff_id = Digest::of(&layer);
    let inside = files.enter().expect("locks");
    files.add_layer(layer.as_slice(), None, &diff_id).expect("good");
    files.collect_garbage().expect("does nothing");
    assert!(files.has_layer(&diff_id));
    drop(inside);
    files.collect_garbage().expect("collects");
    assert!(!files.has_layer(&diff_id));
    assert_eq!(staged(&files), 0);
}

#[test]
fn opening_clears_what_a_crash_or_power_loss_left() {
    let root = tempfile::tempdir().expect("a directory");
    let store = files(root.path());
    let (kept, lost) = (tar(&[file("a", "kept")]), tar(&[file("a", "lost")]));
    let (kept_id, lost_id) = (Digest::of(&kept), Digest::of(&lost));
    for (layer, id) in [(&kept, &kept_id), (&lost, &lost_id)] {
        store.add_layer(layer.as_slice(), None, id).expect("good");
    }
    let boot = store.boot().to_owned();
    store.update(|index| index.add(record("kept", &[&kept_id], Some(&boot)))).expect("writes");
    store.update(|index| index.add(record("lost", &[&kept_id, &lost_id], Some("an earlier boot")))).expect("writes");
    fs::create_dir(root.path().join("staging/half")).expect("a half layer");
    drop(store);
    let store = files(root.path());
    let index = store.index().expect("reads");
    assert!(index.find("kept").is_some() && index.find("lost").is_none());
    assert!(store.has_layer(&kept_id) && !store.has_layer(&lost_id));
    assert_eq!(staged(&store), 0);
    store.sync().expect("syncs");
    assert!(store.index().expect("reads").unsynced().is_empty());
}

#[test]
fn damaged_index_is_an_error_not_an_empty_store() {
    let root = tempfile::tempdir().expect("a directory");
    drop(files(root.path()));
    fs::write(root.path().join("index.json"), "{").expect("writes");
    let error = ImageFiles::open(root.path(), std::sync::Arc::new(platform::random::SystemRandom)).err();
    assert!(matches!(error, Some(StoreError::Index { .. })), "{error:?}");
}
