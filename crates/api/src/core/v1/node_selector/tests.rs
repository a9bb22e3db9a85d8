use serde_json::{Value, json};

use super::*;

fn node() -> Node {
    serde_json::from_value(json!({"metadata": {"name": "n", "labels": {"disk": "ssd", "cores": "8"}}})).unwrap()
}

fn selected(spec: Value) -> bool {
    let mut spec = spec;
    spec["containers"] = json!([]);
    selects(&serde_json::from_value(spec).unwrap(), &node())
}

fn affinity(terms: Value) -> Value {
    json!({"affinity": {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": terms}}}})
}

#[test]
fn node_selectors_need_every_label() {
    assert!(selected(json!({})));
    assert!(selected(json!({"nodeSelector": {"disk": "ssd"}})));
    assert!(!selected(json!({"nodeSelector": {"disk": "ssd", "gpu": "yes"}})));
}

#[test]
fn requirements_compare_labels_and_the_name() {
    let expression = |key: &str, operator: &str, values: Value| {
        affinity(json!([{"matchExpressions": [{"key": key, "operator": operator, "values": values}]}]))
    };
    for (spec, expected) in [
        (expression("disk", "In", json!(["hdd", "ssd"])), true),
        (expression("disk", "NotIn", json!(["ssd"])), false),
        (expression("gpu", "NotIn", json!(["x"])), true),
        (expression("disk", "Exists", json!([])), true),
        (expression("disk", "DoesNotExist", json!([])), false),
        (expression("cores", "Gt", json!(["4"])), true),
        (expression("cores", "Lt", json!(["4"])), false),
        (expression("disk", "Gt", json!(["4"])), false),
        (affinity(json!([{"matchFields": [{"key": "metadata.name", "operator": "In", "values": ["n"]}]}])), true),
        (affinity(json!([{"matchFields": [{"key": "metadata.name", "operator": "NotIn", "values": ["n"]}]}])), false),
        (affinity(json!([{}])), false),
        (affinity(json!([{}, {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}])), true),
    ] {
        assert_eq!(selected(spec.clone()), expected, "{spec}");
    }
}

#[test]
fn preferences_add_their_weights() {
    let terms: Vec<PreferredSchedulingTerm> = serde_json::from_value(json!([
        {"weight": 10, "preference": {"matchExpressions": [{"key": "disk", "operator": "Exists"}]}},
        {"weight": 5, "preference": {"matchExpressions": [{"key": "gpu", "operator": "Exists"}]}},
        {"weight": 1, "preference": {}},
    ]))
    .unwrap();
    assert_eq!(preference(&terms, &node()), 10);
}
