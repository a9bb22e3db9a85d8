use super::*;

fn tally(success_threshold: i32, failure_threshold: i32) -> Tally {
    Tally::new(&Probe {
        success_threshold: Some(success_threshold),
        failure_threshold: Some(failure_threshold),
        ..Probe::default()
    })
}

#[test]
fn an_outcome_settles_after_its_threshold_in_a_row() {
    let mut tally = tally(2, 3);
    let settled: Vec<_> = [true, false, true, true, false, false, true, false, false, false, false]
        .into_iter()
        .map(|success| tally.count(success))
        .collect();
    let (yes, no) = (Some(true), Some(false));
    assert_eq!(settled, [None, None, None, yes, None, None, None, None, None, no, no]);
}

#[test]
fn readiness_and_liveness_wait_for_the_startup_probe() {
    let container = Container {
        startup_probe: Some(Probe::default()),
        readiness_probe: Some(Probe::default()),
        liveness_probe: Some(Probe::default()),
        ..Container::default()
    };
    let kinds = |started| wanted(&container, started).into_iter().map(|(kind, _)| kind).collect::<Vec<_>>();
    assert_eq!(kinds(false), [ProbeKind::Startup]);
    assert_eq!(kinds(true), [ProbeKind::Readiness, ProbeKind::Liveness]);
}

#[test]
fn a_container_with_probes_is_not_ready_before_they_succeed() {
    let container = Container {
        startup_probe: Some(Probe::default()),
        readiness_probe: Some(Probe::default()),
        ..Container::default()
    };
    let mut results = ProbeResults::default();
    assert!(!results.is_started(&container, "1") && !results.is_ready(&container, "1"));
    assert!(results.record("1", ProbeKind::Startup, true));
    assert!(results.is_started(&container, "1") && !results.is_ready(&container, "1"));
    assert!(results.record("1", ProbeKind::Readiness, true));
    assert!(!results.record("1", ProbeKind::Readiness, true));
    assert!(results.is_ready(&container, "1") && !results.is_ready(&container, "2"));
    assert!(results.record("1", ProbeKind::Liveness, false));
    assert_eq!(results.failure("1"), Some(ProbeFailure::Liveness));
}

#[test]
fn what_an_earlier_kubelet_found_stays_true() {
    let mut pod = crate::testing::pod(
        "containers: [{name: app, image: nginx, startupProbe: {}, readinessProbe: {}}, {name: new, image: nginx}]",
    );
    pod.status = serde_json::from_value(serde_json::json!({ "containerStatuses": [
        { "name": "app", "containerID": "isopod://app-0", "started": true, "ready": true },
        { "name": "new", "containerID": "isopod://new-0", "started": true, "ready": true },
    ]}))
    .ok();
    let running = |name: &str, attempt| crate::testing::instance(&pod, name, attempt, crate::testing::running());
    let observed = ObservedPod { containers: vec![running("app", 0), running("new", 1)], ..ObservedPod::default() };
    let mut results = ProbeResults::default();
    results.adopt(&pod, &observed);
    assert!(results.is_ready(&pod::containers(&pod)[0], "app-0"));
    assert!(results.is_adopted("app-0") && !results.is_adopted("new-0") && !results.is_adopted("new-1"));
}
