use super::*;

fn spec() -> ProcessSpec {
    ProcessSpec {
        argv: vec!["x".into()],
        env: Vec::new(),
        cwd: "/".into(),
        user: String::new(),
        supplemental_groups: vec![2000, 3000],
        strict_groups: false,
        capabilities: 0,
        no_new_privileges: false,
        seccomp: None,
        tty: false,
    }
}

fn someone() -> User {
    User { uid: 1000, gid: 3000, groups: vec![50], home: None }
}

#[test]
fn groups_are_merged_or_strict() {
    assert_eq!(groups(&someone(), &spec()), [3000, 50, 2000]);
    assert_eq!(groups(&someone(), &ProcessSpec { strict_groups: true, ..spec() }), [3000, 2000]);
}

#[test]
fn environment_is_completed_but_never_overridden() {
    assert_eq!(environment(&spec(), &someone()), ["HOME=/"]);
    let user = User { home: Some("/root".into()), ..someone() };
    let on_terminal = ProcessSpec { tty: true, env: vec!["A=1".into()], ..spec() };
    assert_eq!(environment(&on_terminal, &user), ["A=1", "TERM=xterm", "HOME=/root"]);
    let given = ProcessSpec { tty: true, env: vec!["TERM=dumb".into(), "HOME=".into()], ..spec() };
    assert_eq!(environment(&given, &user), ["TERM=dumb", "HOME="]);
}

#[test]
fn programs_are_found_as_users_expect() {
    let found = |name, path| find_program(name, path);
    assert_eq!(found("sh", "/nonexistent:/bin").unwrap(), "/bin/sh");
    assert_eq!(found("/bin/sh", "").unwrap(), "/bin/sh");
    assert_eq!(found("foo", "/bin:/usr/bin").unwrap_err(), "executable file not found in $PATH");
    assert_eq!(found("", "/bin").unwrap_err(), "executable file not found in $PATH");
    assert_eq!(found("/no/such", "").unwrap_err(), "stat /no/such: no such file or directory");
    assert_eq!(found("/etc/passwd", "").unwrap_err(), "permission denied");
    assert_eq!(found("passwd", "/etc").unwrap_err(), "permission denied");
    assert_eq!(found("/etc", "").unwrap_err(), "is a directory");
}
