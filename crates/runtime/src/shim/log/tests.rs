use super::*;

/// 2026-02-03T04:05:06.000000789Z
const TIME: i64 = 1_770_091_506_000_000_789;
const STAMP: &str = "2026-02-03T04:05:06.000000789Z";

fn cut(outputs: &[&[u8]]) -> String {
    let (mut cutter, mut lines) = (LineCutter::new(Source::Stdout), Vec::new());
    outputs.iter().for_each(|output| cutter.push(output, TIME, &mut lines));
    cutter.finish(TIME, &mut lines);
    String::from_utf8(lines).unwrap().replace(STAMP, "T")
}

#[test]
fn writes_the_format_kubernetes_reads() {
    let (mut cutter, mut lines) = (LineCutter::new(Source::Stderr), Vec::new());
    cutter.push(b"hello\n", TIME, &mut lines);
    assert_eq!(String::from_utf8(lines).unwrap(), format!("{STAMP} stderr F hello\n"));
}

#[test]
fn lines_are_cut_wherever_output_was() {
    assert_eq!(cut(&[b"a\nb\n"]), "T stdout F a\nT stdout F b\n");
    assert_eq!(cut(&[b"a", b"b", b"c\n\nd\n"]), "T stdout F abc\nT stdout F \nT stdout F d\n");
    assert_eq!(cut(&[b"no end"]), "T stdout P no end\n");
    assert_eq!(cut(&[]), "");
}

#[test]
fn long_lines_come_in_parts() {
    let full = "x".repeat(MAX_PART);
    assert_eq!(cut(&[full.as_bytes(), b"\n"]), format!("T stdout F {full}\n"));
    assert_eq!(cut(&[full.as_bytes(), b"y\n"]), format!("T stdout P {full}\nT stdout F y\n"));
    let long = "x".repeat(2 * MAX_PART + 5);
    assert_eq!(
        cut(&[long.as_bytes(), b"\nz\n"]),
        format!("T stdout P {full}\nT stdout P {full}\nT stdout F xxxxx\nT stdout F z\n")
    );
}

#[test]
fn dates_are_right_around_leap_days() {
    for (days, expected) in [
        (0, (1970, 1, 1)),
        (59, (1970, 3, 1)),
        (11_016, (2000, 2, 29)),
        (11_017, (2000, 3, 1)),
        (20_454, (2026, 1, 1)),
        (20_453, (2025, 12, 31)),
        (-1, (1969, 12, 31)),
    ] {
        assert_eq!(date(days), expected, "{days}");
    }
}

#[test]
fn reopening_follows_a_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("pod/0.log");
    let mut log = LogFile::open(&path).unwrap();
    log.append(b"one\n").unwrap();
    std::fs::rename(&path, path.with_extension("old")).unwrap();
    log.append(b"two\n").unwrap();
    log.reopen().unwrap();
    log.append(b"three\n").unwrap();
    assert_eq!(std::fs::read_to_string(path.with_extension("old")).unwrap(), "one\ntwo\n");
    assert_eq!(std::fs::read_to_string(path).unwrap(), "three\n");
}
