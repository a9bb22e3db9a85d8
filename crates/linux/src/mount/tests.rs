use std::path::PathBuf;

use super::*;

#[test]
fn overlay_options_escape_separators() {
    let lower = [PathBuf::from("/layers/b"), PathBuf::from("/layers/a:1,2")];
    let overlay = Overlay { lower: &lower, upper: Path::new("/c/up"), work: Path::new(r"/c/w\k") };
    let options = String::from_utf8(overlay.options()).unwrap();
    assert_eq!(options, r"volatile,lowerdir=/layers/b:/layers/a\:1\,2,upperdir=/c/up,workdir=/c/w\\k");
}

#[test]
fn naming_a_symbolic_link_is_refused_unless_followed() {
    let link = Path::new("/proc/self");
    assert_eq!(open_path(link, false).unwrap_err().raw_os_error(), Some(libc::ELOOP));
    assert!(open_path(link, true).is_ok());
}

#[test]
fn detached_trees_carry_their_attributes() {
    let tree = Detached::new("tmpfs", &[("mode", "0755"), ("size", "64k")], Attributes::default()).unwrap();
    assert!(tree.is_directory().unwrap());
    tree.set(Attributes { read_only: true, ..Attributes::default() }, Some(Propagation::Private), true).unwrap();
    let denied = rustix::fs::mkdirat(&tree, "x", Mode::RWXU).unwrap_err();
    assert_eq!(denied, rustix::io::Errno::ROFS);
    assert!(!Detached::clone_of(Path::new("/dev/null"), false).unwrap().is_directory().unwrap());
}
