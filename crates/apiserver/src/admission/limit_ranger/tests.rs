use serde_json::{Value, json};

use super::*;

fn range(limits: Value) -> LimitRange {
    let mut range: LimitRange = serde_json::from_value(json!({"spec": {"limits": [limits]}})).unwrap();
    Object::set_defaults(&mut range);
    range
}

fn pod(spec: Value) -> Pod {
    serde_json::from_value(json!({ "spec": spec })).unwrap()
}

fn container(resources: Value) -> Value {
    json!({"name": "c", "resources": resources})
}

#[test]
fn containers_get_what_they_do_not_say() {
    let range = range(json!({"type": "Container", "default": {"cpu": "500m", "memory": "64Mi"},
                             "defaultRequest": {"cpu": "100m"}}));
    let mut subject = pod(json!({
        "containers": [{"name": "a"}, {"name": "b", "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "2"}}}],
        "initContainers": [{"name": "i", "resources": {"limits": {"memory": "1Mi"}, "requests": {"memory": "1Mi"}}}],
    }));
    set_defaults(&mut subject, &range);
    assert_eq!(
        subject.metadata.annotations.as_ref().unwrap()[ANNOTATION],
        "LimitRanger plugin set: cpu, memory request for container a; cpu, memory limit for container a; memory request \
         for container b; memory limit for container b; cpu request for init container i; cpu limit for init container i"
    );
    let resources = |index: usize| serde_json::to_value(&subject.spec.as_ref().unwrap().containers[index].resources);
    let wanted = json!({"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "100m", "memory": "64Mi"}});
    assert_eq!(resources(0).unwrap(), wanted);
    assert_eq!(resources(1).unwrap()["requests"], json!({"cpu": "1", "memory": "64Mi"}));
}

#[test]
fn nothing_is_noted_where_nothing_was_missing() {
    let range = range(json!({"type": "Pod", "max": {"cpu": "1"}}));
    let mut subject = pod(json!({"containers": [{"name": "a"}]}));
    set_defaults(&mut subject, &range);
    assert_eq!(subject.metadata.annotations, None);
    assert_eq!(subject.spec.unwrap().containers[0].resources, None);
}

#[test]
fn pods_are_measured_in_upstreams_words() {
    let check = |limits: Value, spec: Value, expected: &[&str]| {
        assert_eq!(pod_problems(&range(limits), &pod(spec)), expected);
    };
    let one = |resources: Value| json!({"containers": [container(resources)]});
    let cpu = |request: &str, limit: &str| one(json!({"requests": {"cpu": request}, "limits": {"cpu": limit}}));
    let least = json!({"type": "Container", "min": {"cpu": "50m"}});
    check(least.clone(), cpu("50m", "100m"), &[]);
    check(least.clone(), cpu("10m", "100m"), &["minimum cpu usage per Container is 50m, but request is 10m"]);
    check(least.clone(), cpu("50m", "20m"), &["minimum cpu usage per Container is 50m, but limit is 20m"]);
    check(least, one(json!({})), &["minimum cpu usage per Container is 50m.  No request is specified"]);
    let most = json!({"type": "Container", "max": {"memory": "1Gi"}});
    let memory =
        |request: &str, limit: &str| one(json!({"requests": {"memory": request}, "limits": {"memory": limit}}));
    check(most.clone(), memory("1Gi", "1024Mi"), &[]);
    check(most.clone(), memory("1Gi", "2Gi"), &["maximum memory usage per Container is 1Gi, but limit is 2Gi"]);
    check(most.clone(), memory("3Gi", "1Gi"), &["maximum memory usage per Container is 1Gi, but request is 3Gi"]);
    check(most, one(json!({})), &["maximum memory usage per Container is 1Gi.  No limit is specified"]);
    let ratio = json!({"type": "Container", "maxLimitRequestRatio": {"cpu": "1500m"}});
    check(ratio.clone(), cpu("100m", "150m"), &[]);
    let text = "cpu max limit to request ratio per Container is 1500m, but provided ratio is 2.000000";
    check(ratio.clone(), cpu("100m", "200m"), &[text]);
    let text = "cpu max limit to request ratio per Container is 1500m, but no request is specified or request is 0";
    check(ratio.clone(), one(json!({"limits": {"cpu": "1"}})), &[text]);
    let text = "cpu max limit to request ratio per Container is 1500m, but no limit is specified or limit is 0";
    check(ratio, one(json!({"requests": {"cpu": "1"}})), &[text]);
}

#[test]
fn pods_as_a_whole_count_init_containers_sidecars_and_their_own_resources() {
    let most = json!({"type": "Pod", "max": {"cpu": "2"}});
    let sized = |cpu: &str| json!({"limits": {"cpu": cpu}, "requests": {"cpu": cpu}});
    let check = |spec: Value, limit: Option<&str>| {
        let expected: Vec<String> =
            limit.map(|limit| format!("maximum cpu usage per Pod is 2, but limit is {limit}")).into_iter().collect();
        assert_eq!(pod_problems(&range(most.clone()), &pod(spec)), expected);
    };
    let containers = json!([container(sized("1")), container(sized("900m"))]);
    check(json!({"containers": containers}), None);
    check(json!({"containers": containers, "initContainers": [container(sized("2"))]}), None);
    check(json!({"containers": containers, "initContainers": [container(sized("3"))]}), Some("3"));
    let sidecar = json!({"name": "s", "restartPolicy": "Always", "resources": sized("600m")});
    check(json!({"containers": containers, "initContainers": [sidecar]}), Some("2500m"));
    check(json!({"containers": [{"name": "c"}], "resources": sized("4")}), Some("4"));
}

#[test]
fn claims_are_measured_by_their_request() {
    let range = range(json!({"type": "PersistentVolumeClaim", "min": {"storage": "1Gi"}, "max": {"storage": "5Gi"}}));
    let check = |request: &str, expected: &[&str]| {
        let claim = json!({"spec": {"resources": {"requests": {"storage": request}}}});
        assert_eq!(claim_problems(&range, &serde_json::from_value(claim).unwrap()), expected);
    };
    check("2Gi", &[]);
    check("500Mi", &["minimum storage usage per PersistentVolumeClaim is 1Gi, but request is 500Mi"]);
    check("6Gi", &["maximum storage usage per PersistentVolumeClaim is 5Gi, but request is 6Gi"]);
}

#[test]
fn several_problems_stand_in_brackets_and_each_once() {
    let text = |problems: &[&str]| aggregate(problems.iter().map(ToString::to_string).collect());
    assert_eq!(text(&["a"]), "a");
    assert_eq!(text(&["a", "a"]), "a");
    assert_eq!(text(&["a", "b", "a"]), "[a, b]");
}
