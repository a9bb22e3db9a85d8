//! What is wrong with webhooks, policies and their bindings.

use k8s_openapi::api::admissionregistration::v1::{
    MutatingAdmissionPolicy, MutatingAdmissionPolicyBinding, MutatingWebhookConfiguration, ValidatingAdmissionPolicy,
    ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration,
};
use serde_json::{Value, json};

use crate::object::Kind;

fn read<K: Kind>(object: &Value) -> K {
    let mut object: K = serde_json::from_value(object.clone()).unwrap();
    object.set_defaults();
    object
}

fn problems<K: Kind>(object: &Value) -> Vec<String> {
    read::<K>(object).validate().iter().map(ToString::to_string).collect()
}

fn constraints() -> Value {
    let rule = json!({"apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"], "operations": ["CREATE"]});
    json!({"resourceRules": [rule]})
}

/// `base` with some fields replaced.
fn with(mut base: Value, changes: &[(&str, Value)]) -> Value {
    for (pointer, value) in changes {
        *base.pointer_mut(pointer).unwrap() = value.clone();
    }
    base
}

fn webhook() -> Value {
    json!({"metadata": {"name": "w"}, "webhooks": [{
        "name": "a.example.com", "sideEffects": "None", "admissionReviewVersions": ["v1"],
        "clientConfig": {"service": {"name": "s", "namespace": "n"}}, "timeoutSeconds": 10, "matchConditions": [],
        "rules": [{"apiGroups": ["a"], "apiVersions": ["v1"], "resources": ["b"], "operations": ["CREATE"]}],
    }]})
}

#[test]
fn webhooks_are_completed() {
    let webhooks = read::<MutatingWebhookConfiguration>(&webhook()).webhooks.unwrap();
    let webhook = &webhooks[0];
    assert_eq!(webhook.failure_policy.as_deref(), Some("Fail"));
    assert_eq!(webhook.match_policy.as_deref(), Some("Equivalent"));
    assert_eq!(webhook.reinvocation_policy.as_deref(), Some("Never"));
    assert_eq!(webhook.client_config.service.as_ref().unwrap().port, Some(443));
    assert_eq!(webhook.rules.as_ref().unwrap()[0].scope.as_deref(), Some("*"));
    assert!(webhook.namespace_selector.is_some() && webhook.match_conditions.is_none());
}

#[test]
fn webhooks_say_what_they_are_asked_and_where() {
    for (pointer, value, expected) in [
        (
            "/webhooks/0/name",
            json!("a.b"),
            vec![
                "webhooks[0].name: Invalid value: \"a.b\": should be a domain with at least three segments separated by dots",
            ],
        ),
        (
            "/webhooks/0/sideEffects",
            json!("Some"),
            vec!["webhooks[0].sideEffects: Unsupported value: \"Some\": supported values: \"None\", \"NoneOnDryRun\""],
        ),
        (
            "/webhooks/0/timeoutSeconds",
            json!(31),
            vec!["webhooks[0].timeoutSeconds: Invalid value: 31: the timeout value must be between 1 and 30 seconds"],
        ),
        (
            "/webhooks/0/admissionReviewVersions",
            json!(["v2", "v2"]),
            vec![
                "webhooks[0].admissionReviewVersions[1]: Invalid value: \"v2\": duplicate version",
                "webhooks[0].admissionReviewVersions: Invalid value: [\"v2\",\"v2\"]: must include at least one of v1, v1beta1",
            ],
        ),
        (
            "/webhooks/0/clientConfig",
            json!({}),
            vec!["webhooks[0].clientConfig: Required value: exactly one of url or service is required"],
        ),
        (
            "/webhooks/0/matchConditions",
            json!([{"name": "", "expression": " "}]),
            vec![
                "webhooks[0].matchConditions[0].expression: Required value",
                "webhooks[0].matchConditions[0].name: Required value",
            ],
        ),
        (
            "/webhooks/0/rules/0/operations",
            json!(["*", "DROP"]),
            vec![
                "webhooks[0].rules[0].operations: Invalid value: [\"*\",\"DROP\"]: if '*' is present, must not specify other \
             operations",
                "webhooks[0].rules[0].operations[1]: Unsupported value: \"DROP\": supported values: \"*\", \"CONNECT\", \
             \"CREATE\", \"DELETE\", \"UPDATE\"",
            ],
        ),
        (
            "/webhooks/0/rules/0/resources",
            json!(["a/*", "a/b", "*", "c"]),
            vec![
                "webhooks[0].rules[0].resources[1]: Invalid value: \"a/b\": if 'a/*' is present, must not specify a/b",
                "webhooks[0].rules[0].resources: Invalid value: [\"a/*\",\"a/b\",\"*\",\"c\"]: if '*' is present, must not \
             specify other resources without subresources",
            ],
        ),
    ] {
        let object = with(webhook(), &[(pointer, value)]);
        assert_eq!(problems::<ValidatingWebhookConfiguration>(&object), expected, "{pointer}");
    }
}

