use serde_json::{Value, json};

use super::*;

fn deployment(spec: Value) -> Deployment {
    let labels = json!({"app": "a"});
    let mut base = json!({
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    });
    for (field, value) in spec.as_object().unwrap() {
        base[field] = value.clone();
    }
    let object = json!({"metadata": {"name": "d", "namespace": "n", "resourceVersion": "1"}, "spec": base});
    let mut deployment: Deployment = serde_json::from_value(object).unwrap();
    deployment.set_defaults();
    deployment
}

fn problems(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_roll_a_quarter_at_a_time() {
    let spec = serde_json::to_value(deployment(json!({})).spec).unwrap();
    assert_eq!(
        spec["strategy"],
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}})
    );
    let counts = (&spec["replicas"], &spec["revisionHistoryLimit"], &spec["progressDeadlineSeconds"]);
    assert_eq!(counts, (&json!(1), &json!(10), &json!(600)));
    let recreate = deployment(json!({"strategy": {"type": "Recreate"}}));
    assert_eq!(recreate.spec.unwrap().strategy.unwrap().rolling_update, None);
    assert!(Kind::validate(&deployment(json!({}))).is_empty());
}

#[test]
fn problems_are_worded_as_upstream_words_them() {
    let rolling = |surge: Value, unavailable: Value| json!({"strategy": {"rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}});
    for (spec, expected) in [
        (
            rolling(json!(0), json!("0%")),
            vec![
                "spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"0%\": may not be 0 when `maxSurge` is 0",
            ],
        ),
        (
            rolling(json!(1), json!("200%")),
            vec!["spec.strategy.rollingUpdate.maxUnavailable: Invalid value: \"200%\": must not be greater than 100%"],
        ),
        (
            json!({"strategy": {"type": "Odd"}}),
            vec![
                "spec.strategy: Unsupported value: {\"Type\":\"Odd\",\"RollingUpdate\":null}: supported values: \
                 \"Recreate\", \"RollingUpdate\"",
            ],
        ),
        (
            json!({"selector": {}}),
            vec![
                "spec.selector: Required value",
                "spec.template.metadata.labels: Invalid value: {\"app\":\"a\"}: `selector` does not match template `labels`",
            ],
        ),
        (
            json!({"replicas": -1, "minReadySeconds": 5, "progressDeadlineSeconds": 5}),
            vec![
                "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
                "spec.progressDeadlineSeconds: Invalid value: 5: must be greater than minReadySeconds",
            ],
        ),
    ] {
        assert_eq!(problems(&Kind::validate(&deployment(spec.clone()))), expected, "{spec}");
    }
}

#[test]
fn a_selector_is_chosen_once() {
    let old = deployment(json!({}));
    let new = deployment(json!({"selector": {"matchExpressions": [{"key": "app", "operator": "Exists"}]}}));
    let expected = "spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"Exists\"}]}: field is immutable";
    assert_eq!(problems(&Kind::validate_update(&new, &old)), [expected]);
}

#[test]
fn parts_of_a_status_are_no_more_than_the_whole() {
    let old = deployment(json!({}));
    let mut new = old.clone();
    new.status = Some(DeploymentStatus {
        replicas: Some(1),
        ready_replicas: Some(1),
        available_replicas: Some(2),
        ..DeploymentStatus::default()
    });
    let expected = [
        "status.availableReplicas: Invalid value: 2: cannot be greater than status.replicas",
        "status.availableReplicas: Invalid value: 2: cannot be greater than readyReplicas",
    ];
    assert_eq!(problems(&Kind::validate_status_update(&new, &old)), expected);
}
