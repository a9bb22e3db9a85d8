use super::*;

/// Input, canonical form, value, thousandths.
const CANONICAL: &[(&str, &str, i64, i64)] = &[
    ("0", "0", 0, 0),
    ("0.5", "500m", 1, 500),
    (".5", "500m", 1, 500),
    ("5.", "5", 5, 5000),
    ("1024Mi", "1Gi", 1 << 30, 1000 << 30),
    ("1.5Gi", "1536Mi", 3 << 29, 3000 << 29),
    ("1023", "1023", 1023, 1_023_000),
    ("512", "512", 512, 512_000),
    ("0.5Ki", "512", 512, 512_000),
    ("1000", "1k", 1000, 1_000_000),
    ("1000m", "1", 1, 1000),
    ("2000Mi", "2000Mi", 2000 << 20, 2_000_000 << 20),
    ("12e6", "12e6", 12_000_000, 12_000_000_000),
    ("1200e4", "12e6", 12_000_000, 12_000_000_000),
    ("5E3", "5e3", 5000, 5_000_000),
    ("100e-3", "100e-3", 1, 100),
    ("1E", "1E", 1_000_000_000_000_000_000, i64::MAX),
    ("0.1n", "1n", 1, 1),
    ("1.0000000001", "1000000001n", 2, 1001),
    ("-1.5", "-1500m", -2, -1500),
    ("0.1Mi", "104857600m", 104_858, 104_857_600),
    ("0.0001Ki", "102400u", 1, 103),
    ("8Ei", "9223372036854775807", i64::MAX, i64::MAX),
    ("m", "0", 0, 0),
    ("00.10", "100m", 1, 100),
];

#[test]
fn parses_to_the_canonical_form() {
    for (text, canonical, value, milli) in CANONICAL {
        let quantity = Quantity::parse(text).unwrap();
        assert_eq!(quantity.to_string(), *canonical, "{text}");
        assert_eq!(quantity.value(), *value, "{text}");
        assert_eq!(quantity.milli_value(), *milli, "{text}");
    }
}

#[test]
fn refuses_what_is_no_quantity() {
    let form = ParseError::Form;
    for text in ["", "true", "abc", "1.2.3", "1 Gi", "1Gi5x", "1KI", "1é"] {
        assert_eq!(Quantity::parse(text), Err(form), "{text}");
    }
    for text in ["1Kii", "1e", "1mm", "1ki", "5i", "1-1", "--1", "1e99999999999"] {
        assert_eq!(Quantity::parse(text), Err(ParseError::Suffix), "{text}");
    }
    assert_eq!(
        form.to_string(),
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    );
}

#[test]
fn answers_keep_texts_upstream_takes_for_canonical() {
    let answers = |text, resource_list| canonicalize(text, resource_list).unwrap().into_owned();
    for (text, answer) in [("1.500", "1.500"), ("+5", "+5"), ("007", "007"), ("0.500", "500m"), ("1025Mi", "1025Mi")] {
        assert_eq!(answers(text, true), answer);
    }
    assert_eq!(answers("1024Mi", false), "1Gi");
    assert_eq!(answers("100u", true), "1m");
    assert_eq!(answers("100u", false), "100u");
    assert_eq!(answers("1.1n", false), "2n");
}

#[test]
fn arithmetic_keeps_the_first_format_and_saturates() {
    let (mebibyte, kilo) = (Quantity::from_bytes(1 << 20), Quantity::parse("1k").unwrap());
    assert_eq!((mebibyte + mebibyte).to_string(), "2Mi");
    assert_eq!((Quantity::ZERO + mebibyte).to_string(), "1Mi");
    assert_eq!((kilo - Quantity::from_milli(500)).to_string(), "999500m");
    assert_eq!(Quantity::from_milli(1000), Quantity::from_value(1));
    assert!(Quantity::from_milli(999) < Quantity::from_value(1));
    let huge = Quantity::parse("1e1000000").unwrap();
    assert_eq!((huge + huge).value(), i64::MAX);
    assert_eq!(Quantity::parse("1e-1000000").unwrap().to_string(), "1e-9");
}
