use super::*;

fn texts(errors: ErrorList) -> Vec<String> {
    errors.into_iter().map(|error| error.message).collect()
}

#[test]
fn addresses_have_one_strict_form() {
    let path = Path::new("ip");
    for (value, problem) in [
        ("10.0.0.1", ""),
        ("2001:db8::1", ""),
        ("x", "(e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("1.2.3", "(e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("1.2.3.400", "(e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("+1.2.3.4", "(e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("fe80::1%eth0", "(e.g. 10.9.8.7 or 2001:db8::ffff)"),
        ("010.0.0.1", "must not have leading 0s"),
        ("::ffff:1.2.3.4", "must not be an IPv4-mapped IPv6 address"),
    ] {
        let found = texts(validate_ip_unless_known(&path, value, None)).concat();
        assert!(if problem.is_empty() { found.is_empty() } else { found.ends_with(problem) }, "{value}: {found}");
    }
    assert!(validate_ip_unless_known(&path, "010.0.0.1", Some(&["010.0.0.1".to_owned()])).is_empty());
    assert_eq!(
        texts(validate_ip(&path, "2001:DB8::1")),
        ["Invalid value: \"2001:DB8::1\": must be in canonical form (\"2001:db8::1\")"]
    );
}

#[test]
fn ranges_have_one_strict_form() {
    let path = Path::new("cidr");
    for (value, problem) in [
        ("10.0.0.0/8", ""),
        ("0.0.0.0/0", ""),
        ("2001:db8::/64", ""),
        ("10.0.0.0", "(e.g. 10.9.8.0/24 or 2001:db8::/64)"),
        ("10.0.0.0/33", "(e.g. 10.9.8.0/24 or 2001:db8::/64)"),
        ("10.0.0.0/08", "must not have leading 0s in IP or prefix length"),
        ("10.0.0.1/8", "must not have bits set beyond the prefix length"),
        ("::ffff:1.2.3.0/120", "must not have an IPv4-mapped IPv6 address"),
    ] {
        let found = texts(validate_cidr(&path, value)).concat();
        assert!(if problem.is_empty() { found.is_empty() } else { found.ends_with(problem) }, "{value}: {found}");
    }
}

#[test]
fn ranges_know_their_addresses() {
    let range: Cidr = "10.96.3.7/16".parse().unwrap();
    assert_eq!(range.masked().to_string(), "10.96.0.0/16");
    assert_eq!(range.nth(1).unwrap().to_string(), "10.96.0.1");
    assert_eq!(range.last().to_string(), "10.96.255.255");
    assert_eq!((range.last_offset(), range.nth(65_536)), (65_535, None));
    assert!(range.contains("10.96.200.1".parse().unwrap()) && !range.contains("10.97.0.1".parse().unwrap()));
    assert!(!range.contains("fd00::1".parse().unwrap()));
    assert!(range.contains_range(&"10.96.8.0/24".parse().unwrap()));
    assert!(!range.contains_range(&"10.0.0.0/8".parse().unwrap()));
    assert_eq!("::/0".parse::<Cidr>().unwrap().last_offset(), u128::MAX);
}

#[test]
fn endpoints_are_not_this_host() {
    let path = Path::new("ip");
    for (value, problem) in [
        ("10.0.0.1", ""),
        ("224.0.1.1", ""),
        ("0.0.0.0", "may not be unspecified (0.0.0.0)"),
        ("::1", "may not be in the loopback range (127.0.0.0/8, ::1/128)"),
        ("169.254.1.1", "may not be in the link-local range (169.254.0.0/16, fe80::/10)"),
        ("224.0.0.1", "may not be in the link-local multicast range (224.0.0.0/24, ff02::/10)"),
        ("x", "must be a valid IP address"),
    ] {
        let found = texts(validate_endpoint_ip(&path, value)).concat();
        assert!(if problem.is_empty() { found.is_empty() } else { found.ends_with(problem) }, "{value}: {found}");
    }
}

#[test]
fn odd_forms_are_warned_of() {
    let path = Path::new("f");
    assert_eq!(warn_of_ip(&path, "10.0.0.1"), None);
    assert_eq!(
        warn_of_ip(&path, "010.0.0.1").unwrap(),
        "f: non-standard IP address \"010.0.0.1\" will be considered invalid in a future Kubernetes release: use \
         \"10.0.0.1\""
    );
    assert_eq!(
        warn_of_ip(&path, "2001:db8:0::1").unwrap(),
        "f: IPv6 address \"2001:db8:0::1\" should be in RFC 5952 canonical format (\"2001:db8::1\")"
    );
    assert_eq!(
        warn_of_cidr(&path, "10.0.0.5/24"),
        ["f: CIDR value \"10.0.0.5/24\" is ambiguous in this context (should be \"10.0.0.0/24\" or \"10.0.0.5/32\"?)"]
    );
}
