use super::*;

fn names(set: CapabilitySet) -> String {
    NAMES.iter().filter(|(known, _)| set.contains(*known)).map(|(_, text)| *text).collect::<Vec<_>>().join(" ")
}

#[test]
fn numbers_are_the_kernels() {
    assert_eq!(Capability::Chown as u8, 0);
    assert_eq!(Capability::SysAdmin as u8, 21);
    assert_eq!(Capability::CheckpointRestore as u8, 40);
    assert_eq!(CapabilitySet::container_default().bits(), 0xa804_25fb);
}

#[test]
fn adds_and_drops_as_a_security_context_says() {
    let base = CapabilitySet::parse(["CHOWN", "KILL", "MKNOD"]).unwrap();
    for (add, drop, expected) in [
        (&[][..], &[][..], "CHOWN KILL MKNOD"),
        (&["NET_ADMIN"], &["cap_kill"], "CHOWN NET_ADMIN MKNOD"),
        (&["NET_BIND_SERVICE"], &["ALL"], "NET_BIND_SERVICE"),
        (&[], &["all"], ""),
        (&["KILL"], &["KILL"], "CHOWN KILL MKNOD"),
    ] {
        assert_eq!(names(base.adjusted(add, drop).unwrap()), expected, "+{add:?} -{drop:?}");
    }
    let all_but_one = base.adjusted(&["ALL"], &["SYS_ADMIN"]).unwrap();
    assert_eq!(CapabilitySet::all().difference(all_but_one), CapabilitySet::default().with(Capability::SysAdmin));
    assert_eq!(base.adjusted(&["NO_SUCH"], &[]), Err(UnknownCapability("NO_SUCH".into())));
}
