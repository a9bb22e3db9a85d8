//! FlowSchemas: which requests belong to which priority level.

use k8s_openapi::api::flowcontrol::v1::{
    FlowSchema, FlowSchemaSpec, NonResourcePolicyRule, PolicyRulesWithSubjects, ResourcePolicyRule, Subject,
};

use crate::field::{ErrorList, Json, Path, extend_invalid, forbidden, invalid, not_supported, required};
use crate::internal::{fields, plain};
use crate::meta::{Scope, validate_meta, validate_meta_update};
use crate::names::{dns1123_label, subdomain_name};
use crate::object::Kind;
use crate::omit_empty::{self, omit_empty};

const SPEC: Path<'static> = Path::new("spec");
const DEFAULT_PRECEDENCE: i32 = 1000;
const MAX_PRECEDENCE: i32 = 10_000;
/// The one schema that may come before all others.
const EXEMPT: &str = "exempt";
const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];

impl Kind for FlowSchema {
    fn set_defaults(&mut self) {
        omit_empty::metadata(&mut self.metadata);
        let spec = self.spec.get_or_insert_default();
        omit_empty!(spec => matching_precedence, rules);
        spec.matching_precedence.get_or_insert(DEFAULT_PRECEDENCE);
        for rules in spec.rules.iter_mut().flatten() {
            omit_empty!(rules => non_resource_rules, resource_rules);
            for rule in rules.resource_rules.iter_mut().flatten() {
                omit_empty!(rule => cluster_scope, namespaces);
            }
        }
        omit_empty!(self.status.get_or_insert_default() => conditions);
    }

    fn validate(&self) -> ErrorList {
        let mut errors = validate_meta(&self.metadata, Scope::Cluster, subdomain_name);
        if let Some(spec) = &self.spec {
            validate_spec(spec, self.metadata.name.as_deref() == Some(EXEMPT), &mut errors);
        }
        errors
    }

    fn validate_update(&self, old: &Self) -> ErrorList {
        let mut errors = validate_meta_update(&self.metadata, &old.metadata);
        errors.extend(self.validate());
        errors
    }

    fn validate_status_update(&self, old: &Self) -> ErrorList {
        validate_meta_update(&self.metadata, &old.metadata)
    }
}

fn validate_spec(spec: &FlowSchemaSpec, exempt: bool, errors: &mut ErrorList) {
    let path = SPEC.child("matchingPrecedence");
    match spec.matching_precedence.unwrap_or(0) {
        precedence @ ..=0 => errors.push(invalid(&path, precedence, "must be a positive value")),
        precedence if precedence > MAX_PRECEDENCE => {
            errors.push(invalid(&path, precedence, format!("must not be greater than {MAX_PRECEDENCE}")));
        }
        1 if !exempt => errors.push(invalid(&path, 1, "only the schema named 'exempt' may have matchingPrecedence 1")),
        _ => {}
    }
    let methods = ["ByNamespace", "ByUser"];
    if let Some(method) = &spec.distinguisher_method
        && !methods.contains(&method.type_.as_str())
    {
        let shown = fields! { "Type": plain(&method.type_) };
        errors.push(not_supported(&SPEC.child("distinguisherMethod"), Json(&shown), &methods));
    }
    let path = SPEC.child("priorityLevelConfiguration");
    let path = path.child("name");
    let name = spec.priority_level_configuration.name.as_str();
    if name.is_empty() {
        errors.push(required(&path, "must reference a priority level"));
    } else {
        extend_invalid(errors, &path, name, subdomain_name(name, false));
    }
    let list_path = SPEC.child("rules");
    for (position, rules) in spec.rules.iter().flatten().enumerate() {
        validate_rules(rules, &list_path.index(position), errors);
    }
}

fn validate_rules(rules: &PolicyRulesWithSubjects, path: &Path<'_>, errors: &mut ErrorList) {
    let list_path = path.child("subjects");
    if rules.subjects.is_empty() {
        errors.push(required(&list_path, "subjects must contain at least one value"));
    }
    for (position, subject) in rules.subjects.iter().enumerate() {
        validate_subject(subject, &list_path.index(position), errors);
    }
    let of_resources = rules.resource_rules.as_deref().unwrap_or_default();
    let of_others = rules.non_resource_rules.as_deref().unwrap_or_default();
    if of_resources.is_empty() && of_others.is_empty() {
        errors.push(required(path, "at least one of resourceRules and nonResourceRules has to be non-empty"));
    }
    let list_path = path.child("resourceRules");
    for (position, rule) in of_resources.iter().enumerate() {
        validate_resource_rule(rule, &list_path.index(position), errors);
    }
    let list_path = path.child("nonResourceRules");
    for (position, rule) in of_others.iter().enumerate() {
        validate_other_rule(rule, &list_path.index(position), errors);
    }
}

