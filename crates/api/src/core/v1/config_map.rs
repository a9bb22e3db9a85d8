//! ConfigMaps.

use k8s_openapi::api::core::v1::ConfigMap;

use crate::field::{ErrorList, Path, extend_invalid, forbidden, invalid, too_long};
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::{config_map_key, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

#[cfg(test)]
mod tests;

/// The largest sum of values, also of Secrets.
pub(super) const MAX_DATA_BYTES: usize = 1024 * 1024;
pub(super) const IMMUTABLE_WHEN_SET: &str = "field is immutable when `immutable` is set";

impl Kind for ConfigMap {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        omit_empty!(self => data, binary_data);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        errors.extend(validate_data(self));
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        if old.immutable == Some(true) {
            if self.immutable != Some(true) {
                errors.push(forbidden(&Path::new("immutable"), IMMUTABLE_WHEN_SET));
            }
            if self.data != old.data {
                errors.push(forbidden(&Path::new("data"), IMMUTABLE_WHEN_SET));
            }
            if self.binary_data != old.binary_data {
                errors.push(forbidden(&Path::new("binaryData"), IMMUTABLE_WHEN_SET));
            }
        }
        errors.extend(Kind::validate(self));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

fn validate_data(config_map: &ConfigMap) -> ErrorList {
    let mut errors = ErrorList::new();
    let mut bytes = 0;
    let path = Path::new("data");
    for (key, value) in config_map.data.iter().flatten() {
        extend_invalid(&mut errors, &path.key(key), key, config_map_key(key));
        if config_map.binary_data.as_ref().is_some_and(|binary| binary.contains_key(key)) {
            errors.push(invalid(&path.key(key), key, "duplicate of key present in binaryData"));
        }
        bytes += value.len();
    }
    let path = Path::new("binaryData");
    for (key, value) in config_map.binary_data.iter().flatten() {
        extend_invalid(&mut errors, &path.key(key), key, config_map_key(key));
        bytes += value.0.len();
    }
    if bytes > MAX_DATA_BYTES {
        errors.push(too_long(&Path::new(""), MAX_DATA_BYTES));
    }
    errors
}
