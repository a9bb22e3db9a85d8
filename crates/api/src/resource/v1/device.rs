//! One device of a slice.

use std::collections::BTreeMap;

use k8s_openapi::api::resource::v1::{
    CapacityRequestPolicy, Counter, Device, DeviceAttribute, DeviceCapacity, DeviceTaint,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::lists::{validate_list, validate_set};
use super::names::{validate_attribute_name, validate_label};
use super::shown;
use super::slice::{flag, node_name};
use crate::core::v1::pod::validate_node_selector;
use crate::field::{
    ErrorList, Json, Path, duplicate, extend_invalid, forbidden, invalid, not_supported, required, too_long, too_many,
};
use crate::meta::text;
use crate::names::{label_value, qualified_name};
use crate::omit_empty::omit_empty;
use crate::quantity::Quantity as Amount;

pub(super) const EFFECTS: &[&str] = &["NoExecute", "NoSchedule", "None"];
const MAX_ATTRIBUTES_AND_CAPACITIES: usize = 32;
const MAX_VALUE: usize = 64;
const MAX_TAINTS: usize = 16;
const MAX_CONSUMPTIONS: usize = 2;
const MAX_COUNTERS: usize = 32;
const MAX_CONDITIONS: usize = 4;
const MAX_VALID_VALUES: usize = 10;

pub(super) fn default_device(device: &mut Device) {
    omit_empty!(device => attributes, binding_conditions, binding_failure_conditions, capacity, consumes_counters,
        node_allocatable_resource_mappings, taints);
    for mapping in device.node_allocatable_resource_mappings.iter_mut().flat_map(BTreeMap::values_mut) {
        mapping.allocation_multiplier.get_or_insert_with(|| Quantity("1".to_owned()));
    }
}

pub(super) fn validate_device(
    device: &Device,
    old: Option<&Device>,
    says_where: bool,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    validate_label(&device.name, &path.child("name"), errors);
    let count = device.attributes.as_ref().map_or(0, BTreeMap::len) + device.capacity.as_ref().map_or(0, BTreeMap::len);
    if count > MAX_ATTRIBUTES_AND_CAPACITIES {
        let message =
            format!("the total number of attributes and capacities must not exceed {MAX_ATTRIBUTES_AND_CAPACITIES}");
        errors.push(invalid(path, count, message));
    }
    let map_path = path.child("attributes");
    for (name, attribute) in device.attributes.iter().flatten() {
        let path = map_path.key(name);
        validate_attribute_name(name, &path, errors);
        validate_attribute(attribute, &path, errors);
    }
    let map_path = path.child("capacity");
    let shared = device.allow_multiple_allocations == Some(true);
    for (name, capacity) in device.capacity.iter().flatten() {
        let path = map_path.key(name);
        validate_attribute_name(name, &path, errors);
        validate_capacity(capacity, shared, &path, errors);
    }
    if old.is_none_or(|old| old.taints != device.taints) {
        let taints = device.taints.as_deref().unwrap_or_default();
        validate_list(taints, MAX_TAINTS, &path.child("taints"), errors, validate_taint);
    }
    let (list, list_path) = (device.consumes_counters.as_deref().unwrap_or_default(), path.child("consumesCounters"));
    validate_set(
        list,
        MAX_CONSUMPTIONS,
        |consumption| consumption.counter_set.clone(),
        &list_path,
        errors,
        |consumption, path, errors| {
            let set_path = path.child("counterSet");
            if consumption.counter_set.is_empty() {
                errors.push(required(&set_path, ""));
            } else {
                validate_label(&consumption.counter_set, &set_path, errors);
            }
            validate_counters(&consumption.counters, &path.child("counters"), errors);
        },
    );
    validate_nodes(device, says_where, path, errors);
    let conditions = (device.binding_conditions.as_deref(), device.binding_failure_conditions.as_deref());
    validate_binding_conditions(conditions.0, conditions.1, path, errors);
}

fn validate_nodes(device: &Device, says_where: bool, path: &Path<'_>, errors: &mut ErrorList) {
    if !says_where {
        if device.node_name.is_some() || device.node_selector.is_some() || device.all_nodes.is_some() {
            let message = "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set \
                           to true in the ResourceSlice spec";
            errors.push(invalid(path, None::<&str>, message));
        }
        return;
    }
    let mut said = Vec::new();
    said.extend(node_name(device.node_name.as_deref(), path, "must not be empty", errors));
    if let Some(selector) = &device.node_selector {
        said.push("`nodeSelector`");
        validate_node_selector(selector, &path.child("nodeSelector"), errors);
    }
    said.extend(flag(device.all_nodes, "allNodes", "`allNodes`", path, errors));
    let message = "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is \
                   set to true in the ResourceSlice spec";
    match said[..] {
        [] => errors.push(required(path, message)),
        [_] => {}
        _ => errors.push(invalid(path, format!("{{{}}}", said.join(", ")), message)),
    }
}

fn validate_attribute(attribute: &DeviceAttribute, path: &Path<'_>, errors: &mut ErrorList) {
    let check_length = |value: &str, path: &Path<'_>, errors: &mut ErrorList| {
        if value.len() > MAX_VALUE {
            errors.push(too_long(path, MAX_VALUE));
        }
    };
    if let Some(value) = &attribute.string {
        check_length(value, &path.child("string"), errors);
    }
    if let Some(version) = &attribute.version {
        let path = path.child("version");
        if !is_semantic_version(version) {
            errors.push(invalid(&path, version, "must be a string compatible with semver.org spec 2.0.0"));
        }
        check_length(version, &path, errors);
    }
    let values = [
        attribute.bool.is_some(),
        attribute.bools.is_some(),
        attribute.int.is_some(),
        attribute.ints.is_some(),
        attribute.string.is_some(),
        attribute.strings.is_some(),
        attribute.version.is_some(),
        attribute.versions.is_some(),
    ];
    let message = "exactly one value must be specified";
    match values.into_iter().filter(|value| *value).count() {
        0 => errors.push(invalid(path, "", message)),
        1 => {}
        _ => errors.push(invalid(path, Json(&shown::attribute(attribute)), message)),
    }
}