fn validate_subject(subject: &Subject, path: &Path<'_>, errors: &mut ErrorList) {
    let kinds = [
        ("Group", "group", subject.group.as_ref().map(|group| group.name.as_str())),
        ("ServiceAccount", "serviceAccount", subject.service_account.as_ref().map(|account| account.name.as_str())),
        ("User", "user", subject.user.as_ref().map(|user| user.name.as_str())),
    ];
    if !kinds.iter().any(|(kind, ..)| *kind == subject.kind) {
        errors.push(not_supported(&path.child("kind"), &subject.kind, &["Group", "ServiceAccount", "User"]));
        return;
    }
    for (kind, field, name) in kinds {
        let path = path.child(field);
        match name {
            None if kind == subject.kind => {
                errors.push(required(&path, &format!("{field} is required when subject kind is '{kind}'")));
            }
            Some(_) if kind != subject.kind => {
                errors.push(forbidden(&path, format!("{field} is forbidden when subject kind is not '{kind}'")));
            }
            Some("") => errors.push(required(&path.child("name"), "")),
            _ => {}
        }
    }
    if let Some(account) = subject.service_account.as_ref().filter(|_| subject.kind == "ServiceAccount") {
        let path = path.child("serviceAccount");
        if !matches!(account.name.as_str(), "" | "*") {
            extend_invalid(errors, &path.child("name"), &account.name, subdomain_name(&account.name, false));
        }
        match account.namespace.as_str() {
            "" => errors.push(required(&path.child("namespace"), "must specify namespace for service account")),
            namespace => extend_invalid(errors, &path.child("namespace"), namespace, dns1123_label(namespace)),
        }
    }
}

/// A list that must have something, and only a star if it has one.
fn check_list(values: &[String], path: &Path<'_>, empty: &str, star: &str, errors: &mut ErrorList) {
    if values.is_empty() {
        errors.push(required(path, empty));
    } else if values.len() > 1 && values.iter().any(|value| value == "*") {
        errors.push(invalid(path, Json(&values), star));
    }
}

fn check_verbs(verbs: &[String], path: &Path<'_>, errors: &mut ErrorList) {
    let empty = "verbs must contain at least one value";
    check_list(verbs, path, empty, "if '*' is present, must not specify other verbs", errors);
    if !verbs.iter().all(|verb| VERBS.contains(&verb.as_str()) || verb == "*") {
        errors.push(not_supported(path, Json(&verbs), VERBS));
    }
}

fn validate_resource_rule(rule: &ResourcePolicyRule, path: &Path<'_>, errors: &mut ErrorList) {
    check_verbs(&rule.verbs, &path.child("verbs"), errors);
    let empty = "resource rules must supply at least one api group";
    let star = "if '*' is present, must not specify other api groups";
    check_list(&rule.api_groups, &path.child("apiGroups"), empty, star, errors);
    let empty = "resource rules must supply at least one resource";
    let star = "if '*' is present, must not specify other resources";
    check_list(&rule.resources, &path.child("resources"), empty, star, errors);
    let namespaces = rule.namespaces.as_deref().unwrap_or_default();
    let path = path.child("namespaces");
    if namespaces.is_empty() && rule.cluster_scope != Some(true) {
        errors.push(required(&path, "resource rules that are not cluster scoped must supply at least one namespace"));
    }
    if namespaces.len() > 1 && namespaces.iter().any(|namespace| namespace == "*") {
        errors.push(invalid(&path, Json(&namespaces), "may specify '*' or other namespaces but not both"));
    }
    for (position, namespace) in namespaces.iter().enumerate().filter(|(_, namespace)| *namespace != "*") {
        extend_invalid(errors, &path.index(position), namespace, dns1123_label(namespace));
    }
}

fn validate_other_rule(rule: &NonResourcePolicyRule, path: &Path<'_>, errors: &mut ErrorList) {
    check_verbs(&rule.verbs, &path.child("verbs"), errors);
    let path = path.child("nonResourceURLs");
    let star = "if '*' is present, must not specify other non-resource URLs";
    check_list(&rule.non_resource_urls, &path, "nonResourceURLs must contain at least one value", star, errors);
    for (position, url) in rule.non_resource_urls.iter().enumerate().filter(|(_, url)| *url != "*") {
        let stem = url.strip_suffix("/*").unwrap_or(url);
        let problem = match url {
            _ if !url.starts_with('/') => "must start with slash",
            _ if url.contains(' ') => "must not contain white-space",
            _ if url.contains("//") => "must not contain double slash",
            _ if stem.contains('*') => "wildcard can only do suffix matching",
            _ => continue,
        };
        errors.push(invalid(&path.index(position), url, problem));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn schemas_say_whose_requests_they_mean() {
        let problems = |spec: &Value| -> Vec<String> {
            let mut base = json!({"priorityLevelConfiguration": {"name": "a"}});
            for (field, value) in spec.as_object().unwrap() {
                base[field] = value.clone();
            }
            let object = json!({"metadata": {"name": "f"}, "spec": base});
            let mut schema: FlowSchema = serde_json::from_value(object).unwrap();
            schema.set_defaults();
            schema.validate().iter().map(ToString::to_string).collect()
        };
        let subject = json!({"kind": "User", "user": {"name": "u"}});
        let rule = json!({"verbs": ["get"], "nonResourceURLs": ["/x", "/y/*"]});
        for (spec, expected) in [
            (json!({"rules": [{"subjects": [subject], "nonResourceRules": [rule]}]}), vec![]),
            (
                json!({"matchingPrecedence": 20000}),
                vec!["spec.matchingPrecedence: Invalid value: 20000: must not be greater than 10000"],
            ),
            (
                json!({"priorityLevelConfiguration": {"name": ""}}),
                vec!["spec.priorityLevelConfiguration.name: Required value: must reference a priority level"],
            ),
            (
                json!({"rules": [{"subjects": []}]}),
                vec![
                    "spec.rules[0].subjects: Required value: subjects must contain at least one value",
                    "spec.rules[0]: Required value: at least one of resourceRules and nonResourceRules has to be \
                     non-empty",
                ],
            ),
        ] {
            assert_eq!(problems(&spec), expected, "{spec}");
        }
    }
}
