use serde_json::json;

use super::*;

fn newer(metrics: Value) -> v2::HorizontalPodAutoscaler {
    let target = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"});
    let spec = json!({"maxReplicas": 3, "scaleTargetRef": target, "metrics": metrics, "behavior": {"scaleDown": {}}});
    let mut object: v2::HorizontalPodAutoscaler =
        serde_json::from_value(json!({"metadata": {"name": "h"}, "spec": spec})).unwrap();
    object.set_defaults();
    object
}

#[test]
fn what_has_no_field_makes_the_journey_in_annotations() {
    let object = newer(json!([
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
        {"type": "Pods", "pods": {"metric": {"name": "m"}, "target": {"type": "AverageValue", "averageValue": "1"}}},
        {"type": "Object", "object": {"describedObject": {"kind": "Service", "name": "s"}, "metric": {"name": "o"},
            "target": {"type": "Value", "value": "2"}}},
    ]));
    let older = from_v2(&object);
    let annotations = older.metadata.annotations.clone().unwrap();
    let pods = json!({"type": "Pods", "pods": {"metricName": "m", "targetAverageValue": "1"}});
    assert_eq!(serde_json::from_str::<Value>(&annotations[METRICS]).unwrap()[0], pods);
    assert_eq!(older.spec.target_cpu_utilization_percentage, Some(50));
    let mut back = to_v2(&older);
    let spec = &mut back.spec;
    // The metric with a field of its own comes last.
    spec.metrics.as_mut().unwrap().rotate_right(1);
    assert_eq!(back, object);
}

#[test]
fn without_metrics_the_cpu_is_followed() {
    let spec = json!({"maxReplicas": 3, "scaleTargetRef": {"kind": "Deployment", "name": "d"}});
    let older = serde_json::from_value(json!({"metadata": {"name": "h"}, "spec": spec})).unwrap();
    assert_eq!(to_v2(&older).spec.metrics, Some(vec![cpu_metric(80)]));
}
