//! DNS labels and subdomains.

use super::{LABEL_MAX_LENGTH, Problems, SUBDOMAIN_MAX_LENGTH, pattern, too_long};
use crate::field::{ErrorList, Path, invalid, required};

const LABEL: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?";
const LABEL_TEXT: &str = "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
const SUBDOMAIN: &str = "[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*";
const SUBDOMAIN_TEXT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
const UNDERSCORE_SUBDOMAIN: &str = "_?[a-z0-9]([-_a-z0-9]*[a-z0-9])?(\\._?[a-z0-9]([-_a-z0-9]*[a-z0-9])?)*";
const UNDERSCORE_SUBDOMAIN_TEXT: &str = "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '_', '-' or '.', and must start and end with an alphanumeric character";
const WILDCARD_TEXT: &str = "a wildcard DNS-1123 subdomain must start with '*.', followed by a valid DNS subdomain, which must consist of lower case alphanumeric characters, '-' or '.' and end with an alphanumeric character";
const DNS1035: &str = "[a-z]([-a-z0-9]*[a-z0-9])?";
const DNS1035_TEXT: &str = "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";

/// One DNS label as of RFC 1123, such as `my-name`.
pub fn dns1123_label(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > LABEL_MAX_LENGTH {
        problems.push(too_long(LABEL_MAX_LENGTH).into());
    }
    if !is_label(value) {
        problems.push(if is_subdomain(value) {
            "must not contain dots".into()
        } else {
            pattern(LABEL_TEXT, LABEL, &["my-name", "123-abc"])
        });
    }
    problems
}

/// Labels separated by dots as of RFC 1123, such as `example.com`.
pub fn dns1123_subdomain(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > SUBDOMAIN_MAX_LENGTH {
        problems.push(too_long(SUBDOMAIN_MAX_LENGTH).into());
    }
    if !is_subdomain(value) {
        problems.push(pattern(SUBDOMAIN_TEXT, SUBDOMAIN, &["example.com"]));
    }
    problems
}

/// A subdomain with a star for its first label, such as `*.example.com`.
pub fn wildcard_dns1123_subdomain(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > SUBDOMAIN_MAX_LENGTH {
        problems.push(too_long(SUBDOMAIN_MAX_LENGTH).into());
    }
    if !value.strip_prefix("*.").is_some_and(is_subdomain) {
        let expression = format!("\\*\\.{SUBDOMAIN}");
        problems.push(pattern(WILDCARD_TEXT, &expression, &["*.example.com"]));
    }
    problems
}

/// A subdomain whose labels may begin with and contain underscores.
pub fn dns1123_subdomain_with_underscore(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > SUBDOMAIN_MAX_LENGTH {
        problems.push(too_long(SUBDOMAIN_MAX_LENGTH).into());
    }
    if !value.split('.').all(is_underscore_label) {
        problems.push(pattern(UNDERSCORE_SUBDOMAIN_TEXT, UNDERSCORE_SUBDOMAIN, &["example.com"]));
    }
    problems
}

/// One DNS label as of RFC 1035, which begins with a letter.
pub fn dns1035_label(value: &str) -> Problems {
    let mut problems = Problems::new();
    if value.len() > LABEL_MAX_LENGTH {
        problems.push(too_long(LABEL_MAX_LENGTH).into());
    }
    if !is_label(value) || value.starts_with(|first: char| first.is_ascii_digit()) {
        problems.push(pattern(DNS1035_TEXT, DNS1035, &["my-name", "abc-123"]));
    }
    problems
}

/// A domain of at least two labels; a final dot is fine.
pub fn fully_qualified_domain_name(path: &Path<'_>, name: &str) -> ErrorList {
    if name.is_empty() {
        return vec![required(path, "")];
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let problems = dns1123_subdomain(name);
    if !problems.is_empty() {
        return vec![invalid(path, name, problems.join(","))];
    }
    if !name.contains('.') {
        return vec![invalid(path, name, "should be a domain with at least two segments separated by dots")];
    }
    let labels = name.split('.').map(|label| (label, dns1123_label(label)));
    labels
        .filter(|(_, problems)| !problems.is_empty())
        .map(|(label, problems)| invalid(path, label, problems.join(",")))
        .collect()
}

/// A name within a domain: at least three labels.
pub fn fully_qualified_name(path: &Path<'_>, name: &str) -> Option<crate::field::Error> {
    if name.is_empty() {
        return Some(required(path, ""));
    }
    let problems = dns1123_subdomain(name);
    if !problems.is_empty() {
        return Some(invalid(path, name, problems.join(",")));
    }
    let message = "should be a domain with at least three segments separated by dots";
    (name.split('.').count() < 3).then(|| invalid(path, name, message))
}

fn is_label(value: &str) -> bool {
    has_solid_ends(value) && value.bytes().all(|byte| is_lower_alphanumeric(byte) || byte == b'-')
}

pub(super) fn is_subdomain(value: &str) -> bool {
    value.split('.').all(is_label)
}

fn is_underscore_label(value: &str) -> bool {
    let value = value.strip_prefix('_').unwrap_or(value);
    has_solid_ends(value) && value.bytes().all(|byte| is_lower_alphanumeric(byte) || matches!(byte, b'-' | b'_'))
}

/// Not empty, and the first and last characters are lower-case letters or digits.
fn has_solid_ends(value: &str) -> bool {
    let bytes = value.as_bytes();
    bytes.first().copied().is_some_and(is_lower_alphanumeric)
        && bytes.last().copied().is_some_and(is_lower_alphanumeric)
}

fn is_lower_alphanumeric(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}
