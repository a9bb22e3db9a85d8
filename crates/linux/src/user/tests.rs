use super::*;

const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\nbroken\nredis:x:101:102::/var/lib/redis:/bin/false\n";
const GROUP: &str = "root:x:0:\nredis:x:102:\ndisk:x:6:redis,other\naudio:x:29:other\n";

#[test]
fn finds_users_by_name_and_number() {
    for (wanted, uid, gid, groups, home) in [
        ("", 0, 0, &[][..], Some("/root")),
        ("redis", 101, 102, &[6], Some("/var/lib/redis")),
        ("101", 101, 102, &[6], Some("/var/lib/redis")),
        ("redis:audio", 101, 29, &[6], Some("/var/lib/redis")),
        ("1000", 1000, 0, &[], None),
        ("1000:3000", 1000, 3000, &[], None),
        (":29", 0, 29, &[], Some("/root")),
    ] {
        let expected = User { uid, gid, groups: groups.to_vec(), home: home.map(Into::into) };
        assert_eq!(look_up(wanted, PASSWD, GROUP), Ok(expected), "{wanted:?}");
    }
}

#[test]
fn names_without_entry_are_errors() {
    assert_eq!(look_up("nobody", PASSWD, GROUP), Err(LookupError::User("nobody".into())));
    assert_eq!(look_up("redis:staff", PASSWD, GROUP), Err(LookupError::Group("staff".into())));
    assert_eq!(look_up("7", "", "").unwrap().uid, 7);
}
