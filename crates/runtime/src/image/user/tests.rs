use std::fs;
use std::os::fd::AsFd;

use super::*;

fn root() -> tempfile::TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    fs::create_dir(directory.path().join("etc")).expect("etc");
    let passwd = "root:x:0:0:root:/root:/bin/sh\nbroken line\nredis:x:100:101::/data:/bin/sh\n1234:x:77:78::/odd:\n";
    fs::write(directory.path().join("etc/passwd"), passwd).expect("passwd");
    let group = "root:x:0:\nredis:x:101:redis\naudio:x:29:redis,root\nstaff:x:50:redis\n";
    fs::write(directory.path().join("etc/group"), group).expect("group");
    directory
}

fn resolve(root: &std::path::Path, spec: &str) -> Result<ResolvedUser, String> {
    let root = fs::File::open(root).expect("opens");
    resolve_user(root.as_fd(), spec).map_err(|error| error.to_string())
}

fn user(uid: u32, gid: u32, groups: &[u32], home: &str) -> ResolvedUser {
    ResolvedUser { uid, gid, supplementary_gids: groups.to_vec(), home: home.to_owned() }
}

#[test]
fn resolves_names_and_numbers() {
    let root = root();
    let cases = [
        ("", user(0, 0, &[29], "/root")),
        ("redis", user(100, 101, &[29, 50], "/data")),
        ("100", user(100, 101, &[29, 50], "/data")),
        ("redis:staff", user(100, 50, &[], "/data")),
        ("redis:7", user(100, 7, &[], "/data")),
        ("5000", user(5000, 0, &[], "/")),
        ("5000:6000", user(5000, 6000, &[], "/")),
        ("1234", user(77, 78, &[], "/odd")),
    ];
    for (spec, user) in cases {
        assert_eq!(resolve(root.path(), spec), Ok(user), "{spec}");
    }
}

#[test]
fn names_that_are_not_there_are_errors() {
    let root = root();
    let error = resolve(root.path(), "nobody").expect_err("unknown");
    assert_eq!(error, "unable to find user nobody: no matching entries in passwd file");
    let error = resolve(root.path(), "redis:wheel").expect_err("unknown");
    assert_eq!(error, "unable to find group wheel: no matching entries in group file");
}

#[test]
fn image_without_databases_knows_numbers_only() {
    let empty = tempfile::tempdir().expect("a directory");
    assert_eq!(resolve(empty.path(), "1000"), Ok(user(1000, 0, &[], "/")));
    assert!(resolve(empty.path(), "root").is_err());
}

#[test]
fn databases_are_read_inside_the_root_only() {
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir(root.path().join("etc")).expect("etc");
    std::os::unix::fs::symlink("../../../../../../etc/passwd", root.path().join("etc/passwd")).expect("symlink");
    assert!(resolve(root.path(), "root").is_err(), "the host's passwd is out of reach");
}
