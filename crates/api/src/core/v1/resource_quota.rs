//! ResourceQuotas.

pub mod scopes;
pub mod usage;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaSpec, ScopedResourceSelectorRequirement};

use super::resource_list::{self, ResourceList, validate_quantity, validate_resource_name};
use crate::field::{ErrorList, Json, Path, invalid, required};
use crate::internal::scope_selector;
use crate::meta::{IMMUTABLE, Scope, validate_meta, validate_meta_update};
use crate::names::subdomain_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};
use crate::quantity::Quantity;

const SPEC: Path<'static> = Path::new("spec");

/// Resources a quota can limit without saying of which group they are.
const STANDARD: &[&str] = &[
    "cpu",
    "memory",
    "ephemeral-storage",
    "requests.cpu",
    "requests.memory",
    "requests.storage",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];
/// Of those, what is counted in whole numbers.
const COUNTED: &[&str] = &[
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "persistentvolumeclaims",
    "configmaps",
    "services.nodeports",
    "services.loadbalancers",
];
const POD_COMPUTE: &[&str] = &["cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory"];
const CONFLICTS: [[&str; 2]; 2] = [["BestEffort", "NotBestEffort"], ["Terminating", "NotTerminating"]];

impl Kind for ResourceQuota {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => hard, scopes);
        resource_list::canonicalize(spec.hard.as_mut());
        let status = self.status.get_or_insert_default();
        omit_empty!(status => hard, used);
        resource_list::canonicalize(status.hard.as_mut());
        resource_list::canonicalize(status.used.as_mut());
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, subdomain_name);
        validate_spec(self, &mut errors);
        validate_status(self, &mut errors);
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        validate_spec(self, &mut errors);
        let scopes = |quota: &ResourceQuota| -> BTreeSet<String> {
            quota.spec.iter().flat_map(|spec| spec.scopes.iter().flatten()).cloned().collect()
        };
        if scopes(self) != scopes(old) {
            let scopes = self.spec.as_ref().and_then(|spec| spec.scopes.as_ref());
            errors.push(invalid(&SPEC.child("scopes"), Json(&scopes), IMMUTABLE));
        }
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        validate_status(self, &mut errors);
        errors
    }
}

fn validate_spec(quota: &ResourceQuota, errors: &mut ErrorList) {
    let Some(spec) = &quota.spec else { return };
    validate_amounts(spec.hard.as_ref(), &SPEC.child("hard"), errors);
    validate_scopes(spec, errors);
    validate_scope_selector(spec, errors);
}

fn validate_status(quota: &ResourceQuota, errors: &mut ErrorList) {
    let path = Path::new("status");
    if let Some(status) = &quota.status {
        validate_amounts(status.hard.as_ref(), &path.child("hard"), errors);
        validate_amounts(status.used.as_ref(), &path.child("used"), errors);
    }
}

fn validate_amounts(list: Option<&ResourceList>, path: &Path<'_>, errors: &mut ErrorList) {
    for (name, amount) in list.into_iter().flatten() {
        let path = path.key(name);
        errors.extend(validate_resource_name(name, &path));
        if !name.contains('/') && !STANDARD.contains(&name.as_str()) {
            errors.push(invalid(&path, name, "must be a standard resource for quota"));
        }
        let amount = Quantity::of(amount);
        let problems = validate_quantity(name, amount, &path);
        let counted = COUNTED.contains(&name.as_str()) && problems.is_empty();
        errors.extend(problems);
        if counted && !amount.is_integer() {
            errors.push(invalid(&path, amount.to_string(), "must be an integer"));
        }
    }
}

fn is_standard_scope(scope: &str) -> bool {
    let rest = ["PriorityClass", "CrossNamespacePodAffinity", "VolumeAttributesClass"];
    CONFLICTS.as_flattened().contains(&scope) || rest.contains(&scope)
}

/// Whether counting a resource only within a scope makes sense.
fn fits(scope: &str, resource: &str) -> bool {
    match scope {
        "Terminating" | "NotTerminating" | "NotBestEffort" | "PriorityClass" | "CrossNamespacePodAffinity" => {
            resource == "pods" || POD_COMPUTE.contains(&resource)
        }
        "BestEffort" => resource == "pods",
        "VolumeAttributesClass" => matches!(resource, "persistentvolumeclaims" | "requests.storage"),
        _ => true,
    }
}

/// How many of a quota's resources a scope does not fit.
fn unfit(spec: &ResourceQuotaSpec, scope: &str) -> usize {
    let names = spec.hard.iter().flatten().map(|(name, _)| name.as_str());
    names.filter(|name| STANDARD.contains(name) && !fits(scope, name)).count()
}

