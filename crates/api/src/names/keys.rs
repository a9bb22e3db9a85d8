//! Label keys and values, configuration keys, environment variables, ports and the like.

use super::{LABEL_MAX_LENGTH, Problems, SUBDOMAIN_MAX_LENGTH, dns1123_subdomain, pattern, too_long, too_many_bytes};

const NAME_PART: &str = "([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]";
const NAME_PART_TEXT: &str =
    "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const LABEL_VALUE: &str = "(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?";
const LABEL_VALUE_TEXT: &str = "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
const CONFIG_KEY: &str = "[-._a-zA-Z0-9]+";
const CONFIG_KEY_TEXT: &str = "a valid config key must consist of alphanumeric characters, '-', '_' or '.'";
const HTTP_HEADER: &str = "[-A-Za-z0-9]+";
const HTTP_HEADER_TEXT: &str = "a valid HTTP header must consist of alphanumeric characters or '-'";
const C_IDENTIFIER: &str = "[A-Za-z_][A-Za-z0-9_]*";
const C_IDENTIFIER_TEXT: &str = "a valid C identifier must start with alphabetic character or '_', followed by a string of alphanumeric characters or '_'";
const REASON: &str = "[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?";
const REASON_TEXT: &str = "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric characters or '_,:', and must end with an alphanumeric character or '_'";
const ENV_VAR_TEXT: &str =
    "a valid environment variable name must consist only of printable ASCII characters other than '='";

/// A qualified name: a name with an optional DNS subdomain and slash before it. Keys of labels, annotations, taints.
pub fn qualified_name(value: &str) -> Problems {
    let mut problems = Problems::new();
    let name = match value.split_once('/') {
        None => value,
        Some((_, name)) if name.contains('/') => {
            let text = format!("a qualified name {NAME_PART_TEXT}");
            let end = " with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')";
            let text = pattern(&text, NAME_PART, &["MyName", "my.name", "123-abc"]);
            problems.push(format!("{text}{end}").into());
            return problems;
        }
        Some((prefix, name)) => {
            if prefix.is_empty() {
                problems.push("prefix part must be non-empty".into());
            } else {
                problems.extend(dns1123_subdomain(prefix).into_iter().map(|text| format!("prefix part {text}").into()));
            }
            name
        }
    };
    if name.is_empty() {
        problems.push("name part must be non-empty".into());
    } else if name.len() > LABEL_MAX_LENGTH {
        problems.push(format!("name part {}", too_many_bytes(LABEL_MAX_LENGTH)).into());
    }
    if !is_name_part(name) {
        let text = format!("name part {NAME_PART_TEXT}");
        problems.push(pattern(&text, NAME_PART, &["MyName", "my.name", "123-abc"]));
    }
    problems
}

/// The value of a label.
pub fn label_value(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > LABEL_MAX_LENGTH {
        problems.push(too_many_bytes(LABEL_MAX_LENGTH).into());
    }
    if !value.is_empty() && !is_name_part(value) {
        problems.push(pattern(LABEL_VALUE_TEXT, LABEL_VALUE, &["MyValue", "my_value", "12345"]));
    }
    problems
}

/// A key of a ConfigMap or Secret, which becomes a file name.
pub fn config_map_key(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > SUBDOMAIN_MAX_LENGTH {
        problems.push(too_long(SUBDOMAIN_MAX_LENGTH).into());
    }
    if value.is_empty() || !value.bytes().all(is_name_byte) {
        problems.push(pattern(CONFIG_KEY_TEXT, CONFIG_KEY, &["key.name", "KEY_NAME", "key-name"]));
    }
    if value == "." {
        problems.push("must not be '.'".into());
    } else if value == ".." {
        problems.push("must not be '..'".into());
    } else if value.starts_with("..") {
        problems.push("must not start with '..'".into());
    }
    problems
}

/// The name of an environment variable.
pub fn env_var_name(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.is_empty() {
        problems.push("environment variable name must be non-empty".into());
    }
    if !value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'=') {
        problems.push(ENV_VAR_TEXT.into());
    }
    problems
}

/// The name of an HTTP header.
pub fn http_header_name(value: &str) -> Problems {
    let fine = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    if fine { Problems::new() } else { vec![pattern(HTTP_HEADER_TEXT, HTTP_HEADER, &["X-Header-Name"])] }
}

/// An identifier of the C language.
pub fn c_identifier(value: &str) -> Problems {
    let fine = !value.starts_with(|first: char| first.is_ascii_digit())
        && !value.is_empty()
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if fine {
        Problems::new()
    } else {
        vec![pattern(C_IDENTIFIER_TEXT, C_IDENTIFIER, &["my_name", "MY_NAME", "MyName"])]
    }
}

/// The reason of a condition.
pub fn condition_reason(value: &str) -> Problems {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b',' | b':');
    let fine = value.starts_with(|first: char| first.is_ascii_alphabetic())
        && !value.ends_with([',', ':'])
        && value.bytes().all(known);
    if fine {
        Problems::new()
    } else {
        let examples = &["my_name", "MY_NAME", "MyName", "ReasonA,ReasonB", "ReasonA:ReasonB"];
        vec![pattern(REASON_TEXT, REASON, examples)]
    }
}

/// The name of a port as IANA registers service names.
pub fn port_name(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > 15 {
        problems.push(too_long(15).into());
    }
    let known = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if value.is_empty() || !value.bytes().all(known) {
        problems.push("must contain only alpha-numeric characters (a-z, 0-9), and hyphens (-)".into());
    }
    if !value.bytes().any(|byte| byte.is_ascii_lowercase()) {
        problems.push("must contain at least one letter (a-z)".into());
    }
    if value.contains("--") {
        problems.push("must not contain consecutive hyphens".into());
    }
    if value.starts_with('-') || value.ends_with('-') {
        problems.push("must not begin or end with a hyphen".into());
    }
    problems
}

/// A name that may stand as one segment of a URL path; RBAC objects and others have no stricter rule.
pub fn path_segment_name(value: &str, prefix: bool) -> Problems {
    let whole = match value {
        "." if !prefix => Some("may not be '.'"),
        ".." if !prefix => Some("may not be '..'"),
        _ => None,
    };
    if let Some(problem) = whole {
        return vec![problem.into()];
    }
    let illegal = [("/", "may not contain '/'"), ("%", "may not contain '%'")];
    illegal.into_iter().filter(|(text, _)| value.contains(text)).map(|(_, problem)| problem.into()).collect()
}

fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

fn is_name_part(value: &str) -> bool {
    let bytes = value.as_bytes();
    let solid = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    solid(bytes.first()) && solid(bytes.last()) && bytes.iter().copied().all(is_name_byte)
}
