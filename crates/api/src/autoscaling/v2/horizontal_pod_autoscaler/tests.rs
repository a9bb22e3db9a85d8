use serde_json::{Value, json};

use super::*;

fn autoscaler(spec: Value) -> HorizontalPodAutoscaler {
    let mut base =
        json!({"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}});
    for (field, value) in spec.as_object().unwrap() {
        base[field] = value.clone();
    }
    let metadata = json!({"name": "h", "namespace": "n", "resourceVersion": "1"});
    let mut object: HorizontalPodAutoscaler =
        serde_json::from_value(json!({"metadata": metadata, "spec": base})).unwrap();
    object.set_defaults();
    object
}

#[test]
fn defaults_follow_the_cpu() {
    let spec = autoscaler(json!({"behavior": {}})).spec;
    assert_eq!((spec.min_replicas, spec.metrics.unwrap()), (Some(1), vec![cpu_metric(80)]));
    let behavior = spec.behavior.unwrap();
    let (up, down) = (behavior.scale_up.unwrap(), behavior.scale_down.unwrap());
    assert_eq!((up.stabilization_window_seconds, up.policies.unwrap().len()), (Some(0), 2));
    assert_eq!((down.stabilization_window_seconds, down.policies.unwrap().len()), (None, 1));
}

#[test]
fn problems_are_worded_as_upstream_words_them() {
    let metric = |metric: Value| json!({"metrics": [metric]});
    for (spec, expected) in [
        (json!({}), vec![]),
        (
            json!({"scaleTargetRef": {"kind": "", "name": "a/b"}}),
            vec![
                "spec.scaleTargetRef.kind: Required value",
                "spec.scaleTargetRef.name: Invalid value: \"a/b\": may not contain '/'",
                "spec.scaleTargetRef.apiVersion: Invalid value: \"\": apiVersion must specify API group",
            ],
        ),
        (
            json!({"minReplicas": 5}),
            vec!["spec.maxReplicas: Invalid value: 3: must be greater than or equal to `minReplicas`"],
        ),
        (
            metric(json!({"type": "Resource"})),
            vec!["spec.metrics[0].resource: Required value: must populate information for the given metric source"],
        ),
        (
            metric(
                json!({"type": "Pods", "pods": {"metric": {"name": ""}, "target": {"type": "Value", "value": "-1"}}}),
            ),
            vec![
                "spec.metrics[0].pods.metric.name: Required value: must specify a metric name",
                "spec.metrics[0].pods.target.value: Invalid value: \"-1\": must be positive",
                "spec.metrics[0].pods.target.averageValue: Required value: must specify a positive target averageValue",
            ],
        ),
    ] {
        let problems: Vec<String> = autoscaler(spec.clone()).validate().iter().map(ToString::to_string).collect();
        assert_eq!(problems, expected, "{spec}");
    }
}
