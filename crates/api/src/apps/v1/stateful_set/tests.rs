use serde_json::{Value, json};

use super::*;

fn set(spec: Value) -> StatefulSet {
    let labels = json!({"app": "a"});
    let mut base = json!({
        "serviceName": "s",
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "i"}]}},
    });
    for (field, value) in spec.as_object().unwrap() {
        base[field] = value.clone();
    }
    let object = json!({"metadata": {"name": "d", "namespace": "n", "resourceVersion": "1"}, "spec": base});
    let mut set: StatefulSet = serde_json::from_value(object).unwrap();
    set.set_defaults();
    set
}

fn problems(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn defaults_replace_pods_in_order() {
    let spec = serde_json::to_value(set(json!({})).spec).unwrap();
    assert_eq!(spec["updateStrategy"], json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}));
    assert_eq!(spec["podManagementPolicy"], "OrderedReady");
    assert_eq!(spec["persistentVolumeClaimRetentionPolicy"], json!({"whenDeleted": "Retain", "whenScaled": "Retain"}));
    let on_delete = set(json!({"updateStrategy": {"type": "OnDelete"}}));
    assert_eq!(on_delete.spec.unwrap().update_strategy.unwrap().rolling_update, None);
}

#[test]
fn claims_of_the_set_are_volumes_of_its_pods() {
    let claim = json!({"metadata": {"name": "data"}, "spec": {"accessModes": ["ReadWriteOnce"],
        "resources": {"requests": {"storage": "1Gi"}}}});
    let container = json!({"name": "c", "image": "i", "volumeMounts": [{"name": "data", "mountPath": "/data"}]});
    let template = json!({"metadata": {"labels": {"app": "a"}}, "spec": {"containers": [container]}});
    let with = set(json!({"template": template, "volumeClaimTemplates": [claim]}));
    assert_eq!(problems(&Kind::validate(&with)), [""; 0]);
    let without = set(json!({"template": template}));
    assert_eq!(
        problems(&Kind::validate(&without)),
        ["spec.template.spec.containers[0].volumeMounts[0].name: Not found: \"data\""]
    );
}

#[test]
fn only_a_few_fields_change() {
    let old = set(json!({}));
    assert!(Kind::validate_update(&set(json!({"replicas": 3, "minReadySeconds": 1})), &old).is_empty());
    let errors = Kind::validate_update(&set(json!({"serviceName": "t"})), &old);
    assert!(
        problems(&errors)[0]
            .starts_with("spec: Forbidden: updates to statefulset spec for fields other than 'replicas'")
    );
}

#[test]
fn templates_are_warned_of_when_they_may_have_changed() {
    let set = |generation: i64| -> StatefulSet {
        let claim = json!({"metadata": {"name": "c"}, "spec": {"resources": {"requests": {"storage": "100m"}}}});
        serde_json::from_value(json!({"metadata": {"generation": generation}, "spec": {
            "selector": {}, "serviceName": "s", "volumeClaimTemplates": [claim],
            "template": {"spec": {"containers": [], "nodeSelector": {"beta.kubernetes.io/os": "linux"}}}}}))
        .unwrap()
    };
    let claim = "spec.volumeClaimTemplates[0].Spec.resources.requests[storage]: fractional byte value \"100m\" is \
                 invalid, must be an integer";
    let label = "spec.template.spec.nodeSelector[beta.kubernetes.io/os]: deprecated since v1.14; use \
                 \"kubernetes.io/os\" instead";
    assert_eq!(Kind::warnings(&set(1)), [label, claim]);
    assert_eq!(Kind::update_warnings(&set(2), &set(1)), [label, claim]);
    assert_eq!(Kind::update_warnings(&set(1), &set(1)), [claim]);
}