fn conflicts<'a>(scopes: impl Iterator<Item = &'a str>) -> usize {
    let scopes: BTreeSet<&str> = scopes.collect();
    CONFLICTS.iter().filter(|pair| pair.iter().all(|scope| scopes.contains(scope))).count()
}

fn validate_scopes(spec: &ResourceQuotaSpec, errors: &mut ErrorList) {
    let path = SPEC.child("scopes");
    let Some(scopes) = &spec.scopes else { return };
    let problem = |text| invalid(&path, Json(scopes), text);
    for scope in scopes {
        if !is_standard_scope(scope) {
            errors.push(problem("unsupported scope"));
        }
        errors.extend((0..unfit(spec, scope)).map(|_| problem("unsupported scope applied to resource")));
    }
    let count = conflicts(scopes.iter().map(String::as_str));
    errors.extend((0..count).map(|_| problem("conflicting scopes")));
}

fn validate_scope_selector(spec: &ResourceQuotaSpec, errors: &mut ErrorList) {
    let Some(selector) = &spec.scope_selector else { return };
    let path = SPEC.child("scopeSelector");
    let path = path.child("matchExpressions");
    let expressions = selector.match_expressions.as_deref().unwrap_or_default();
    for expression in expressions {
        if !is_standard_scope(&expression.scope_name) {
            errors.push(invalid(&path.child("scopeName"), &expression.scope_name, "unsupported scope"));
        }
        for _ in 0..unfit(spec, &expression.scope_name) {
            errors.push(invalid(&path, Json(&scope_selector(selector)), "unsupported scope applied to resource"));
        }
        validate_expression(expression, &path, errors);
    }
    for _ in 0..conflicts(expressions.iter().map(|expression| expression.scope_name.as_str())) {
        errors.push(invalid(&path, Json(&spec.scopes), "conflicting scopes"));
    }
}

fn validate_expression(expression: &ScopedResourceSelectorRequirement, path: &Path<'_>, errors: &mut ErrorList) {
    let (scope, operator) = (expression.scope_name.as_str(), expression.operator.as_str());
    let plain = CONFLICTS.as_flattened().contains(&scope) || scope == "CrossNamespacePodAffinity";
    if plain && operator != "Exists" {
        let text = "must be 'Exists' when scope is any of ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, \
                    ResourceQuotaScopeBestEffort, ResourceQuotaScopeNotBestEffort or \
                    ResourceQuotaScopeCrossNamespacePodAffinity";
        errors.push(invalid(&path.child("operator"), operator, text));
    }
    let values = expression.values.as_deref().unwrap_or_default();
    match operator {
        "In" | "NotIn" if values.is_empty() => {
            let text = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector";
            errors.push(required(&path.child("values"), text));
        }
        "Exists" | "DoesNotExist" if !values.is_empty() => {
            let text = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector";
            errors.push(invalid(&path.child("values"), Json(&values), text));
        }
        "In" | "NotIn" | "Exists" | "DoesNotExist" => {}
        _ => errors.push(invalid(&path.child("operator"), operator, "not a valid selector operator")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn problems_have_upstreams_places_and_words() {
        for (spec, problems) in [
            (json!({"hard": {"pods": "2", "requests.cpu": "1", "count/widgets.example.com": "5"}}), &[][..]),
            (
                json!({"hard": {"pods": "-1"}}),
                &["spec.hard[pods]: Invalid value: \"-1\": must be greater than or equal to 0"],
            ),
            (json!({"hard": {"pods": "1500m"}}), &["spec.hard[pods]: Invalid value: \"1500m\": must be an integer"]),
            (
                json!({"scopes": ["BestEffort", "NotBestEffort"]}),
                &["spec.scopes: Invalid value: [\"BestEffort\",\"NotBestEffort\"]: conflicting scopes"],
            ),
            (
                json!({"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}),
                &["spec.scopes: Invalid value: [\"BestEffort\"]: unsupported scope applied to resource"],
            ),
            (
                json!({"scopeSelector": {"matchExpressions": [{"scopeName": "PriorityClass", "operator": "In"}]}}),
                &[
                    "spec.scopeSelector.matchExpressions.values: Required value: must be at least one value when `operator` is \
                     'In' or 'NotIn' for scope selector",
                ],
            ),
        ] {
            let value: Value = json!({"metadata": {"name": "q", "namespace": "n"}, "spec": spec});
            let mut quota: ResourceQuota = serde_json::from_value(value).unwrap();
            quota.set_defaults();
            let found: Vec<String> = quota.validate().iter().map(ToString::to_string).collect();
            assert_eq!(found, problems, "{spec}");
        }
    }
}
