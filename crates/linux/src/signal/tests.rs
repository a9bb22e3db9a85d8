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
