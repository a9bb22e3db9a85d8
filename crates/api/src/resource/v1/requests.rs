//! What a claim asks for.

use k8s_openapi::api::resource::v1::{
    DeviceClaim, DeviceConstraint, DeviceRequest, DeviceSelector, DeviceSubRequest, DeviceToleration,
    ExactDeviceRequest,
};

use super::configuration::{Origin, validate_configuration};
use super::device::EFFECTS;
use super::lists::{validate_list, validate_set};
use super::names::{validate_class, validate_label, validate_qualified_attribute_name};
use crate::field::{ErrorList, Path, extend_invalid, invalid, not_supported, required, too_long};
use crate::meta::text;
use crate::names::{label_value, qualified_name};
use crate::omit_empty::omit_empty;

pub(super) const MAX_REQUESTS: usize = 32;
pub(super) const MAX_CONFIGURATIONS: usize = 32;
const MAX_CONSTRAINTS: usize = 32;
const MAX_ALTERNATIVES: usize = 8;
const MAX_SELECTORS: usize = 32;
const MAX_EXPRESSION: usize = 10 * 1024;
const ALL: &str = "All";
const EXACT_COUNT: &str = "ExactCount";
const OPERATORS: &[&str] = &["Equal", "Exists"];

/// An exact request or one of several alternatives: the fields both have.
macro_rules! default_request {
    ($request:expr) => {
        omit_empty!($request => allocation_mode, count, selectors, tolerations);
        let mode = $request.allocation_mode.get_or_insert_with(|| EXACT_COUNT.to_owned());
        if mode == EXACT_COUNT {
            $request.count.get_or_insert(1);
        }
        for toleration in $request.tolerations.iter_mut().flatten() {
            omit_empty!(toleration => effect, key, operator, value);
            toleration.operator.get_or_insert_with(|| "Equal".to_owned());
        }
    };
}

pub(super) fn default_claim(claim: &mut DeviceClaim) {
    omit_empty!(claim => config, constraints, requests);
    for request in claim.requests.iter_mut().flatten() {
        omit_empty!(request => first_available);
        if let Some(exactly) = &mut request.exactly {
            default_request!(exactly);
        }
        for alternative in request.first_available.iter_mut().flatten() {
            default_request!(alternative);
        }
    }
    for constraint in claim.constraints.iter_mut().flatten() {
        omit_empty!(constraint => requests);
    }
    for configuration in claim.config.iter_mut().flatten() {
        omit_empty!(configuration => requests);
    }
}

pub(super) fn validate_claim(claim: &DeviceClaim, origin: Origin, path: &Path<'_>, errors: &mut ErrorList) {
    let requests = claim.requests.as_deref().unwrap_or_default();
    let list_path = path.child("requests");
    validate_set(requests, MAX_REQUESTS, |request| request.name.clone(), &list_path, errors, validate_request);
    let (list, list_path) = (claim.constraints.as_deref().unwrap_or_default(), path.child("constraints"));
    validate_list(list, MAX_CONSTRAINTS, &list_path, errors, |constraint, path, errors| {
        validate_constraint(constraint, requests, path, errors);
    });
    let (list, list_path) = (claim.config.as_deref().unwrap_or_default(), path.child("config"));
    validate_list(list, MAX_CONFIGURATIONS, &list_path, errors, |configuration, path, errors| {
        validate_references(configuration.requests.as_deref(), requests, path, errors);
        validate_configuration(configuration.opaque.as_ref(), origin, path, errors);
    });
}

fn validate_request(request: &DeviceRequest, path: &Path<'_>, errors: &mut ErrorList) {
    validate_label(&request.name, &path.child("name"), errors);
    let alternatives = request.first_available.as_deref().unwrap_or_default();
    match (&request.exactly, alternatives) {
        (None, []) => errors.push(required(path, "exactly one of `exactly` or `firstAvailable` is required")),
        (Some(exactly), []) => View::from(exactly).validate(&path.child("exactly"), errors),
        (None, alternatives) => {
            let path = path.child("firstAvailable");
            let name = |alternative: &DeviceSubRequest| alternative.name.clone();
            validate_set(alternatives, MAX_ALTERNATIVES, name, &path, errors, |alternative, path, errors| {
                validate_label(&alternative.name, &path.child("name"), errors);
                View::from(alternative).validate(path, errors);
            });
        }
        (Some(_), _) => {
            let message = "exactly one of `exactly` or `firstAvailable` is required, but multiple fields are set";
            errors.push(invalid(path, None::<&str>, message));
        }
    }
}

/// An exact request or one of several alternatives.
struct View<'a> {
    class: &'a str,
    selectors: &'a [DeviceSelector],
    mode: &'a str,
    count: i64,
    tolerations: &'a [DeviceToleration],
}

