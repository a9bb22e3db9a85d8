use super::*;

const LABEL_PATTERN: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')";
const NAME_PATTERN: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  or '123-abc', regex used for validation is '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";

#[test]
fn dns_names_are_checked_with_upstream_wording() {
    for name in ["a", "a-b", "0", &"a".repeat(63)] {
        assert!(dns1123_label(name).is_empty(), "{name}");
    }
    assert_eq!(dns1123_label("A_b"), [LABEL_PATTERN]);
    assert_eq!(dns1123_label(""), [LABEL_PATTERN]);
    assert_eq!(dns1123_label("a.b"), ["must not contain dots"]);
    assert_eq!(dns1123_label(&"a".repeat(64)), ["must be no more than 63 characters"]);
    for name in ["a.b", "example.com", "1.2"] {
        assert!(dns1123_subdomain(name).is_empty(), "{name}");
    }
    for name in ["", ".", "a..b", "-a", "a-", "a.-b", "A", "a_b", "é"] {
        assert_eq!(dns1123_subdomain(name).len(), 1, "{name}");
    }
    assert!(dns1123_subdomain_with_underscore("_a.b_c").is_empty());
    assert_eq!(dns1123_subdomain_with_underscore("__a").len(), 1);
    assert!(dns1035_label("a-1").is_empty());
    assert_eq!(dns1035_label("1a").len(), 1);
}

#[test]
fn prefixes_may_end_in_a_dash() {
    assert!(subdomain_name("web-", true).is_empty());
    assert_eq!(subdomain_name("web-", false).len(), 1);
    assert_eq!(label_name("-", true).len(), 1);
    assert_eq!(generate(&"a".repeat(70), "bcdfg"), format!("{}bcdfg", "a".repeat(58)));
    assert_eq!(generate("web-", "bcdfg"), "web-bcdfg");
}

#[test]
fn qualified_names_have_an_optional_prefix() {
    for name in ["a", "A.b_c-d", "example.com/A"] {
        assert!(qualified_name(name).is_empty(), "{name}");
    }
    assert_eq!(qualified_name("bad key"), [format!("name part {NAME_PATTERN}")]);
    assert_eq!(qualified_name(""), ["name part must be non-empty".to_owned(), format!("name part {NAME_PATTERN}")]);
    assert_eq!(qualified_name("/a"), ["prefix part must be non-empty"]);
    let slashes = format!(
        "a qualified name {NAME_PATTERN} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')"
    );
    assert_eq!(qualified_name("a/b/c"), [slashes]);
    assert_eq!(qualified_name(&"a".repeat(64)), ["name part must be no more than 63 bytes"]);
    assert!(qualified_name("UPPER.com/x")[0].starts_with("prefix part a lowercase RFC 1123 subdomain"));
}

#[test]
fn short_strings_are_checked() {
    assert!(label_value("").is_empty());
    assert_eq!(label_value("bad value!").len(), 1);
    assert!(config_map_key("a.B-c_1").is_empty());
    assert_eq!(config_map_key("..a"), ["must not start with '..'"]);
    assert_eq!(config_map_key("a b").len(), 1);
    assert!(env_var_name("a b$").is_empty());
    assert_eq!(env_var_name("a=b").len(), 1);
    assert_eq!(env_var_name("\u{7f}").len(), 1);
    assert!(port_name("http-1").is_empty());
    assert_eq!(port_name("-80-").len(), 2);
    assert_eq!(port_name("a--b"), ["must not contain consecutive hyphens"]);
    assert_eq!(path_segment_name("a/b%", false), ["may not contain '/'", "may not contain '%'"]);
    assert_eq!(path_segment_name("..", false), ["may not be '..'"]);
    assert_eq!(port_number(0).as_deref(), Some("must be between 1 and 65535, inclusive"));
    assert_eq!(port_number(65535), None);
}
