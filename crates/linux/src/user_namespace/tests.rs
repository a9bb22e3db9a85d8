use std::io::{Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;

use super::*;
use crate::mount::Detached;

/// A process in a user namespace of its own; it ends with its standard input.
fn guest() -> std::process::Child {
    let mut command = std::process::Command::new("unshare");
    command.args(["--user", "sh", "-c", "echo; read end"]);
    let piped = std::process::Stdio::piped;
    let mut child = command.stdin(piped()).stdout(piped()).spawn().unwrap();
    let mut ready = [0];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    child
}

#[test]
fn owners_are_shifted_through_a_mount_with_its_ids() {
    let mut guest = guest();
    let pid = guest.id() as i32;
    map(pid, 1_000_000, 65536).unwrap();
    let seen: Vec<_> =
        fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap().split_whitespace().map(String::from).collect();
    assert_eq!(seen, ["0", "1000000", "65536"]);
    assert_eq!(map(pid, 1_000_000, 65536).unwrap_err().kind(), io::ErrorKind::PermissionDenied, "mapped once");

    let directory = std::env::temp_dir().join(format!("linux-user-namespace-{pid}"));
    fs::create_dir(&directory).unwrap();
    let namespace = open(pid).unwrap();
    let tree = Detached::clone_of(&directory, false).unwrap();
    tree.map_ids(namespace.as_fd()).unwrap();
    let status = rustix::fs::fstat(&tree).unwrap();
    assert_eq!((status.st_uid, status.st_gid), (1_000_000, 1_000_000));
    assert_eq!(fs::metadata(&directory).unwrap().uid(), 0);
    assert!(tree.map_ids(namespace.as_fd()).is_err(), "once only");
    fs::remove_dir(&directory).unwrap();

    let proc = Detached::new("proc", &[], crate::mount::Attributes::default()).unwrap();
    assert!(proc.map_ids(namespace.as_fd()).is_err(), "not every file system can");
    guest.stdin.take().unwrap().write_all(b"\n").unwrap();
    guest.wait().unwrap();
}