#[test]
fn what_was_fine_before_may_stay() {
    let old = with(webhook(), &[("/webhooks/0/sideEffects", json!("Some"))]);
    let (old, new): (ValidatingWebhookConfiguration, ValidatingWebhookConfiguration) = (read(&old), read(&old));
    assert_eq!(new.validate_update(&old), []);
    let strict: ValidatingWebhookConfiguration = read(&webhook());
    assert_eq!(new.validate_update(&strict).len(), 1);
}

#[test]
fn policies_say_what_they_ask_for() {
    let policy = json!({"metadata": {"name": "p"}, "spec": {
        "matchConstraints": constraints(), "validations": [{"expression": "true"}], "paramKind": null,
    }});
    for (pointer, value, expected) in [
        ("/spec/matchConstraints", json!(null), vec!["spec.matchConstraints: Required value"]),
        ("/spec/matchConstraints", json!({}), vec!["spec.matchConstraints.resourceRules: Required value"]),
        (
            "/spec/validations",
            json!([]),
            vec![
                "spec.validations: Required value: validations or auditAnnotations must contain at least one item",
                "spec.auditAnnotations: Required value: validations or auditAnnotations must contain at least one item",
            ],
        ),
        (
            "/spec/validations/0",
            json!({"expression": "true", "reason": "Odd", "message": "a\nb"}),
            vec![
                "spec.validations[0].message: Invalid value: \"a\\nb\": message must not contain line breaks",
                "spec.validations[0].reason: Unsupported value: \"Odd\": supported values: \"Forbidden\", \"Invalid\", \
             \"RequestEntityTooLarge\"",
            ],
        ),
        (
            "/spec/paramKind",
            json!({"apiVersion": "a/b/c"}),
            vec![
                "spec.paramKind.apiVersion: Invalid value: \"a/b/c\": unexpected GroupVersion string: a/b/c",
                "spec.paramKind.kind: Required value",
            ],
        ),
    ] {
        let object = with(policy.clone(), &[(pointer, value)]);
        assert_eq!(problems::<ValidatingAdmissionPolicy>(&object), expected, "{pointer}");
    }
}

#[test]
fn mutations_have_the_expression_of_their_type() {
    let policy = json!({"metadata": {"name": "p"}, "spec": {
        "reinvocationPolicy": "Never", "matchConstraints": constraints(),
        "mutations": [{"patchType": "ApplyConfiguration", "applyConfiguration": {"expression": "Object{}"}}],
    }});
    assert_eq!(problems::<MutatingAdmissionPolicy>(&policy), Vec::<String>::new());
    for (pointer, value, expected) in [
        ("/spec/reinvocationPolicy", json!(""), vec!["spec.reinvocationPolicy: Required value"]),
        (
            "/spec/mutations",
            json!([]),
            vec!["spec.mutations: Required value: mutations must contain at least one item"],
        ),
        (
            "/spec/mutations/0/patchType",
            json!("JSONPatch"),
            vec![
                "spec.mutations[0].applyConfiguration: Invalid value: \"{applyConfiguration}\": must not be specified when \
             patchType is JSONPatch",
                "spec.mutations[0].jsonPatch: Required value: must be specified when patchType is JSONPatch",
            ],
        ),
        (
            "/spec/matchConstraints/resourceRules/0/operations",
            json!(["DELETE"]),
            vec![
                "spec.matchConstraints.resourceRules.operations: Unsupported value: \"DELETE\": supported values: \"*\", \
             \"CONNECT\", \"CREATE\", \"UPDATE\"",
            ],
        ),
    ] {
        let object = with(policy.clone(), &[(pointer, value)]);
        assert_eq!(problems::<MutatingAdmissionPolicy>(&object), expected, "{pointer}");
    }
}

#[test]
fn bindings_name_a_policy_and_what_it_does() {
    let binding = |spec: Value| json!({"metadata": {"name": "b"}, "spec": spec});
    assert_eq!(
        problems::<ValidatingAdmissionPolicyBinding>(&binding(json!({"validationActions": ["Deny", "Warn"]}))),
        [
            "spec.policyName: Required value",
            "spec.validationActions: Invalid value: [\"Deny\",\"Warn\"]: must not contain both Deny and Warn (repeating \
             the same validation failure information in the API response and headers serves no purpose)",
        ]
    );
    let reference = json!({"policyName": "p", "paramRef": {"name": "x", "selector": {}}});
    assert_eq!(
        problems::<MutatingAdmissionPolicyBinding>(&binding(reference)),
        [
            "spec.paramRef.name: Forbidden: name and selector are mutually exclusive",
            "spec.paramRef.selector: Forbidden: name and selector are mutually exclusive",
            "spec.paramRef.parameterNotFoundAction: Required value",
        ]
    );
}
