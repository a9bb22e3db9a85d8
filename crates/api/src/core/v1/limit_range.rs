//! LimitRanges.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{LimitRange, LimitRangeItem};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;

use super::resource_list::{
    self, ResourceList, is_overcommit_allowed, validate_container_resource_name, validate_resource_name,
};
use crate::field::{ErrorList, Path, duplicate, extend_invalid, forbidden, invalid, required};
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::{self, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};
use crate::quantity::Quantity;

/// The `type` of limits of each container.
pub const TYPE_CONTAINER: &str = "Container";
/// The `type` of limits of a Pod's containers together.
pub const TYPE_POD: &str = "Pod";
/// The `type` of limits of claims.
pub const TYPE_CLAIM: &str = "PersistentVolumeClaim";

impl Kind for LimitRange {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        for item in self.spec.iter_mut().flat_map(|spec| &mut spec.limits) {
            omit_empty!(item => default, default_request, max, max_limit_request_ratio, min);
            let lists = [&mut item.default, &mut item.default_request, &mut item.max, &mut item.min];
            lists.into_iter().for_each(|list| resource_list::canonicalize(list.as_mut()));
            resource_list::canonicalize(item.max_limit_request_ratio.as_mut());
            if item.type_ == TYPE_CONTAINER {
                default_container(item);
            }
        }
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        let path = Path::new("spec");
        let path = path.child("limits");
        let mut types = BTreeSet::new();
        for (position, item) in self.spec.iter().flat_map(|spec| &spec.limits).enumerate() {
            let path = path.index(position);
            validate_type(&item.type_, &path.child("type"), &mut errors);
            if !types.insert(&item.type_) {
                errors.push(duplicate(&path.child("type"), &item.type_));
            }
            validate_item(item, &path, &mut errors);
        }
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = Kind::validate(self);
        errors.extend(validate_meta_update(&self.metadata, &old.metadata));
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        Kind::validate_update(self, old)
    }
}

/// Limits default to maxima, requests to limits, and where there are none, to minima.
fn default_container(item: &mut LimitRangeItem) {
    fill(&mut item.default, item.max.as_ref());
    fill(&mut item.default_request, item.default.as_ref());
    fill(&mut item.default_request, item.min.as_ref());
}

fn fill(list: &mut Option<ResourceList>, from: Option<&ResourceList>) {
    for (name, amount) in from.into_iter().flatten() {
        list.get_or_insert_default().entry(name.clone()).or_insert_with(|| amount.clone());
    }
}

fn validate_type(kind: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let problems = names::qualified_name(kind);
    if problems.is_empty() && !kind.contains('/') && ![TYPE_POD, TYPE_CONTAINER, TYPE_CLAIM].contains(&kind) {
        errors.push(invalid(path, kind, "must be a standard limit type or fully qualified"));
    }
    extend_invalid(errors, path, kind, problems);
}

fn validate_item(item: &LimitRangeItem, path: &Path<'_>, errors: &mut ErrorList) {
    let mut names = |field: &'static str, list: &Option<ResourceList>| {
        let path = path.child(field);
        for name in list.iter().flat_map(BTreeMap::keys) {
            let path = path.key(name);
            errors.extend(match item.type_.as_str() {
                TYPE_POD | TYPE_CONTAINER => validate_container_resource_name(name, &path),
                _ => validate_resource_name(name, &path),
            });
        }
    };
    names("max", &item.max);
    names("min", &item.min);
    if item.type_ == TYPE_POD {
        for (field, list) in [("default", &item.default), ("defaultRequest", &item.default_request)] {
            if list.is_some() {
                errors.push(forbidden(&path.child(field), "may not be specified when `type` is 'Pod'"));
            }
        }
    } else {
        names("default", &item.default);
        names("defaultRequest", &item.default_request);
    }
    let has_storage = |list: &Option<ResourceList>| list.as_ref().is_some_and(|list| list.contains_key("storage"));
    if item.type_ == TYPE_CLAIM && !has_storage(&item.min) && !has_storage(&item.max) {
        let text = "either minimum or maximum storage value is required, but neither was provided";
        errors.push(required(&path.child("limits"), text));
    }
    let mut names = ErrorList::new();
    let ratio_path = path.child("maxLimitRequestRatio");
    for name in item.max_limit_request_ratio.iter().flat_map(BTreeMap::keys) {
        names.extend(validate_container_resource_name(name, &ratio_path.key(name)));
    }
    errors.extend(names);
    let lists = [&item.max, &item.min, &item.default, &item.default_request, &item.max_limit_request_ratio];
    let known: BTreeSet<&String> = lists.into_iter().flatten().flat_map(BTreeMap::keys).collect();
    known.into_iter().for_each(|name| validate_amounts(item, name, path, errors));
}

