use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};

use rustix::fs::getxattr;
use tar::EntryType;

use super::*;
use crate::image::fixture::{Item, directory, file, hard_link, symlink, tar};

/// Unpacks into a directory that lies inside another one, so that an escape would be seen.
struct Unpacked {
    outside: tempfile::TempDir,
    outcome: Result<Usage, String>,
}

impl Unpacked {
    fn path(&self, path: &str) -> PathBuf {
        self.outside.path().join("layer").join(path)
    }

    fn text(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap_or_else(|error| format!("{path}: {error}"))
    }

    fn is_whiteout(&self, path: &str) -> bool {
        fs::symlink_metadata(self.path(path))
            .is_ok_and(|metadata| metadata.file_type().is_char_device() && metadata.rdev() == 0)
    }

    fn is_opaque(&self, path: &str) -> bool {
        let mut value = [0; 8];
        getxattr(self.path(path), "trusted.overlay.opaque", &mut value).is_ok_and(|length| &value[..length] == b"y")
    }

    fn stayed_inside(&self) -> bool {
        fs::read_dir(self.outside.path()).expect("lists").count() == 1
    }
}

fn unpacked(items: &[Item<'_>]) -> Unpacked {
    let outside = tempfile::tempdir().expect("a directory");
    let layer = outside.path().join("layer");
    fs::create_dir(&layer).expect("a directory");
    let root = fs::File::open(&layer).expect("opens");
    let outcome = unpack(tar(items).as_slice(), root.as_fd()).map_err(|error| format!("{error}: {error:?}"));
    Unpacked { outside, outcome }
}

#[test]
fn keeps_kinds_owners_modes_times_and_attributes() {
    let layer = unpacked(&[
        directory("./"),
        Item { mode: 0o1777, ..directory("tmp/") },
        Item { mode: 0o4755, owner: (1000, 7), xattrs: &[("user.note", b"hello")], ..file("bin/su", "#!") },
        symlink("bin/sh", "/bin/su"),
        hard_link("bin/ash", "bin/su"),
        Item { kind: EntryType::Fifo, mode: 0o600, ..file("run/pipe", "") },
    ]);
    assert_eq!(layer.outcome, Ok(Usage { bytes: 2, inodes: 6 }));
    let metadata = fs::metadata(layer.path("bin/su")).expect("there");
    assert_eq!((metadata.mode() & 0o7777, metadata.uid(), metadata.gid()), (0o4755, 1000, 7));
    assert_eq!((metadata.mtime(), metadata.nlink()), (1_000_000_000, 2));
    assert_eq!(fs::metadata(layer.path("bin/ash")).expect("there").ino(), metadata.ino());
    let mut value = [0; 16];
    let length = getxattr(layer.path("bin/su"), "user.note", &mut value).expect("kept");
    assert_eq!(&value[..length], b"hello");
    assert_eq!(fs::read_link(layer.path("bin/sh")).expect("a link"), Path::new("/bin/su"));
    assert!(fs::symlink_metadata(layer.path("run/pipe")).expect("there").file_type().is_fifo());
    let tmp = fs::metadata(layer.path("tmp")).expect("there");
    assert_eq!((tmp.mode() & 0o7777, tmp.mtime()), (0o1777, 1_000_000_000));
    assert_eq!(fs::metadata(layer.path("bin")).expect("implied").mode() & 0o7777, 0o755);
}

#[test]
fn whiteouts_hide_lower_content_only() {
    let layer = unpacked(&[
        directory("etc"),
        file("etc/.wh.old", ""),
        file("etc/new", "new"),
        file("etc/.wh.new", ""),
        directory("data"),
        file("data/.wh..wh..opq", ""),
        file("data/kept", "kept"),
        file(".wh..wh.plnk", ""),
        file(".wh.dir", ""),
        directory("dir"),
        directory("late"),
        file(".wh.late", ""),
    ]);
    assert!(layer.outcome.is_ok(), "{:?}", layer.outcome);
    assert!(layer.is_whiteout("etc/old"));
    assert_eq!(layer.text("etc/new"), "new", "a whiteout hides nothing of its own layer");
    assert!(layer.is_opaque("data") && !layer.is_opaque("etc"));
    assert_eq!(layer.text("data/kept"), "kept");
    assert!(layer.is_opaque("dir") && layer.is_opaque("late"), "a directory made anew hides the old one's content");
    assert!(!layer.path(".wh..wh.plnk").exists());
}

#[test]
fn later_entries_replace_earlier_ones() {
    let layer = unpacked(&[
        file("a", "file"),
        file("b/c/d", "deep"),
        file("b", "now a file"),
        symlink("a", "b"),
        file("a", "again a file"),
        symlink("e", "b"),
        file("e/f", "e became a directory?"),
    ]);
    assert!(layer.outcome.is_err(), "a file in the way of a directory is an error");
    assert_eq!(layer.text("a"), "again a file");
    assert_eq!(layer.text("b"), "now a file");
}

#[test]
fn nothing_leads_out_of_the_layer() {
    let cases: &[&[Item<'_>]] = &[
        &[file("../escaped", "x")],
        &[file("a/../../escaped", "x")],
        &[file("/../escaped", "x")],
        &[symlink("out", ".."), file("out/escaped", "x")],
        &[symlink("out", "../.."), symlink("out2", "out/.."), file("out2/escaped", "x")],
        &[symlink("out", "/proc/self/root/tmp"), file("out/escaped", "x")],
        &[hard_link("stolen", "../../../etc/passwd")],
        &[symlink("out", "/"), hard_link("stolen", "out/etc/passwd")],
        &[file("..", "x")],
        &[file("a/.wh...", "")],
        &[file(".wh..", "")],
        &[file(".wh.", "")],
    ];
    for items in cases {
        let layer = unpacked(items);
        let what = items.last().expect("some").path;
        assert!(layer.stayed_inside(), "{what}: something was made outside");
        assert!(!layer.path("stolen").exists(), "{what}: a file of the host was linked");
    }
    for items in [cases[0], cases[1], cases[6], cases[7], cases[8], cases[9], cases[10], cases[11]] {
        assert!(unpacked(items).outcome.is_err(), "{}", items.last().expect("some").path);
    }
}

#[test]
fn absolute_symlinks_are_followed_inside_the_layer() {
    let layer = unpacked(&[directory("usr/lib"), symlink("lib", "/usr/lib"), file("lib/a.so", "x")]);
    assert!(layer.outcome.is_ok(), "{:?}", layer.outcome);
    assert_eq!(layer.text("usr/lib/a.so"), "x");
}

#[test]
fn a_symlink_is_not_written_through() {
    let layer = unpacked(&[file("target", "old"), symlink("link", "target"), file("link", "new")]);
    assert!(layer.outcome.is_ok(), "{:?}", layer.outcome);
    assert_eq!((layer.text("target").as_str(), layer.text("link").as_str()), ("old", "new"));
}

#[test]
fn attributes_of_overlayfs_are_dropped() {
    let layer = unpacked(&[Item { xattrs: &[("trusted.overlay.opaque", b"y")], ..directory("dir") }]);
    assert!(layer.outcome.is_ok() && !layer.is_opaque("dir"));
}

#[test]
fn damaged_streams_are_errors() {
    let whole = tar(&[file("a", &"x".repeat(5000))]);
    let root = tempfile::tempdir().expect("a directory");
    let root = fs::File::open(root.path()).expect("opens");
    assert!(unpack(&whole[..3000], root.as_fd()).is_err(), "ends early");
    assert!(unpack(&[7; 2048][..], root.as_fd()).is_err(), "no tar");
}

#[test]
fn times_may_have_fractions_and_signs() {
    let time = |text| parse_time(text).map(|time| (time.tv_sec, time.tv_nsec));
    assert_eq!(time("12"), Some((12, 0)));
    assert_eq!(time("12.5"), Some((12, 500_000_000)));
    assert_eq!(time("-1.25"), Some((-2, 750_000_000)));
    assert_eq!(time("12.5x"), None);
}
