use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
use serde_json::{Value, json};

use crate::object::Kind;

fn made<K: Kind>(metadata: Value, rest: Value) -> K {
    let mut object = rest;
    object["metadata"] = metadata;
    let mut object: K = serde_json::from_value(object).unwrap();
    object.set_defaults();
    object
}

fn namespaced() -> Value {
    json!({ "name": "a", "namespace": "default", "resourceVersion": "1" })
}

fn cluster() -> Value {
    json!({ "name": "system:a", "resourceVersion": "1" })
}

fn texts<K: Kind>(object: &K) -> Vec<String> {
    object.validate().iter().map(ToString::to_string).collect()
}

#[test]
fn rules_are_about_resources_or_about_paths() {
    let paths = json!({ "rules": [{ "verbs": ["get"], "nonResourceURLs": ["/x"] }] });
    assert!(texts(&made::<ClusterRole>(cluster(), paths.clone())).is_empty());
    assert_eq!(
        texts(&made::<Role>(namespaced(), paths)),
        ["rules[0].nonResourceURLs: Invalid value: [\"/x\"]: namespaced rules cannot apply to non-resource URLs"]
    );
    let both = json!({ "verbs": ["get"], "nonResourceURLs": ["/x"], "apiGroups": [""], "resources": ["pods"] });
    assert_eq!(
        texts(&made::<ClusterRole>(cluster(), json!({ "rules": [both] }))),
        ["rules[0].nonResourceURLs: Invalid value: [\"/x\"]: rules cannot apply to both regular resources and \
          non-resource URLs"]
    );
    assert_eq!(
        texts(&made::<Role>(namespaced(), json!({ "rules": [{ "verbs": [] }] }))),
        [
            "rules[0].verbs: Required value: verbs must contain at least one value",
            "rules[0].apiGroups: Required value: resource rules must supply at least one api group",
            "rules[0].resources: Required value: resource rules must supply at least one resource",
        ]
    );
    let names = json!({ "verbs": ["get"], "apiGroups": [""], "resources": ["a", "b"], "resourceNames": ["c"] });
    assert!(texts(&made::<Role>(namespaced(), json!({ "rules": [names] }))).is_empty());
}

#[test]
fn rules_are_written_also_when_there_are_none() {
    let role = made::<Role>(namespaced(), json!({}));
    assert_eq!(crate::encode::to_value(&role).unwrap()["rules"], Value::Null);
    assert!(crate::encode::to_value(&role).unwrap().as_object().unwrap().contains_key("rules"));
}

#[test]
fn aggregation_needs_good_selectors() {
    let empty = made::<ClusterRole>(cluster(), json!({ "aggregationRule": {} }));
    assert_eq!(
        texts(&empty),
        ["aggregationRule.clusterRoleSelectors: Required value: at least one clusterRoleSelector required if \
          aggregationRule is non-nil"]
    );
    let rule = json!({ "clusterRoleSelectors": [{ "matchLabels": { "a b": "c" } }] });
    let problems = texts(&made::<ClusterRole>(cluster(), json!({ "aggregationRule": rule })));
    assert_eq!(problems.len(), 2);
    assert_eq!(problems[1], "aggregationRule.clusterRoleSelectors[0]: Invalid value: null: invalid label selector.");
}

#[test]
fn bindings_name_one_role_for_good() {
    let binding = |role: Value, subjects: Value| {
        made::<RoleBinding>(namespaced(), json!({ "roleRef": role, "subjects": subjects }))
    };
    let good = binding(json!({ "kind": "Role", "name": "r" }), json!([{ "kind": "User", "name": "u" }]));
    assert!(texts(&good).is_empty());
    assert_eq!(good.role_ref.api_group.as_deref(), Some(super::GROUP));
    assert_eq!(good.subjects.as_ref().unwrap()[0].api_group.as_deref(), Some(super::GROUP));
    assert_eq!(
        texts(&binding(json!({ "kind": "Odd", "name": "" }), json!([]))),
        [
            "roleRef.kind: Unsupported value: \"Odd\": supported values: \"Role\", \"ClusterRole\"",
            "roleRef.name: Required value",
        ]
    );
    let other = binding(json!({ "kind": "Role", "name": "other" }), json!([]));
    let problems: Vec<_> = Kind::validate_update(&other, &good).iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        ["roleRef: Invalid value: {\"APIGroup\":\"rbac.authorization.k8s.io\",\"Kind\":\"Role\",\"Name\":\"other\"}: \
          cannot change roleRef"]
    );
}

#[test]
fn subjects_are_of_three_kinds() {
    let subjects = json!([
        { "kind": "Odd", "name": "u" },
        { "kind": "User" , "name": "" },
        { "kind": "ServiceAccount", "name": "a" },
        { "kind": "Group", "name": "u", "apiGroup": "x" },
        { "kind": "ServiceAccount", "name": "a", "namespace": "b", "apiGroup": "x" },
    ]);
    let role = json!({ "kind": "ClusterRole", "name": "r" });
    assert_eq!(
        texts(&made::<ClusterRoleBinding>(cluster(), json!({ "roleRef": role, "subjects": subjects }))),
        [
            "subjects[0].kind: Unsupported value: \"Odd\": supported values: \"ServiceAccount\", \"User\", \"Group\"",
            "subjects[1].name: Required value",
            "subjects[2].namespace: Required value",
            "subjects[3].apiGroup: Unsupported value: \"x\": supported values: \"rbac.authorization.k8s.io\"",
            "subjects[4].apiGroup: Unsupported value: \"x\": supported values: \"\"",
        ]
    );
}

#[test]
fn what_is_not_held_is_told_piece_by_piece() {
    let rules =
        |value: Value| -> Vec<k8s_openapi::api::rbac::v1::PolicyRule> { serde_json::from_value(value).unwrap() };
    let rule = |group: &str, resource: &str, verb: &str| json!({ "apiGroups": [group], "resources": [resource], "verbs": [verb] });
    let wanted = rules(json!([
        { "apiGroups": ["", "apps"], "resources": ["pods/log"], "verbs": ["get", "list"] },
        { "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a", "b"], "verbs": ["get"] },
        { "nonResourceURLs": ["/x/y", "/z"], "verbs": ["get"] },
    ]));
    let cases = [
        (json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }]), 2),
        (
            json!([{ "apiGroups": ["*"], "resources": ["*"], "verbs": ["*"] }, { "nonResourceURLs": ["*"], "verbs": ["*"] }]),
            0,
        ),
        (json!([rule("", "*/log", "*"), rule("apps", "pods/log", "get")]), 5),
        (json!([{ "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"], "verbs": ["get"] }]), 7),
        (json!([{ "nonResourceURLs": ["/x/*"], "verbs": ["get"] }]), 7),
    ];
    for (held, missing) in cases {
        assert_eq!(super::uncovered(&rules(held.clone()), &wanted).len(), missing, "{held}");
    }
    // A name does not stand for all of them.
    let named = rules(json!([{ "apiGroups": [""], "resources": ["pods"], "resourceNames": ["a"], "verbs": ["get"] }]));
    assert_eq!(super::uncovered(&named, &rules(json!([rule("", "pods", "get")]))).len(), 1);
}
