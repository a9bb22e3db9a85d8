use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::{HorizontalPodAutoscaler, HorizontalPodAutoscalerSpec};
use k8s_openapi::api::core::v1::Pod;
use serde_json::{Value, json};

use super::Autoscaling;
use super::pace::Memory;
use super::plan::{Observed, Plan, plan, rescaled};
use super::usage::{Measure, PodMetrics, Seen, Target, Tolerance, propose};

const CPU: Measure<'static> = Measure { resource: "cpu", container: None };
const TENTH: Tolerance = Tolerance { down: 0.1, up: 0.1 };

/// Upstream's window for those without rules.
const WINDOW: Duration = Duration::from_mins(5);

fn now() -> Timestamp {
    "2026-01-01T12:00:00Z".parse().unwrap()
}

fn later(seconds: i64) -> Timestamp {
    now() + SignedDuration::from_secs(seconds)
}

/// A Pod that requests a whole CPU, by words: `unready` (never was), `young` (ready before it was measured), `pending`,
/// `failed`, `leaving`, `greedy` (requests nothing).
fn pod(number: usize, words: &str) -> Pod {
    let is = |word: &str| words.split(' ').any(|one| one == word);
    let start = if is("young") { "2026-01-01T11:59:00Z" } else { "2026-01-01T10:00:00Z" };
    let (status, since) = match () {
        () if is("unready") => ("False", "2026-01-01T10:00:01Z"),
        () if is("young") => ("True", "2026-01-01T11:59:59Z"),
        () => ("True", "2026-01-01T10:00:05Z"),
    };
    let requests = if is("greedy") { json!({}) } else { json!({"cpu": "1", "memory": "1k"}) };
    let phase = if is("pending") {
        "Pending"
    } else if is("failed") {
        "Failed"
    } else {
        "Running"
    };
    serde_json::from_value(json!({
        "metadata": {"name": format!("p{number}"), "deletionTimestamp": is("leaving").then_some("2026-01-01T12:00:00Z")},
        "spec": {"containers": [{"name": "c", "resources": {"requests": requests}}]},
        "status": {"phase": phase, "startTime": start,
                   "conditions": [{"type": "Ready", "status": status, "lastTransitionTime": since}]},
    }))
    .unwrap()
}

/// What Pods use, in thousandths of a CPU; nothing is known of those below zero.
fn metrics(used: &[i64]) -> Vec<PodMetrics> {
    let one = |(number, used): (usize, &i64)| {
        let metrics = json!({
            "metadata": {"name": format!("p{number}")}, "timestamp": "2026-01-01T11:59:50Z", "window": "15s",
            "containers": [{"name": "c", "usage": {"cpu": format!("{used}m"), "memory": "500"}}],
        });
        (*used >= 0).then(|| serde_json::from_value(metrics).unwrap())
    };
    used.iter().enumerate().filter_map(one).collect()
}

fn proposed(target: Target, pods: &[&str], used: &[i64]) -> Result<i32, String> {
    let count = i32::try_from(pods.len()).unwrap();
    let pods: Vec<_> = pods.iter().enumerate().map(|(number, words)| pod(number, words)).collect();
    let (metrics, defaults) = (metrics(used), Autoscaling::default());
    let seen = Seen { pods: &pods, metrics: &metrics, defaults: &defaults, now: now() };
    propose(count, CPU, target, TENTH, seen).map(|proposal| proposal.replicas)
}