/// `1.2.3-alpha.1+build.5`
fn is_semantic_version(version: &str) -> bool {
    let (version, build) = version.split_once('+').map_or((version, None), |(version, build)| (version, Some(build)));
    let (core, release) = version.split_once('-').map_or((version, None), |(core, release)| (core, Some(release)));
    let is_number = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'))
    };
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    core.split('.').count() == 3
        && core.split('.').all(is_number)
        && release
            .is_none_or(|release| release.split('.').all(|part| is_word(part) && (!numeric(part) || is_number(part))))
        && build.is_none_or(|build| build.split('.').all(is_word))
}

fn validate_capacity(capacity: &DeviceCapacity, shared: bool, path: &Path<'_>, errors: &mut ErrorList) {
    let path = path.child("requestPolicy");
    match &capacity.request_policy {
        Some(_) if !shared => errors.push(forbidden(&path, "allowMultipleAllocations must be true")),
        Some(policy) => validate_request_policy(policy, &capacity.value, &path, errors),
        None => {}
    }
}

fn validate_request_policy(
    policy: &CapacityRequestPolicy,
    capacity: &Quantity,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let values = policy.valid_values.as_deref().unwrap_or_default();
    match (values, &policy.valid_range, &policy.default) {
        ([], None, _) => {}
        ([_, ..], Some(_), _) => {
            let message = "exactly one policy can be specified, cannot specify \"validValues\" and \"validRange\" at the same time";
            errors.push(forbidden(path, message));
        }
        ([_, ..], None, None) => {
            errors.push(required(&path.child("default"), "required when validValues is defined"));
        }
        ([], Some(_), None) => {
            errors.push(required(&path.child("default"), "required when validRange is defined"));
        }
        (values, None, Some(default)) => {
            validate_values(values, default, capacity, &path.child("validValues"), errors);
        }
        ([], Some(range), Some(default)) => {
            let path = path.child("validRange");
            let amount = |quantity: &Quantity| Amount::of(quantity).milli_value();
            let mut refuse = |field: &str, value: &Quantity, message: String| {
                errors.push(invalid(&path.child(field), &value.0, message));
            };
            if amount(&range.min) > amount(capacity) {
                refuse("min", &range.min, format!("min is larger than capacity value: {}", capacity.0));
            }
            if amount(default) < amount(&range.min) {
                refuse("min", default, format!("default is less than min: {}", range.min.0));
            }
            if let Some(max) = &range.max {
                if amount(&range.min) > amount(max) {
                    refuse("max", &range.min, format!("min is larger than max: {}", max.0));
                }
                if amount(max) > amount(capacity) {
                    refuse("max", max, format!("max is larger than capacity value: {}", capacity.0));
                }
                if amount(default) > amount(max) {
                    refuse("max", default, format!("default is more than max: {}", max.0));
                }
            }
            if let Some(step) = &range.step {
                let value = |quantity: &Quantity| Amount::of(quantity).value();
                let off = |quantity: &Quantity| {
                    (value(quantity) - value(&range.min)).checked_rem(value(step)).is_none_or(|rest| rest != 0)
                };
                for quantity in [Some(default), range.max.as_ref()].into_iter().flatten().filter(|value| off(value)) {
                    let message =
                        format!("value is not a multiple of a given step ({}) from ({})", step.0, range.min.0);
                    refuse("step", quantity, message);
                }
            }
        }
    }
}