/// What an item says of one resource.
fn validate_amounts(item: &LimitRangeItem, name: &str, path: &Path<'_>, errors: &mut ErrorList) {
    let amount = |list: &Option<ResourceList>| list.as_ref().and_then(|list| list.get(name)).cloned();
    let (min, max) = (amount(&item.min), amount(&item.max));
    let (default, request) =
        if item.type_ == TYPE_POD { (None, None) } else { (amount(&item.default), amount(&item.default_request)) };
    // The smaller one, the larger one, what they are called, which field is blamed, and with which of them.
    let orders = [
        (&min, &max, "min", "max", "min", false),
        (&min, &request, "min", "default request", "defaultRequest", true),
        (&request, &max, "default request", "max", "defaultRequest", false),
        (&request, &default, "default request", "default limit", "defaultRequest", false),
        (&min, &default, "min", "default", "default", false),
        (&default, &max, "default", "max", "default", true),
    ];
    for (small, large, small_name, large_name, field, blames_large) in orders {
        let (Some(small), Some(large)) = (small, large) else { continue };
        if Quantity::of(small) > Quantity::of(large) {
            let text = format!("{small_name} value {} is greater than {large_name} value {}", small.0, large.0);
            let path = path.child(field);
            errors.push(invalid(&path.key(name), if blames_large { &large.0 } else { &small.0 }, text));
        }
    }
    if let Some(ratio) = amount(&item.max_limit_request_ratio) {
        let path = path.child("maxLimitRequestRatio");
        validate_ratio(&ratio, min.as_ref().zip(max.as_ref()), &path.key(name), errors);
    }
    if let (Some(default), Some(request)) = (&default, &request)
        && !is_overcommit_allowed(name)
        && Quantity::of(default) != Quantity::of(request)
    {
        let text = format!("default value {} must equal to defaultRequest value {} in {name}", default.0, request.0);
        let path = path.child("defaultRequest");
        errors.push(invalid(&path.key(name), &request.0, text));
    }
}

#[allow(clippy::cast_precision_loss)] // as upstream divides
fn validate_ratio(
    ratio: &ApiQuantity,
    bounds: Option<(&ApiQuantity, &ApiQuantity)>,
    path: &Path<'_>,
    errors: &mut ErrorList,
) {
    let amount = Quantity::of(ratio);
    if amount < Quantity::from_value(1) {
        errors.push(invalid(path, &ratio.0, format!("ratio {} is less than 1", ratio.0)));
    }
    let Some((min, max)) = bounds else { return };
    let limit = Quantity::of(max).milli_value() as f64 / Quantity::of(min).milli_value() as f64;
    if amount.milli_value() as f64 / 1000.0 > limit {
        errors.push(invalid(path, &ratio.0, format!("ratio {} is greater than max/min = {limit:.6}", ratio.0)));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn range(item: Value) -> LimitRange {
        let mut object: LimitRange =
            serde_json::from_value(json!({"metadata": {"name": "l", "namespace": "n"}, "spec": {"limits": [item]}}))
                .unwrap();
        object.set_defaults();
        object
    }

    #[test]
    fn limits_of_containers_follow_maxima_and_minima() {
        let got = range(json!({"type": "Container", "max": {"cpu": "1"}, "min": {"memory": "1Mi"}}));
        let item = &got.spec.unwrap().limits[0];
        assert_eq!(serde_json::to_value(&item.default).unwrap(), json!({"cpu": "1"}));
        assert_eq!(serde_json::to_value(&item.default_request).unwrap(), json!({"cpu": "1", "memory": "1Mi"}));
    }

    #[test]
    fn amounts_are_in_order() {
        for (item, problems) in [
            (json!({"type": "Container", "max": {"cpu": "1"}}), &[][..]),
            (
                json!({"type": "Pod", "default": {"cpu": "1"}}),
                &["spec.limits[0].default: Forbidden: may not be specified when `type` is 'Pod'"],
            ),
            (
                json!({"type": "Pod", "min": {"cpu": "2"}, "max": {"cpu": "1"}}),
                &["spec.limits[0].min[cpu]: Invalid value: \"2\": min value 2 is greater than max value 1"],
            ),
            (
                json!({"type": "Pod", "min": {"cpu": "1"}, "max": {"cpu": "2"}, "maxLimitRequestRatio": {"cpu": "4"}}),
                &[
                    "spec.limits[0].maxLimitRequestRatio[cpu]: Invalid value: \"4\": ratio 4 is greater than max/min = 2.000000",
                ],
            ),
            (
                json!({"type": "Odd"}),
                &["spec.limits[0].type: Invalid value: \"Odd\": must be a standard limit type or fully qualified"],
            ),
        ] {
            let found: Vec<String> = range(item.clone()).validate().iter().map(ToString::to_string).collect();
            assert_eq!(found, problems, "{item}");
        }
    }
}
