use serde_json::{Value, json};

use super::*;

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({"spec": spec})).unwrap()
}

fn texts(amounts: &Amounts<'_>) -> Value {
    amounts.iter().map(|(name, amount)| ((*name).to_owned(), Value::from(amount.to_string()))).collect()
}

fn container(cpu: &str) -> Value {
    json!({"name": "c", "resources": {"requests": {"cpu": cpu}, "limits": {"cpu": cpu}}})
}

fn sidecar(cpu: &str) -> Value {
    let mut container = container(cpu);
    container["restartPolicy"] = json!("Always");
    container
}

#[test]
fn init_containers_count_where_they_need_more() {
    for (init, expected) in [
        (json!([container("500m")]), "3"),
        (json!([container("4")]), "4"),
        (json!([sidecar("1"), container("2500m")]), "4"),
        (json!([container("3500m"), sidecar("1")]), "4"),
        (json!([sidecar("1"), container("3500m")]), "4500m"),
    ] {
        let pod = pod(json!({"containers": [container("1"), container("2")], "initContainers": init}));
        assert_eq!(texts(&pod_requests(&pod)), json!({"cpu": expected}));
        assert_eq!(texts(&pod_limits(&pod)), json!({"cpu": expected}));
    }
}

#[test]
fn pod_level_resources_replace_the_sum_and_overhead_comes_on_top() {
    let pod = pod(json!({
        "containers": [{"name": "c", "resources": {"requests": {"cpu": "1", "example.com/g": "2"}}}],
        "resources": {"requests": {"cpu": "3", "memory": "1Gi"}, "limits": {"cpu": "4"}},
        "overhead": {"cpu": "100m", "memory": "1Mi"},
    }));
    assert_eq!(texts(&pod_requests(&pod)), json!({"cpu": "3100m", "memory": "1025Mi", "example.com/g": "2"}));
    assert_eq!(texts(&pod_limits(&pod)), json!({"cpu": "4100m"}));
}

#[test]
fn a_pod_without_requests_asks_for_nothing() {
    assert!(pod_requests(&Pod::default()).is_empty());
}
