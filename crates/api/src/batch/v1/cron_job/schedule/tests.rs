use super::*;

#[test]
fn fields_become_bits() {
    let fields = |text: &str| match parse(text).unwrap() {
        Schedule::Fields(fields) => fields,
        Schedule::Every(period) => panic!("{period:?}"),
    };
    let plain = fields("*/20 1-3 1,15 jan,MAR ?");
    assert_eq!(plain.minutes, 1 | 1 << 20 | 1 << 40);
    assert_eq!((plain.hours, plain.days_of_month, plain.months), (0b1110, 1 << 1 | 1 << 15, 0b1010));
    assert!(plain.any_day_of_week && !plain.any_day_of_month);
    assert_eq!(fields("50/5 0 * * sun").minutes, 1 << 50 | 1 << 55);
    assert!(!fields("0 0 */2 * *").any_day_of_month);
    assert_eq!(fields("@weekly"), fields("0 0 * * 0"));
    assert_eq!(parse("@every 1h30m"), Ok(Schedule::Every(Duration::from_secs(5400))));
    assert!(parse("TZ=Europe/Berlin 0 0 * * *").is_ok());
}

#[test]
fn problems_are_worded_as_the_library_words_them() {
    for (text, problem) in [
        ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
        ("60 * * * *", "end of range (60) above maximum (59): 60"),
        ("5-1 * * * *", "beginning of range (5) beyond end of range (1): 5-1"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("x * * * *", "failed to parse int from x: strconv.Atoi: parsing \"x\": invalid syntax"),
        ("0 0 1 foo mon", "failed to parse int from foo: strconv.Atoi: parsing \"foo\": invalid syntax"),
        ("@sometimes", "unrecognized descriptor: @sometimes"),
        ("@every 5", "failed to parse duration @every 5: time: missing unit in duration \"5\""),
        ("@every x", "failed to parse duration @every x: time: invalid duration \"x\""),
        ("TZ=Nowhere 0 0 * * *", "provided bad location Nowhere: unknown time zone Nowhere"),
    ] {
        assert_eq!(parse(text), Err(ParseError(problem.to_owned())), "{text}");
    }
}
