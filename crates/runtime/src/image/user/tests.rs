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

fn resolve(root: &std::path::Path, spec: &str) -> Result<(u32, u32, Vec<u32>, String), String> {
    let root = fs::File::open(root).expect("opens");
    let user = resolve_user(root.as_fd(), spec).map_err(|error| error.to_string())?;
    Ok((user.uid, user.gid, user.supplementary_gids, user.home))
}

#[test]
fn resolves_names_and_numbers() {
    let root = root();
    let cases: [(&str, (u32, u32, &[u32], &str)); 8] = [
        ("", (0, 0, &[29], "/root")),
        ("redis", (100, 101, &[29, 50], "/data")),
        ("100", (100, 101, &[29, 50], "/data")),
        ("redis:staff", (100, 50, &[], "/data")),
        ("redis:7", (100, 7, &[], "/data")),
        ("5000", (5000, 0, &[], "/")),
        ("5000:6000", (5000, 6000, &[], "/")),
        ("1234", (77, 78, &[], "/odd")),
    ];
    for (spec, (uid, gid, groups, home)) in cases {
        assert_eq!(resolve(root.path(), spec), Ok((uid, gid, groups.to_vec(), home.to_owned())), "{spec}");
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
    assert_eq!(resolve(empty.path(), "1000"), Ok((1000, 0, Vec::new(), "/".to_owned())));
    assert!(resolve(empty.path(), "root").is_err());
}

#[test]
fn databases_are_read_inside_the_root_only() {
    let root = tempfile::tempdir().expect("a directory");
    fs::create_dir(root.path().join("etc")).expect("etc");
    std::os::unix::fs::symlink("../../../../../../etc/passwd", root.path().join("etc/passwd")).expect("symlink");
    assert!(resolve(root.path(), "root").is_err(), "the host's passwd is out of reach");
}
