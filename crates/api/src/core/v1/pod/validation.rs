//! Validation of Pods: everything upstream checks on create and on update, in its order.
//!
//! `spec` walks the Pod's spec and calls the modules beside it, each of which checks one concern.

use k8s_openapi::api::core::v1::{Pod, PodSpec};

use super::spec_of;
use crate::field::{Error, ErrorList, Path, extend_invalid, forbidden, invalid, not_supported, required};
use crate::meta::{METADATA, NOT_NEGATIVE, Scope, text, validate_meta};
use crate::names::{self, subdomain_name};

mod annotations;
mod container;
mod dns;
mod env;
mod ephemeral;
mod handler;
mod mounts;
pub(crate) mod network_volumes;
mod os;
mod projected;
mod resize;
mod resources;
mod scheduling;
mod security;
mod spec;
mod status;
#[cfg(test)]
mod tests;
mod update;
pub(crate) mod volumes;

pub(super) use annotations::{validate_annotations, validate_profiles_agree};
pub use resize::validate_resize;
pub(crate) use resources::validate_overhead;
pub(crate) use scheduling::validate_node_selector;
pub(super) use spec::validate_spec;
pub(super) use status::validate_status_update;
pub use update::validate_ephemeral_containers_update;
pub(super) use update::validate_update;

/// The path of the Pod's spec.
const SPEC: Path<'static> = Path::new("spec");

pub(super) fn validate_create(pod: &Pod) -> ErrorList {
    let mut errors = validate_metadata_and_spec(pod);
    let spec = spec_of(pod);
    if spec.ephemeral_containers.as_ref().is_some_and(|containers| !containers.is_empty()) {
        errors.push(forbidden(&SPEC.child("ephemeralContainers"), "cannot be set on create"));
    }
    let gated = spec.scheduling_gates.as_ref().is_some_and(|gates| !gates.is_empty());
    if gated && !text(&spec.node_name).is_empty() {
        errors.push(forbidden(&SPEC.child("nodeName"), "cannot be set until all schedulingGates have been cleared"));
    }
    annotations::validate_profiles_agree(&pod.metadata, spec, &mut errors);
    errors
}

/// What holds for new and for changed Pods.
fn validate_metadata_and_spec(pod: &Pod) -> ErrorList {
    let mut errors = validate_meta(&pod.metadata, Scope::Namespaced, subdomain_name);
    let spec = spec_of(pod);
    annotations::validate_annotations(&pod.metadata, spec, &METADATA.child("annotations"), &mut errors);
    spec::validate_spec(spec, Some(text(&pod.metadata.name)), &mut errors);
    if text(&spec.service_account_name).is_empty() {
        forbid_tokens(spec, &mut errors);
    }
    container::validate_images(spec, &mut errors);
    errors
}

/// A token is one of a ServiceAccount.
fn forbid_tokens(spec: &PodSpec, errors: &mut ErrorList) {
    let volumes_path = SPEC.child("volumes");
    for (position, volume) in spec.volumes.iter().flatten().enumerate() {
        let volume_path = volumes_path.index(position);
        let projected_path = volume_path.child("projected");
        let sources_path = projected_path.child("sources");
        let sources = volume.projected.iter().filter_map(|projected| projected.sources.as_ref()).flatten();
        for (position, _) in sources.enumerate().filter(|(_, source)| source.service_account_token.is_some()) {
            let path = sources_path.index(position);
            let message = "must not be specified when serviceAccountName is not set";
            errors.push(forbidden(&path.child("serviceAccountToken"), message));
        }
    }
}

/// Adds `Required` when a text is empty.
pub(crate) fn require(value: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if value.is_empty() {
        errors.push(required(path, ""));
    }
}

/// Adds the problems of a DNS label.
pub(crate) fn check_label(value: &str, path: &Path<'_>, errors: &mut ErrorList) {
    extend_invalid(errors, path, value, names::dns1123_label(value));
}

/// Adds the problems of a name that must be there and be a DNS label.
pub(crate) fn require_label(value: &str, path: &Path<'_>, errors: &mut ErrorList) {
    if value.is_empty() {
        errors.push(required(path, ""));
    } else {
        check_label(value, path, errors);
    }
}

/// Adds the problems of a DNS subdomain, such as the name of another object.
fn check_subdomain(value: &str, path: &Path<'_>, errors: &mut ErrorList) {
    extend_invalid(errors, path, value, names::dns1123_subdomain(value));
}

fn check_qualified_name(value: &str, path: &Path<'_>, errors: &mut ErrorList) {
    extend_invalid(errors, path, value, names::qualified_name(value));
}

fn check_not_negative(value: Option<i32>, path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(value) = value.filter(|value| *value < 0) {
        errors.push(invalid(path, value, NOT_NEGATIVE));
    }
}

/// A value out of a closed set that must be there.
fn check_choice(value: &str, choices: &[&str], path: &Path<'_>, errors: &mut ErrorList) {
    if value.is_empty() {
        errors.push(required(path, ""));
    } else {
        check_optional_choice(Some(value), choices, path, errors);
    }
}

/// A value out of a closed set, if it is there at all.
fn check_optional_choice(value: Option<&str>, choices: &[&str], path: &Path<'_>, errors: &mut ErrorList) {
    if let Some(value) = value.filter(|value| !choices.contains(value)) {
        errors.push(not_supported(path, value, choices));
    }
}

/// A user or group id.
fn check_id(id: i64, path: &Path<'_>, errors: &mut ErrorList) {
    if !(0..=i64::from(i32::MAX)).contains(&id) {
        errors.push(invalid(path, id, names::out_of_range(0, i64::from(i32::MAX))));
    }
}

/// An IP address in its usual form.
fn check_ip(address: &str, path: &Path<'_>) -> Option<Error> {
    address.parse::<std::net::IpAddr>().is_err().then(|| invalid(path, address, names::INVALID_IP))
}

/// A path below some directory: relative, and without `..`.
fn check_descending_path(path: &str, field: &Path<'_>, errors: &mut ErrorList) {
    if path.starts_with('/') {
        errors.push(invalid(field, path, "must be a relative path"));
    }
    check_no_backsteps(path, field, errors);
}

pub(crate) fn check_no_backsteps(path: &str, field: &Path<'_>, errors: &mut ErrorList) {
    if has_backsteps(path) {
        errors.push(invalid(field, path, "must not contain '..'"));
    }
}

fn has_backsteps(path: &str) -> bool {
    path.split('/').any(|segment| segment == "..")
}

/// A descending path whose first segment does not begin with `..` either.
fn check_local_path(path: &str, field: &Path<'_>, errors: &mut ErrorList) {
    check_descending_path(path, field, errors);
    if path.starts_with("..") && !path.starts_with("../") {
        errors.push(invalid(field, path, "must not start with '..'"));
    }
}
