use api::k8s_openapi::api::rbac::v1::{PolicyRule, Subject};
use serde_json::{Value, json};

use super::*;
use crate::filters::request_info::ResourcePath;

fn resource(text: &str) -> ResourcePath {
    let (resource, subresource) = text.split_once('/').unwrap_or((text, ""));
    ResourcePath {
        group: "apps".to_owned(),
        resource: resource.to_owned(),
        subresource: subresource.to_owned(),
        name: "web".to_owned(),
        ..ResourcePath::default()
    }
}

fn rule(value: Value) -> PolicyRule {
    serde_json::from_value(value).unwrap()
}

#[test]
fn rules_match_by_verb_group_resource_and_name() {
    let user = UserInfo::new("u", [] as [&str; 0]);
    let cases = [
        (json!({ "verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"] }), "deployments", true),
        (json!({ "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"] }), "deployments/scale", true),
        (json!({ "verbs": ["list"], "apiGroups": ["apps"], "resources": ["deployments"] }), "deployments", false),
        (json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["deployments"] }), "deployments", false),
        (json!({ "verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"] }), "deployments/scale", false),
        (
            json!({ "verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments/scale"] }),
            "deployments/scale",
            true,
        ),
        (json!({ "verbs": ["get"], "apiGroups": ["apps"], "resources": ["*/scale"] }), "deployments/scale", true),
        (
            json!({ "verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["web"] }),
            "deployments",
            true,
        ),
        (
            json!({ "verbs": ["get"], "apiGroups": ["apps"], "resources": ["deployments"], "resourceNames": ["db"] }),
            "deployments",
            false,
        ),
    ];
    for (value, target, expected) in cases {
        let at = resource(target);
        let attributes = Attributes { user: &user, verb: "get", target: Target::Resource(&at) };
        assert_eq!(allows(&rule(value.clone()), &attributes), expected, "{value} {target}");
    }
}

#[test]
fn paths_match_whole_or_by_their_start() {
    let user = UserInfo::anonymous();
    for (pattern, path, expected) in [
        ("/healthz", "/healthz", true),
        ("/healthz", "/healthz/ping", false),
        ("/api/*", "/api/v1", true),
        ("*", "/x", true),
    ] {
        let attributes = Attributes { user: &user, verb: "get", target: Target::Path(path) };
        let rule = rule(json!({ "verbs": ["get"], "nonResourceURLs": [pattern] }));
        assert_eq!(allows(&rule, &attributes), expected, "{pattern} {path}");
    }
}

#[test]
fn subjects_are_users_groups_and_accounts_of_a_namespace() {
    let account = UserInfo::service_account("shop", "builder");
    let subject = |value: Value| -> Vec<Subject> { vec![serde_json::from_value(value).unwrap()] };
    let cases = [
        (json!({ "kind": "User", "name": "system:serviceaccount:shop:builder" }), "", true),
        (json!({ "kind": "Group", "name": "system:serviceaccounts:shop" }), "", true),
        (json!({ "kind": "ServiceAccount", "name": "builder", "namespace": "shop" }), "", true),
        (json!({ "kind": "ServiceAccount", "name": "builder" }), "shop", true),
        (json!({ "kind": "ServiceAccount", "name": "builder" }), "", false),
        (json!({ "kind": "ServiceAccount", "name": "builder", "namespace": "other" }), "shop", false),
        (json!({ "kind": "User", "name": "builder" }), "shop", false),
    ];
    for (value, namespace, expected) in cases {
        let subjects = subject(value.clone());
        assert_eq!(applicable(&account, Some(&subjects), namespace).is_some(), expected, "{value} in {namespace:?}");
    }
}

#[test]
fn errors_are_told_once() {
    let errors = |texts: &[&str]| aggregate(texts.iter().map(|text| (*text).to_owned()).collect());
    assert_eq!(errors(&[]), None);
    assert_eq!(errors(&["a", "a"]).as_deref(), Some("a"));
    assert_eq!(errors(&["a", "b"]).as_deref(), Some("[a, b]"));
}
