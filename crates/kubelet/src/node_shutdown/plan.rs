//! In which order Pods end, and how long each has. Pure.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;

use super::ShutdownConfig;
use crate::pod::{self, Uid};
use crate::pod_status::Phase;

/// Pods that end at the same time.
#[derive(Debug, PartialEq, Eq)]
pub struct Group {
    /// Which, and the seconds each has.
    pub pods: Vec<(Uid, i64)>,
    /// How long they are waited for.
    pub period: Duration,
}

/// Plans the end of all Pods that have not ended: nobody has longer than its group, and a group without Pods takes no
/// time.
pub fn plan(pods: &[Arc<Pod>], config: &ShutdownConfig) -> Vec<Group> {
    let alive = |pod: &&Arc<Pod>| !pod.status.as_ref().is_some_and(|status| Phase::of(status).is_terminal());
    let mut groups: Vec<Group> =
        config.groups().iter().map(|group| Group { pods: Vec::new(), period: group.period }).collect();
    for pod in pods.iter().filter(alive) {
        let above = config.groups().partition_point(|group| group.priority <= pod::priority(pod));
        // Without groups nobody has any time.
        let Some(group) = groups.get_mut(above.saturating_sub(1)) else { break };
        let longest = i64::try_from(group.period.as_secs()).unwrap_or(i64::MAX).max(1);
        group.pods.push((pod::uid(pod), pod::termination_grace_seconds(pod).min(longest)));
    }
    groups.iter_mut().for_each(|group| group.pods.sort());
    groups.retain(|group| !group.pods.is_empty());
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(uid: &str, spec: &str, phase: &str) -> Arc<Pod> {
        let mut pod = crate::testing::pod(spec);
        pod.metadata.uid = Some(uid.to_owned());
        pod.status.get_or_insert_default().phase = Some(phase.to_owned());
        Arc::new(pod)
    }

    #[test]
    fn groups_end_one_after_the_other_and_nobody_has_longer_than_its_group() {
        let ordinary = "{containers: [], terminationGracePeriodSeconds: 300}";
        let short = "{containers: [], terminationGracePeriodSeconds: 5}";
        let critical = "{containers: [], terminationGracePeriodSeconds: 30, priority: 2000000000}";
        let pods = [
            named("c", critical, "Running"),
            named("a", ordinary, "Running"),
            named("b", short, "Pending"),
            named("done", ordinary, "Succeeded"),
        ];
        let groups = plan(&pods, &ShutdownConfig::default());
        let uid = |text: &str| Uid::new(text);
        let expected = [
            Group { pods: vec![(uid("a"), 20), (uid("b"), 5)], period: Duration::from_secs(20) },
            Group { pods: vec![(uid("c"), 10)], period: Duration::from_secs(10) },
        ];
        assert_eq!(groups, expected);
        assert_eq!(plan(&pods[3..], &ShutdownConfig::default()), []);
        assert_eq!(plan(&pods, &ShutdownConfig::by_priority(Vec::new())), []);
    }

    #[test]
    fn a_pod_belongs_to_the_highest_group_that_it_reaches() {
        let group = |priority, seconds| super::super::ShutdownGroup { priority, period: Duration::from_secs(seconds) };
        let config = ShutdownConfig::by_priority(vec![group(1000, 120), group(100_000, 10), group(10, 60)]);
        for (priority, seconds) in
            [(-5, 60), (0, 60), (10, 60), (999, 60), (1000, 120), (99_999, 120), (100_000, 10), (2_000_000_000, 10)]
        {
            let spec = format!("{{containers: [], terminationGracePeriodSeconds: 900, priority: {priority}}}");
            let groups = plan(&[named("a", &spec, "Running")], &config);
            let expected =
                Group { pods: vec![(Uid::new("a"), seconds)], period: Duration::from_secs(seconds.unsigned_abs()) };
            assert_eq!(groups, [expected], "{priority}");
        }
    }
}
