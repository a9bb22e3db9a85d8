//! What drivers are told, and what nobody else understands.

use k8s_openapi::api::resource::v1::OpaqueDeviceConfiguration;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::Value;

use super::names::validate_driver;
use crate::field::{ErrorList, Path, invalid, required, too_long};

/// The longest parameters of a driver.
const MAX_PARAMETERS: usize = 10 * 1024;

/// Whether the object was there before its limits were.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It is new.
    New,
    /// It is stored already.
    Stored,
}

pub(super) fn validate_configuration(
    opaque: Option<&OpaqueDeviceConfiguration>,
    origin: Origin,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let path = path.child("opaque");
    let Some(opaque) = opaque else {
        errors.push(required(&path, ""));
        return;
    };
    validate_driver(&opaque.driver, &path.child("driver"), errors);
    validate_raw(&opaque.parameters, origin, MAX_PARAMETERS, &path.child("parameters"), errors);
}

/// Any JSON object that is not too long.
pub(super) fn validate_raw(raw: &RawExtension, origin: Origin, max: usize, path: &Path<'_>, errors: &mut ErrorList) {
    match &raw.0 {
        Value::Null => errors.push(required(path, "")),
        value if origin == Origin::New && value.to_string().len() > max => errors.push(too_long(path, max)),
        Value::Object(_) => {}
        _ => errors.push(invalid(path, "<value omitted>", "must be a valid JSON object")),
    }
}
