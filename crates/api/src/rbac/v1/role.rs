//! Roles and ClusterRoles.

use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::field::{ErrorList, Json, Path, invalid, required};
use crate::labels::{SelectorRules, validate_label_selector};
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::path_segment_name;
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

impl Kind for Role {
    fn set_defaults(&mut self) {
        set_defaults(&mut self.metadata, self.rules.as_mut());
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Namespaced, path_segment_name);
        validate_rules(self.rules.as_deref(), Scope::Namespaced, &mut errors);
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

impl Kind for ClusterRole {
    fn set_defaults(&mut self) {
        set_defaults(&mut self.metadata, self.rules.as_mut());
        if let Some(rule) = &mut self.aggregation_rule {
            omit_empty!(rule => cluster_role_selectors);
        }
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, path_segment_name);
        validate_rules(self.rules.as_deref(), Scope::Cluster, &mut errors);
        validate_aggregation(self, &mut errors);
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

fn set_defaults(meta: &mut ObjectMeta, rules: Option<&mut Vec<PolicyRule>>) {
    omit_empty::metadata(meta);
    for rule in rules.into_iter().flatten() {
        omit_empty!(rule => api_groups, non_resource_urls, resource_names, resources);
    }
}

fn validate_rules(rules: Option<&[PolicyRule]>, scope: Scope, errors: &mut ErrorList) {
    let path = Path::new("rules");
    for (position, rule) in rules.unwrap_or_default().iter().enumerate() {
        validate_rule(rule, scope, &path.index(position), errors);
    }
}

fn validate_rule(rule: &PolicyRule, scope: Scope, path: &Path<'_>, errors: &mut ErrorList) {
    let list = |field: &Option<Vec<String>>| field.as_ref().map_or(0, Vec::len);
    if rule.verbs.is_empty() {
        errors.push(required(&path.child("verbs"), "verbs must contain at least one value"));
    }
    if let Some(urls) = rule.non_resource_urls.as_ref().filter(|urls| !urls.is_empty()) {
        let path = path.child("nonResourceURLs");
        if scope == Scope::Namespaced {
            errors.push(invalid(&path, Json(urls), "namespaced rules cannot apply to non-resource URLs"));
        }
        if list(&rule.api_groups) + list(&rule.resources) + list(&rule.resource_names) > 0 {
            let message = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(invalid(&path, Json(urls), message));
        }
        return;
    }
    if list(&rule.api_groups) == 0 {
        errors.push(required(&path.child("apiGroups"), "resource rules must supply at least one api group"));
    }
    if list(&rule.resources) == 0 {
        errors.push(required(&path.child("resources"), "resource rules must supply at least one resource"));
    }
}

fn validate_aggregation(role: &ClusterRole, errors: &mut ErrorList) {
    let Some(rule) = &role.aggregation_rule else { return };
    let path = Path::new("aggregationRule");
    let path = path.child("clusterRoleSelectors");
    let selectors = rule.cluster_role_selectors.as_deref().unwrap_or_default();
    if selectors.is_empty() {
        errors.push(required(&path, "at least one clusterRoleSelector required if aggregationRule is non-nil"));
    }
    for (position, selector) in selectors.iter().enumerate() {
        let path = path.index(position);
        let problems = validate_label_selector(Some(selector), SelectorRules::Strict, &path);
        if !problems.is_empty() {
            errors.extend(problems);
            errors.push(invalid(&path, None::<&str>, "invalid label selector."));
        }
    }
}
