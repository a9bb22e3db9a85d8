use serde_json::{Value, json};

use super::*;

fn job(spec: Value) -> Job {
    let mut base = json!({
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}},
    });
    for (field, value) in spec.as_object().unwrap() {
        base[field] = value.clone();
    }
    let metadata = json!({"name": "j", "namespace": "n", "uid": "u", "resourceVersion": "1"});
    let mut job: Job = serde_json::from_value(json!({"metadata": metadata, "spec": base})).unwrap();
    job.set_defaults();
    generate_selector(&mut job);
    inherit_labels(&mut job);
    job
}

fn problems(errors: &ErrorList) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[test]
fn a_job_selects_its_own_pods() {
    let job = job(json!({}));
    let spec = job.spec.as_ref().unwrap();
    let selector = spec.selector.as_ref().unwrap().match_labels.as_ref().unwrap();
    assert_eq!(selector[CONTROLLER_UID_LABEL], "u");
    let labels = template::labels_of(&spec.template).unwrap();
    assert_eq!(labels.values().map(String::as_str).collect::<Vec<_>>(), ["u", "j", "u", "j"]);
    assert_eq!(job.metadata.labels.as_ref(), Some(labels));
    assert_eq!(problems(&Kind::validate(&job)), [""; 0]);
}

#[test]
fn selectors_of_others_are_refused() {
    let labelled = job(json!({"template": {"metadata": {"labels": {"job-name": "other"}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}));
    assert_eq!(Kind::validate(&labelled).len(), 2);
    let selecting = job(json!({"selector": {"matchLabels": {"a": "b"}}}));
    assert_eq!(Kind::validate(&selecting).len(), 2);
    let manual = job(json!({"manualSelector": true}));
    assert_eq!(Kind::validate(&manual).len(), 2);
}

#[test]
fn defaults_depend_on_the_limit_per_index() {
    let plain = job(json!({})).spec.unwrap();
    assert_eq!((plain.completions, plain.parallelism, plain.backoff_limit), (Some(1), Some(1), Some(6)));
    let queue = job(json!({"parallelism": 2})).spec.unwrap();
    assert_eq!((queue.completions, queue.parallelism), (None, Some(2)));
    let indexed = json!({"completionMode": "Indexed", "completions": 2, "backoffLimitPerIndex": 1});
    assert_eq!(job(indexed).spec.unwrap().backoff_limit, Some(i32::MAX));
}

#[test]
fn problems_are_worded_as_upstream_words_them() {
    let exit_codes = |values: Value| {
        json!({"podFailurePolicy": {"rules": [
            {"action": "FailJob", "onExitCodes": {"operator": "In", "values": values}}]}})
    };
    for (spec, expected) in [
        (
            json!({"backoffLimitPerIndex": 1}),
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
        ),
        (
            exit_codes(json!([3, 1])),
            "spec.podFailurePolicy.rules[0].onExitCodes.values: Invalid value: [3,1]: must be ordered",
        ),
        (
            exit_codes(json!([0])),
            "spec.podFailurePolicy.rules[0].onExitCodes.values[0]: Invalid value: 0: must not be 0 for the In operator",
        ),
        (
            json!({"podFailurePolicy": {"rules": [{"action": "Count"}]}}),
            "spec.podFailurePolicy.rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
        ),
        (
            json!({"successPolicy": {"rules": [{"succeededCount": 1}]}}),
            "spec.successPolicy: Invalid value: {\"Rules\":[{\"SucceededIndexes\":null,\"SucceededCount\":1}]}: \
             requires indexed completion mode",
        ),
        (
            json!({"completionMode": "Indexed", "completions": 2, "successPolicy": {"rules": [{"succeededIndexes": "2"}]}}),
            "spec.successPolicy.rules[0].succeededIndexes: Invalid value: \"2\": error parsing succeededIndexes: too large \
             index: \"2\"",
        ),
        (
            json!({"managedBy": "x"}),
            "spec.managedBy: Invalid value: \"x\": must be a domain-prefixed path (such as \"acme.io/foo\")",
        ),
    ] {
        assert_eq!(problems(&Kind::validate(&job(spec.clone()))), [expected], "{spec}");
    }
}

#[test]
fn a_started_job_keeps_its_template_and_a_suspended_one_may_move() {
    let moved =
        json!({"restartPolicy": "Never", "nodeSelector": {"a": "b"}, "containers": [{"name": "c", "image": "i"}]});
    let with = |suspend: bool, moved: Option<&Value>| {
        let mut job = job(json!({"suspend": suspend}));
        if let Some(spec) = moved {
            job.spec.as_mut().unwrap().template.spec = serde_json::from_value(spec.clone()).unwrap();
            job.set_defaults();
        }
        job
    };
    assert_eq!(problems(&Kind::validate_update(&with(true, Some(&moved)), &with(true, None))), [""; 0]);
    assert_eq!(Kind::validate_update(&with(false, Some(&moved)), &with(false, None)).len(), 1);
}

#[test]
fn a_status_goes_forward_only() {
    let with = |status: Value| {
        let mut job = job(json!({}));
        job.status = serde_json::from_value(status).unwrap();
        job
    };
    let condition = |kind: &str| json!({"type": kind, "status": "True"});
    let (start, end) = ("2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z");
    let running = with(json!({"active": 1, "startTime": start}));
    let met = json!({"startTime": start, "completionTime": end, "succeeded": 1,
        "conditions": [condition("SuccessCriteriaMet"), condition("Complete")]});
    assert_eq!(problems(&Kind::validate_status_update(&with(met.clone()), &running)), [""; 0]);
    let bare = with(json!({"startTime": start, "conditions": [condition("Complete")]}));
    assert_eq!(
        problems(&Kind::validate_status_update(&bare, &running)),
        [
            "status.completionTime: Required value: completionTime is required for Complete jobs",
            "status.conditions: Invalid value: cannot set Complete=True condition without the SuccessCriteriaMet=true condition",
        ]
    );
    let back = Kind::validate_status_update(&running, &with(met));
    assert!(
        problems(&back)
            .contains(&"status.succeeded: Invalid value: 0: cannot decrease the succeeded counter".to_owned())
    );
}
