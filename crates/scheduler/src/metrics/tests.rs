use super::*;

#[test]
fn everything_is_told_under_upstreams_names() {
    let metrics = Metrics::default();
    metrics.attempt(Outcome::Scheduled, "default-scheduler", Duration::from_millis(3));
    metrics.attempt(Outcome::Unschedulable, "default-scheduler", Duration::from_millis(1));
    metrics.attempt(Outcome::Unschedulable, "default-scheduler", Duration::from_millis(1));
    metrics.preempting();
    metrics.victims(3);
    metrics.scheduled(1, Duration::from_millis(15));
    metrics.scheduled(40, Duration::from_secs(100));
    metrics.pending(Pending { active: 1, backoff: 2, unschedulable: 3, gated: 4 });
    let mut text = Text::default();
    metrics.write(&mut text);
    let text = text.finish();
    for line in [
        "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"scheduled\"} 1",
        "scheduler_schedule_attempts_total{profile=\"default-scheduler\",result=\"unschedulable\"} 2",
        "scheduler_scheduling_attempt_duration_seconds_bucket{profile=\"default-scheduler\",result=\"scheduled\",le=\"0.004\"} 1",
        "scheduler_preemption_attempts_total 1",
        "scheduler_preemption_victims_bucket{le=\"2\"} 0",
        "scheduler_preemption_victims_bucket{le=\"4\"} 1",
        "scheduler_pending_pods{queue=\"active\"} 1",
        "scheduler_pending_pods{queue=\"gated\"} 4",
        "scheduler_pod_scheduling_sli_duration_seconds_count{attempts=\"1\"} 1",
        "scheduler_pod_scheduling_sli_duration_seconds_count{attempts=\"15+\"} 1",
        "scheduler_pod_scheduling_attempts_count 2",
    ] {
        assert!(text.lines().any(|other| other == line), "{line:?} is missing in\n{text}");
    }
}
