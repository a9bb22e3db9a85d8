use serde_json::json;

use super::*;

fn secret(mut value: serde_json::Value) -> Secret {
    value["metadata"]["name"] = json!("s");
    value["metadata"]["namespace"] = json!("n");
    value["metadata"]["resourceVersion"] = json!("1");
    let mut secret: Secret = serde_json::from_value(value).unwrap();
    Kind::set_defaults(&mut secret);
    secret
}

fn texts(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn string_data_becomes_data() {
    let secret = secret(json!({"data": {"a": "AA==", "b": "AA=="}, "stringData": {"a": "x"}}));
    let value = serde_json::to_value(&secret).unwrap();
    assert_eq!(value["data"], json!({"a": "eA==", "b": "AA=="}));
    assert_eq!(value["type"], "Opaque");
    assert!(value.get("stringData").is_none());
}

#[test]
fn types_require_their_keys() {
    for (kind, data, errors) in [
        ("kubernetes.io/ssh-auth", json!({}), vec!["data[ssh-privatekey]: Required value"]),
        (
            "kubernetes.io/basic-auth",
            json!({}),
            vec!["data[username]: Required value", "data[password]: Required value"],
        ),
        ("kubernetes.io/basic-auth", json!({"password": "x"}), vec![]),
        ("kubernetes.io/tls", json!({"tls.crt": "x"}), vec!["data[tls.key]: Required value"]),
        ("kubernetes.io/dockerconfigjson", json!({}), vec!["data[.dockerconfigjson]: Required value"]),
        ("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "{}"}), vec![]),
        (
            "kubernetes.io/dockercfg",
            json!({".dockercfg": "x"}),
            vec![
                "data[.dockercfg]: Invalid value: \"<secret contents redacted>\": invalid character 'x' looking for beginning of value",
            ],
        ),
        (
            "kubernetes.io/dockercfg",
            json!({".dockercfg": "[]"}),
            vec![
                "data[.dockercfg]: Invalid value: \"<secret contents redacted>\": json: cannot unmarshal array into Go value of type map[string]interface {}",
            ],
        ),
        (
            "kubernetes.io/service-account-token",
            json!({}),
            vec!["metadata.annotations[kubernetes.io/service-account.name]: Required value"],
        ),
        ("example.com/any", json!({}), vec![]),
    ] {
        assert_eq!(texts(&Kind::validate(&secret(json!({"type": kind, "stringData": data})))), errors, "{kind}");
    }
}

#[test]
fn type_and_immutable_data_stay() {
    let old = secret(json!({"stringData": {"a": "x"}, "immutable": true}));
    let new = secret(json!({"stringData": {"a": "y"}, "immutable": true, "type": "other"}));
    assert_eq!(
        texts(&Kind::validate_update(&new, &old)),
        [
            "type: Invalid value: \"other\": field is immutable",
            "data: Forbidden: field is immutable when `immutable` is set",
        ]
    );
}
