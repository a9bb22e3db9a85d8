//! Names of drivers, pools, devices, requests and attributes.

use crate::field::{ErrorList, Path, extend_invalid, invalid, required, too_long};
use crate::names::{c_identifier, dns1123_label, dns1123_subdomain};

const MAX_DRIVER: usize = 63;
const MAX_POOL: usize = 253;
const MAX_IDENTIFIER: usize = 32;

pub(super) fn validate_driver(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(required(path, ""));
        return;
    }
    if name.len() > MAX_DRIVER {
        errors.push(too_long(path, MAX_DRIVER));
    }
    extend_invalid(errors, path, name, dns1123_subdomain(&name.to_lowercase()));
}

pub(super) fn validate_pool(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(required(path, ""));
        return;
    }
    if name.len() > MAX_POOL {
        errors.push(too_long(path, MAX_POOL));
    }
    for part in name.split('/') {
        extend_invalid(errors, path, part, dns1123_subdomain(part));
    }
}

/// Devices, requests and counters: one DNS label.
pub(super) fn validate_label(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    extend_invalid(errors, path, name, dns1123_label(name));
}

pub(super) fn validate_class(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if name.is_empty() {
        errors.push(required(path, ""));
    } else {
        extend_invalid(errors, path, name, dns1123_subdomain(name));
    }
}

/// The name of an attribute or a capacity: an identifier, perhaps in a domain.
pub(super) fn validate_attribute_name(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    match name.split('/').collect::<Vec<_>>()[..] {
        [identifier] => validate_identifier(identifier, path, errors),
        [domain, identifier] => {
            if domain.is_empty() {
                errors.push(invalid(path, "", "the domain must not be empty"));
            } else {
                validate_driver(domain, path, errors);
            }
            if identifier.is_empty() {
                errors.push(invalid(path, "", "the name must not be empty"));
            } else {
                validate_identifier(identifier, path, errors);
            }
        }
        _ => {} // fine for upstream
    }
}

/// The same where the domain must be there.
pub(super) fn validate_qualified_attribute_name(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    validate_attribute_name(name, path, errors);
    if !name.contains('/') {
        let message = "a fully qualified name must be a domain and a name separated by a slash";
        errors.push(invalid(path, name, message));
    }
}

fn validate_identifier(name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if name.len() > MAX_IDENTIFIER {
        errors.push(too_long(path, MAX_IDENTIFIER));
    }
    extend_invalid(errors, path, name, c_identifier(name));
}
