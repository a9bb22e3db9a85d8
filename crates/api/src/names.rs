//! The syntax of names, label keys and values, and other short strings, each check with upstream's exact wording.
//!
//! Every check returns the list of problems, empty when the value is fine. No regular expressions: the matchers are
//! written out, and a valid value allocates nothing.

use std::borrow::Cow;

mod dns;
mod generate;
mod keys;
#[cfg(test)]
mod tests;

pub use dns::{
    dns1035_label, dns1123_label, dns1123_subdomain, dns1123_subdomain_with_underscore, fully_qualified_domain_name,
    fully_qualified_name, wildcard_dns1123_subdomain,
};
pub use generate::{GENERATED_SUFFIX_LENGTH, generate};
pub use keys::{
    c_identifier, condition_reason, config_map_key, env_var_name, http_header_name, label_value, path_segment_name,
    port_name, qualified_name,
};

/// What is wrong with a value, one text each.
pub type Problems = Vec<Cow<'static, str>>;

/// The longest DNS label, also the longest label value and the longest name part of a label key.
pub const LABEL_MAX_LENGTH: usize = 63;
/// The longest DNS subdomain, and so the longest name of most objects.
pub const SUBDOMAIN_MAX_LENGTH: usize = 253;

/// A check of an object's name. `prefix` is true for a `generateName`, which may end in a dash.
pub type NameCheck = fn(name: &str, prefix: bool) -> Problems;

/// Names of most kinds: DNS-1123 subdomains.
pub fn subdomain_name(name: &str, prefix: bool) -> Problems {
    dns1123_subdomain(&mask_trailing_dash(name, prefix))
}

/// Names of namespaces and others that become one DNS label.
pub fn label_name(name: &str, prefix: bool) -> Problems {
    dns1123_label(&mask_trailing_dash(name, prefix))
}

/// Names of Services before they were relaxed: DNS-1035 labels.
pub fn dns1035_name(name: &str, prefix: bool) -> Problems {
    dns1035_label(&mask_trailing_dash(name, prefix))
}

/// A generated name gets a suffix, so a prefix may end in a dash.
fn mask_trailing_dash(name: &str, prefix: bool) -> Cow<'_, str> {
    match name.strip_suffix('-') {
        Some(stem) if prefix && !stem.is_empty() => Cow::Owned(format!("{stem}a")),
        _ => Cow::Borrowed(name),
    }
}

/// `must be no more than N characters`
pub fn too_long(max: usize) -> String {
    format!("must be no more than {max} characters")
}

/// `must be no more than N bytes`, as keys and values of labels have it.
pub fn too_many_bytes(max: usize) -> String {
    format!("must be no more than {max} bytes")
}

/// `must be between LOW and HIGH, inclusive`
pub fn out_of_range(low: i64, high: i64) -> String {
    format!("must be between {low} and {high}, inclusive")
}

/// A port number from 1 to 65535.
pub fn port_number(port: i32) -> Option<String> {
    (!(1..=65535).contains(&port)).then(|| out_of_range(1, 65535))
}

/// `must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)`
pub const INVALID_IP: &str = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/// An explanation with examples and the regular expression the value should match.
fn pattern(explanation: &str, expression: &str, examples: &[&str]) -> Cow<'static, str> {
    let mut text = format!("{explanation} (");
    for (position, example) in examples.iter().enumerate() {
        text.push_str(if position == 0 { "e.g. '" } else { " or '" });
        text.push_str(example);
        text.push_str("', ");
    }
    text.push_str("regex used for validation is '");
    text.push_str(expression);
    text.push_str("')");
    Cow::Owned(text)
}
