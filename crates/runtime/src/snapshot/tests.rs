use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;

use linux::mount::{Attributes, Overlay};
use tempfile::TempDir;

use super::*;
use crate::image::fixture::{Item, directory, file, files, tar};
use crate::image::manifest::ImageConfig;

/// A store with one image of these layers, named `docker.io/library/app:latest`.
fn with_image(layers: &[Vec<u8>]) -> (TempDir, ImageFiles) {
    let root = tempfile::tempdir().expect("a directory");
    let files = files(root.path());
    let ids: Vec<Digest> = layers.iter().map(|layer| Digest::of(layer)).collect();
    for (layer, id) in layers.iter().zip(&ids) {
        files.add_layer(layer.as_slice(), None, id).expect("good");
    }
    let image = ImageRecord {
        id: Digest::of(b"app"),
        tags: BTreeSet::from(["docker.io/library/app:latest".to_owned()]),
        digests: BTreeSet::new(),
        size_bytes: 0,
        layers: ids,
        config: ImageConfig::default(),
        unsynced_in_boot: None,
    };
    files.update(|index| index.add(image)).expect("writes");
    (root, files)
}

/// A mounted root file system; unmounts even when a test fails.
struct Mounted {
    target: TempDir,
}

impl Mounted {
    fn new(snapshot: &Snapshot) -> Self {
        let target = tempfile::tempdir().expect("a directory");
        let Snapshot { lowerdirs, upperdir, workdir, .. } = snapshot;
        Overlay { lower: lowerdirs, upper: upperdir, work: workdir }
            .mount(target.path(), Attributes::default())
            .expect("mounts");
        Self { target }
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.target.path().join(path)).ok()
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        linux::mount::unmount(self.target.path()).expect("was mounted");
    }
}

#[test]
fn containers_see_all_layers_and_change_only_their_own() {
    let base = tar(&[
        Item { mode: 0o750, owner: (5, 6), ..directory("./") },
        file("etc/hosts", "base"),
        file("etc/gone", "x"),
        file("data/old", "x"),
    ]);
    let top = tar(&[
        Item { mode: 0o750, owner: (5, 6), ..directory("./") },
        file("etc/hosts", "top"),
        file("etc/.wh.gone", ""),
        file("data/.wh..wh..opq", ""),
        file("data/new", "new"),
    ]);
    let (_root, files) = with_image(&[base, top]);
    let one = prepare(&files, "one", "app").expect("prepares");
    let mounted = Mounted::new(&one);
    assert_eq!(mounted.text("etc/hosts").as_deref(), Some("top"));
    assert_eq!(mounted.text("etc/gone"), None);
    assert_eq!((mounted.text("data/old"), mounted.text("data/new").as_deref()), (None, Some("new")));
    let root = fs::metadata(mounted.target.path()).expect("there");
    assert_eq!((root.mode() & 0o7777, root.uid(), root.gid()), (0o750, 5, 6));
    fs::write(mounted.target.path().join("etc/hosts"), "changed").expect("writable");
    fs::remove_file(mounted.target.path().join("data/new")).expect("writable");
    let other = Mounted::new(&prepare(&files, "other", one.image.id.as_str()).expect("prepares"));
    assert_eq!(other.text("etc/hosts").as_deref(), Some("top"));
    assert_eq!(other.text("data/new").as_deref(), Some("new"));
    let usage = usage(&files, "one").expect("measures");
    assert!(usage.bytes > 0 && usage.inodes >= 4, "{usage:?}");
}

#[test]
fn many_layers_mount() {
    let layers: Vec<Vec<u8>> =
        (0..120).map(|n| tar(&[file(&format!("layer-{n}"), "x"), file("name", &n.to_string())])).collect();
    let (_root, files) = with_image(&layers);
    let snapshot = prepare(&files, "c", "app").expect("prepares");
    let mounted = Mounted::new(&snapshot);
    assert_eq!(mounted.text("name").as_deref(), Some("119"));
    assert_eq!(mounted.text("layer-0").as_deref(), Some("x"));
}

#[test]
fn repeated_and_missing_layers_mount() {
    let layer = tar(&[file("a", "a")]);
    for layers in [vec![], vec![layer.clone(), tar(&[file("a", "b")]), layer.clone()]] {
        let (_root, files) = with_image(&layers);
        let mounted = Mounted::new(&prepare(&files, "c", "app").expect("prepares"));
        assert_eq!(mounted.text("a").is_some(), !layers.is_empty());
        assert_ne!(mounted.text("a").as_deref(), Some("b"));
    }
}

#[test]
fn layers_stay_while_containers_use_them() {
    let (_root, files) = with_image(&[tar(&[file("a", "a")])]);
    let snapshot = prepare(&files, "c", "app").expect("prepares");
    files.remove_image("app").expect("removes");
    assert!(matches!(prepare(&files, "d", "app"), Err(ImageError::NotFound(_))));
    assert!(snapshot.lowerdirs[0].exists());
    let found = load(&files, "c").expect("a restarted daemon finds it");
    assert_eq!((found.lowerdirs, found.image.id), (snapshot.lowerdirs.clone(), snapshot.image.id.clone()));
    remove(&files, "c").expect("removes");
    remove(&files, "c").expect("again");
    files.collect_garbage().expect("collects");
    assert!(!snapshot.lowerdirs[0].exists());
}

#[test]
fn orphans_are_removed_and_the_living_kept() {
    let (_root, files) = with_image(&[tar(&[file("a", "a")])]);
    for id in ["live", "dead"] {
        prepare(&files, id, "app").expect("prepares");
    }
    retain(&files, &["live".to_owned()]).expect("removes");
    assert!(load(&files, "live").is_ok());
    assert!(matches!(load(&files, "dead"), Err(StoreError::NoSnapshot(_))));
}

#[test]
fn an_earlier_try_is_replaced() {
    let (_root, files) = with_image(&[tar(&[file("a", "a")])]);
    let snapshot = prepare(&files, "c", "app").expect("prepares");
    fs::write(snapshot.upperdir.join("left"), "over").expect("writes");
    prepare(&files, "c", "app").expect("prepares");
    assert!(!snapshot.upperdir.join("left").exists());
}

#[test]
fn odd_container_ids_are_refused() {
    let (_root, files) = with_image(&[]);
    for id in ["", "..", "a/b", "/etc"] {
        assert!(matches!(prepare(&files, id, "app"), Err(ImageError::Store(StoreError::ContainerId(_)))), "{id}");
    }
}