#[test]
fn use_is_compared_with_requests() {
    let cases: &[(i32, &[&str], &[i64], i32)] = &[
        (30, &["", "", ""], &[300, 500, 700], 5),
        (50, &["", "", ""], &[300, 500, 700], 3),
        (50, &["", "", ""], &[540, 540, 540], 3),
        (50, &["", "", ""], &[560, 560, 560], 4),
        (50, &["", "", ""], &[100, 300, 500], 2),
        // Those that are not ready count as using nothing when there are to be more, and not at all otherwise.
        (30, &["", "", "unready"], &[300, 500, 700], 3),
        (30, &["", "", "young"], &[600, 600, 700], 4),
        (50, &["", "", "pending"], &[100, 100, -1], 1),
        // Of those nothing is known of, the worst is assumed.
        (50, &["", "", ""], &[100, 400, -1], 3),
        (30, &["", "", ""], &[600, 600, -1], 4),
        (30, &["", "", "failed"], &[600, 600, 600], 4),
        (30, &["", "", "leaving"], &[600, 600, 600], 4),
    ];
    for (percent, pods, used, expected) in cases {
        assert_eq!(proposed(Target::Utilization(*percent), pods, used), Ok(*expected), "{percent} {pods:?} {used:?}");
    }
}

#[test]
fn use_is_compared_with_an_amount() {
    let cases: &[(i64, &[i64], i32)] =
        &[(250, &[300, 500, 700], 6), (500, &[480, 490, 530], 3), (500, &[100, 200, -1], 2), (100, &[200, -1], 2)];
    for (target, used, expected) in cases {
        let pods = vec![""; used.len()];
        assert_eq!(proposed(Target::Average(*target), &pods, used), Ok(*expected), "{target} {used:?}");
    }
}

#[test]
fn what_cannot_be_said_is_told() {
    let half = Target::Utilization(50);
    let cases: &[(&[&str], &[i64], &str)] = &[
        (&[""], &[-1], "unable to get metrics for resource cpu: no metrics returned from resource metrics API"),
        (&[], &[100], "no pods returned by selector while calculating replica count"),
        (&["unready"], &[100], "did not receive metrics for targeted pods (pods might be unready)"),
        (&["greedy"], &[100], "missing request for cpu in container c of Pod p0"),
    ];
    for (pods, used, expected) in cases {
        assert_eq!(proposed(half, pods, used), Err((*expected).to_owned()));
    }
    let other = Measure { resource: "cpu", container: Some("other") };
    let (pods, metrics, defaults) = ([pod(0, "")], metrics(&[100]), Autoscaling::default());
    let seen = Seen { pods: &pods, metrics: &metrics, defaults: &defaults, now: now() };
    let problem = propose(1, other, half, TENTH, seen).unwrap_err();
    assert!(problem.ends_with("container other not present in metrics for pod /p0"), "{problem}");
}

#[test]
fn one_container_is_looked_at_and_pods_may_request_as_a_whole() {
    let defaults = Autoscaling::default();
    let change = json!({"spec": {"resources": {"requests": {"cpu": "200m"}}}});
    let mut whole = serde_json::to_value(pod(0, "")).unwrap();
    testkit::fake_api::merge(&mut whole, change);
    let (pods, metrics) = ([serde_json::from_value(whole).unwrap()], metrics(&[100]));
    let seen = Seen { pods: &pods, metrics: &metrics, defaults: &defaults, now: now() };
    let own = Measure { resource: "cpu", container: Some("c") };
    let utilization =
        |measure| propose(1, measure, Target::Utilization(50), TENTH, seen).map(|found| found.utilization);
    assert_eq!(utilization(CPU), Ok(Some(50)));
    assert_eq!(utilization(own), Ok(Some(50)));
}

