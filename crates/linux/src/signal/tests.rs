use super::*;

#[test]
fn reads_every_way_to_write_a_signal() {
    for (text, expected) in [
        ("SIGTERM", Some(15)),
        ("term", Some(15)),
        ("9", Some(9)),
        ("SIGSYS", Some(31)),
        ("SIGRTMIN", Some(34)),
        ("SIGRTMIN+3", Some(37)),
        ("RTMAX-1", Some(63)),
        ("RTMAX+1", None),
        ("SIGRTMIN+31", None),
        ("0", None),
        ("65", None),
        ("SIGNONE", None),
        ("", None),
    ] {
        assert_eq!(number(text), expected, "{text:?}");
    }
}

#[test]
fn every_signal_has_a_name_that_is_read_again() {
    for signal in (1..=31).chain(RTMIN..=RTMAX) {
        assert_eq!(name(signal).and_then(|name| number(&name)), Some(signal));
    }
    assert_eq!((name(0), name(32), name(65), name(-1)), (None, None, None, None));
    assert_eq!(name(37).as_deref(), Some("SIGRTMIN+3"));
}