macro_rules! view {
    ($($kind:ty),*) => {
        $(impl<'a> From<&'a $kind> for View<'a> {
            fn from(request: &'a $kind) -> Self {
                Self {
                    class: &request.device_class_name,
                    selectors: request.selectors.as_deref().unwrap_or_default(),
                    mode: text(&request.allocation_mode),
                    count: request.count.unwrap_or_default(),
                    tolerations: request.tolerations.as_deref().unwrap_or_default(),
                }
            }
        })*
    };
}
view!(ExactDeviceRequest, DeviceSubRequest);

impl View<'_> {
    fn validate(&self, path: &Path<'_>, errors: &mut ErrorList) {
        validate_class(self.class, &path.child("deviceClassName"), errors);
        validate_selectors(self.selectors, &path.child("selectors"), errors);
        let count_path = path.child("count");
        match (self.mode, self.count) {
            (ALL, 0) | (EXACT_COUNT, 1..) => {}
            (ALL, count) => {
                errors.push(invalid(&count_path, count, "must not be specified when allocationMode is 'All'"));
            }
            (EXACT_COUNT, count) => errors.push(invalid(&count_path, count, "must be greater than zero")),
            (mode, _) => errors.push(not_supported(&path.child("allocationMode"), mode, &[ALL, EXACT_COUNT])),
        }
        let list_path = path.child("tolerations");
        for (position, toleration) in self.tolerations.iter().enumerate() {
            validate_toleration(toleration, &list_path.index(position), errors);
        }
    }
}

pub(super) fn validate_selectors(selectors: &[DeviceSelector], path: &Path<'_>, errors: &mut ErrorList) {
    validate_list(selectors, MAX_SELECTORS, path, errors, |selector, path, errors| {
        let path = path.child("cel");
        match &selector.cel {
            None => errors.push(required(&path, "")),
            Some(cel) if cel.expression.len() > MAX_EXPRESSION => {
                errors.push(too_long(&path.child("expression"), MAX_EXPRESSION));
            }
            Some(_) => {} // compiled by whoever evaluates it
        }
    });
}

fn validate_toleration(toleration: &DeviceToleration, path: &Path<'_>, errors: &mut ErrorList) {
    let (key, value, effect) = (text(&toleration.key), text(&toleration.value), text(&toleration.effect));
    if !key.is_empty() {
        extend_invalid(errors, &path.child("key"), key, qualified_name(key));
    }
    match text(&toleration.operator) {
        "Exists" if value.is_empty() => {}
        "Exists" => errors.push(invalid(&path.child("value"), value, "must be empty for operator `Exists`")),
        "Equal" => extend_invalid(errors, &path.child("value"), value, label_value(value)),
        "" => errors.push(required(&path.child("operator"), "")),
        other => errors.push(not_supported(&path.child("operator"), other, OPERATORS)),
    }
    if !effect.is_empty() && !EFFECTS.contains(&effect) {
        errors.push(not_supported(&path.child("effect"), effect, EFFECTS));
    }
}

fn validate_constraint(
    constraint: &DeviceConstraint,
    requests: &[DeviceRequest],
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    validate_references(constraint.requests.as_deref(), requests, path, errors);
    match (&constraint.match_attribute, &constraint.distinct_attribute) {
        (Some(name), _) => validate_qualified_attribute_name(name, &path.child("matchAttribute"), errors),
        (None, Some(name)) => validate_qualified_attribute_name(name, &path.child("distinctAttribute"), errors),
        (None, None) => {
            let message = "exactly one of \"matchAttribute\" or \"distinctAttribute\" is required, but multiple fields \
                           are set";
            errors.push(required(path, message));
        }
    }
}

/// Names of requests, or of alternatives within them.
pub(super) fn validate_references(
    names: Option<&[String]>,
    requests: &[DeviceRequest],
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let path = path.child("requests");
    validate_set(names.unwrap_or_default(), MAX_REQUESTS, String::clone, &path, errors, |name, path, errors| {
        validate_reference(name, requests, path, errors);
    });
}

pub(super) fn validate_reference(name: &str, requests: &[DeviceRequest], path: &Path<'_>, errors: &mut ErrorList) {
    let parts: Vec<&str> = name.split('/').collect();
    if parts.len() <= 2 {
        parts.iter().for_each(|part| validate_label(part, path, errors));
    }
    if !refers(&parts, requests) {
        let message = "must be the name of a request in the claim or the name of a request and a subrequest separated \
                       by '/'";
        errors.push(invalid(path, name, message));
    }
}

fn refers(parts: &[&str], requests: &[DeviceRequest]) -> bool {
    let request = |name: &str| requests.iter().find(|request| request.name == name);
    match parts {
        [name] => request(name).is_some(),
        [name, alternative] => request(name)
            .into_iter()
            .flat_map(|request| request.first_available.iter().flatten())
            .any(|known| known.name == *alternative),
        _ => false,
    }
}