fn spec(behavior: Value) -> HorizontalPodAutoscalerSpec {
    serde_json::from_value(json!({
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "minReplicas": 2, "maxReplicas": 20, "behavior": behavior,
        "metrics": [{"type": "Resource",
                     "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}],
    }))
    .unwrap()
}

#[test]
fn without_rules_the_number_doubles_at_most_and_waits_before_it_falls() {
    let (spec, mut memory) = (spec(Value::Null), Memory::default());
    let mut step = |seconds: i64, current: i32, wanted: i32| {
        let paced = memory.pace(&spec, WINDOW, current, wanted, later(seconds));
        (paced.replicas, paced.able.1, paced.limited.1)
    };
    assert_eq!(step(0, 3, 30), (6, "ReadyForNewScale", "ScaleUpLimit"));
    assert_eq!(step(15, 15, 30), (20, "ReadyForNewScale", "TooManyReplicas"));
    assert_eq!(step(30, 20, 5), (20, "ScaleDownStabilized", "TooManyReplicas"));
    assert_eq!(step(320, 20, 1), (5, "ScaleDownStabilized", "DesiredWithinRange"));
    // Up again, to what was wanted shortly before.
    assert_eq!(step(325, 3, 4), (5, "ScaleDownStabilized", "DesiredWithinRange"));
    assert_eq!(step(640, 5, 1), (2, "ReadyForNewScale", "TooFewReplicas"));
}

#[test]
fn rules_bound_every_step() {
    let up = |select: &str| {
        spec(json!({
            "scaleUp": {"stabilizationWindowSeconds": 0, "selectPolicy": select, "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 60}, {"type": "Percent", "value": 50, "periodSeconds": 60}]},
            "scaleDown": {"stabilizationWindowSeconds": 0, "selectPolicy": select, "policies": [
                {"type": "Pods", "value": 4, "periodSeconds": 60}, {"type": "Percent", "value": 50, "periodSeconds": 60}]},
        }))
    };
    let first = |select: &str, current: i32, wanted: i32| {
        Memory::default().pace(&up(select), WINDOW, current, wanted, now()).replicas
    };
    assert_eq!((first("Max", 10, 20), first("Min", 10, 20), first("Disabled", 10, 20)), (15, 14, 10));
    assert_eq!((first("Max", 10, 2), first("Min", 10, 2), first("Disabled", 10, 2)), (5, 6, 10));
    let mut memory = Memory::default();
    memory.scaled(10, 15, now());
    assert_eq!(memory.pace(&up("Max"), WINDOW, 15, 20, later(30)).replicas, 15, "nothing more within the period");
    memory.scaled(15, 12, later(35));
    assert_eq!(memory.pace(&up("Max"), WINDOW, 12, 20, later(40)).replicas, 15, "what went may come back");
    assert_eq!(memory.pace(&up("Max"), WINDOW, 15, 20, later(96)).replicas, 20);
    let steady = spec(json!({"scaleUp": {"stabilizationWindowSeconds": 60, "selectPolicy": "Max",
        "policies": [{"type": "Pods", "value": 9, "periodSeconds": 15}]}}));
    let mut memory = Memory::default();
    memory.begin(3, now());
    let paced = memory.pace(&steady, WINDOW, 3, 8, later(30));
    assert_eq!((paced.replicas, paced.able.1), (3, "ScaleUpStabilized"));
    assert_eq!(memory.pace(&steady, WINDOW, 3, 8, later(61)).replicas, 8);
}

fn autoscaler(change: Value) -> HorizontalPodAutoscaler {
    let mut object = json!({"metadata": {"name": "web"}, "spec": spec(Value::Null)});
    testkit::fake_api::merge(&mut object["spec"], change);
    serde_json::from_value(object).unwrap()
}

fn observed(replicas: i32, used: &[i64]) -> Observed {
    let scale = json!({"metadata": {"name": "web"}, "spec": {"replicas": replicas},
                       "status": {"replicas": replicas, "selector": "app=web"}});
    let pods = (0..used.len()).map(|number| pod(number, "")).collect();
    Observed { scale: serde_json::from_value(scale).unwrap(), pods, metrics: Ok(metrics(used)), rivals: Vec::new() }
}

fn conditions(plan: &Plan) -> Vec<String> {
    let all = plan.status.conditions.iter().flatten();
    all.map(|one| format!("{}={} {}", one.type_, one.status, one.reason.clone().unwrap_or_default())).collect()
}

#[test]
fn the_target_follows_its_metrics_and_the_status_tells() {
    let seen = observed(2, &[1000, 1000]);
    let mut memory = Memory::default();
    let mut found = plan(&autoscaler(json!({})), Ok(&seen), &Autoscaling::default(), &mut memory, now());
    assert_eq!(found.rescale, Some(4));
    assert_eq!(
        conditions(&found),
        [
            "AbleToScale=True ReadyForNewScale",
            "ScalingActive=True ValidMetricFound",
            "ScalingLimited=False DesiredWithinRange"
        ]
    );
    let metric = serde_json::to_value(&found.status.current_metrics).unwrap();
    assert_eq!(
        metric[0]["resource"],
        json!({"name": "cpu", "current": {"averageUtilization": 100, "averageValue": "1"}})
    );
    rescaled(&mut found, &seen, Ok(()), &mut memory, now());
    assert_eq!(found.events[0].2, "New size: 4; reason: cpu resource utilization (percentage of request) above target");
    assert_eq!(conditions(&found)[0], "AbleToScale=True SucceededRescale");
    assert_eq!((found.status.desired_replicas, found.status.last_scale_time.is_some()), (4, true));
}

#[test]
fn bounds_and_problems_come_first() {
    let step = |change: Value, seen: Result<&Observed, &str>| {
        let found = plan(&autoscaler(change), seen, &Autoscaling::default(), &mut Memory::default(), now());
        let reasons: Vec<_> = found.events.iter().map(|event| event.1).collect();
        (found.rescale, conditions(&found).pop().unwrap(), reasons.join(" "))
    };
    let told = |text: &str| text.to_owned();
    let above = step(json!({}), Ok(&observed(30, &[])));
    assert_eq!((above.0, above.1), (Some(20), told("AbleToScale=True SucceededGetScale")));
    assert_eq!(step(json!({}), Ok(&observed(1, &[]))).0, Some(2));
    assert_eq!(step(json!({}), Ok(&observed(0, &[]))).1, "ScalingActive=False ScalingDisabled");
    assert_eq!(step(json!({}), Err("gone")), (None, told("AbleToScale=False FailedGetScale"), told("FailedGetScale")));
    let unknown = step(json!({}), Ok(&observed(3, &[-1])));
    assert_eq!(unknown.1, "ScalingActive=False FailedGetResourceMetric");
    assert_eq!(unknown.2, "FailedGetResourceMetric FailedComputeMetricsReplicas");
    let custom = json!({"metrics": [{"type": "External", "external": {"metric": {"name": "m"},
        "target": {"type": "Value", "value": "1"}}}]});
    assert_eq!(step(custom, Ok(&observed(3, &[100]))).1, "ScalingActive=False FailedGetExternalMetric");
    let mut headless = observed(3, &[100]);
    headless.scale.status = None;
    assert_eq!(step(json!({}), Ok(&headless)).1, "ScalingActive=False InvalidSelector");
    let mut shared = observed(3, &[100]);
    shared.rivals = vec![client::ObjectKey { namespace: "ns".into(), name: "other".into() }];
    assert_eq!(step(json!({}), Ok(&shared)).1, "ScalingActive=False AmbiguousSelector");
}

#[test]
fn a_metric_that_says_nothing_keeps_its_place_and_holds_back_only_what_goes_down() {
    let metrics = json!({"metrics": [
        {"type": "Resource", "resource": {"name": "disk", "target": {"type": "AverageValue", "averageValue": "1"}}},
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}},
    ]});
    let step = |used: &[i64]| {
        let seen = observed(3, used);
        plan(&autoscaler(metrics.clone()), Ok(&seen), &Autoscaling::default(), &mut Memory::default(), now())
    };
    let up = step(&[1000, 1000, 1000]);
    assert_eq!(up.rescale, Some(6));
    let kinds: Vec<_> = up.status.current_metrics.iter().flatten().map(|status| status.type_.as_str()).collect();
    assert_eq!(kinds, ["", "Resource"]);
    let down = step(&[10, 10, 10]);
    assert_eq!((down.rescale, down.events.len()), (None, 2));
    assert_eq!(
        down.events[1].2,
        "invalid metrics (1 invalid out of 2), first error is: failed to get disk resource metric value: failed to \
         get disk utilization: did not receive metrics for targeted pods (pods might be unready)"
    );
}