fn validate_values(
    values: &[Quantity],
    default: &Quantity,
    capacity: &Quantity,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let amount = |quantity: &Quantity| Amount::of(quantity).milli_value();
    for (position, pair) in values.windows(2).enumerate() {
        if amount(&pair[0]) > amount(&pair[1]) {
            let message = "values must be sorted in ascending order";
            errors.push(invalid(&path.index(position + 1), &pair[1].0, message));
        }
    }
    validate_set(values, MAX_VALID_VALUES, amount, path, errors, |value, path, errors| {
        if amount(value) > amount(capacity) {
            errors.push(invalid(path, &value.0, format!("option is larger than capacity value: {}", capacity.0)));
        }
    });
    if !values.iter().any(|value| amount(value) == amount(default)) {
        errors.push(invalid(path, &default.0, "default value is not valid according to the requestPolicy"));
    }
}

fn validate_taint(taint: &DeviceTaint, path: &Path<'_>, errors: &mut ErrorList) {
    extend_invalid(errors, &path.child("key"), &taint.key, qualified_name(&taint.key));
    let value = text(&taint.value);
    extend_invalid(errors, &path.child("value"), value, label_value(value));
    let path = path.child("effect");
    match taint.effect.as_str() {
        "" => errors.push(required(&path, "")),
        effect if !EFFECTS.contains(&effect) => errors.push(not_supported(&path, effect, EFFECTS)),
        _ => {}
    }
}

/// Counters by their names; there must be some.
pub(super) fn validate_counters(counters: &BTreeMap<String, Counter>, path: &Path<'_>, errors: &mut ErrorList) {
    if counters.is_empty() {
        errors.push(required(path, ""));
    } else if counters.len() > MAX_COUNTERS {
        errors.push(too_many(path, counters.len(), MAX_COUNTERS));
    } else {
        counters.keys().for_each(|name| validate_label(name, &path.key(name), errors));
    }
}

/// Conditions a binding waits for, and those that end the wait: both or none.
pub(super) fn validate_binding_conditions(
    conditions: Option<&[String]>,
    failures: Option<&[String]>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let (conditions, failures) = (conditions.unwrap_or_default(), failures.unwrap_or_default());
    let (conditions_path, failures_path) = (path.child("bindingConditions"), path.child("bindingFailureConditions"));
    for (list, path) in [(conditions, &conditions_path), (failures, &failures_path)] {
        validate_list(list, MAX_CONDITIONS, path, errors, |name, path, errors| {
            extend_invalid(errors, path, name, qualified_name(name));
        });
    }
    let known = |list: &[String], position: usize| list[..position].contains(&list[position]);
    for position in (0..conditions.len()).filter(|position| known(conditions, *position)) {
        errors.push(duplicate(&conditions_path.index(position), &conditions[position]));
    }
    for (position, failure) in failures.iter().enumerate() {
        if known(failures, position) {
            errors.push(duplicate(&failures_path.index(position), failure));
        }
        if conditions.contains(failure) {
            let message = "bindingFailureConditions must not overlap with bindingConditions";
            errors.push(invalid(&failures_path.index(position), failure, message));
        }
    }
    match (conditions, failures) {
        ([], [_, ..]) => {
            let message = "bindingConditions are required to use bindingFailureConditions";
            errors.push(invalid(&conditions_path, None::<&str>, message));
        }
        ([_, ..], []) => {
            let message = "bindingFailureConditions are required to use bindingConditions";
            errors.push(invalid(&failures_path, None::<&str>, message));
        }
        _ => {}
    }
}
