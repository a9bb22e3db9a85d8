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

/// Plans the end of all Pods that have not ended: the critical ones come last, and nobody has longer than its group.
pub fn plan(pods: &[Arc<Pod>], config: &ShutdownConfig) -> Vec<Group> {
    let alive = |pod: &&Arc<Pod>| !pod.status.as_ref().is_some_and(|status| Phase::of(status).is_terminal());
    let (critical, ordinary): (Vec<_>, Vec<_>) = pods.iter().filter(alive).partition(|pod| pod::is_critical(pod));
    let ordinary_period = config.grace_period.saturating_sub(config.critical_grace_period);
    let group = |pods: Vec<&Arc<Pod>>, period: Duration| {
        let longest = i64::try_from(period.as_secs()).unwrap_or(i64::MAX).max(1);
        let mut pods: Vec<_> =
            pods.into_iter().map(|pod| (pod::uid(pod), pod::termination_grace_seconds(pod).min(longest))).collect();
        pods.sort();
        Group { pods, period }
    };
    let groups = [group(ordinary, ordinary_period), group(critical, config.critical_grace_period)];
    groups.into_iter().filter(|group| !group.pods.is_empty()).collect()
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
    fn critical_pods_end_last_and_nobody_has_longer_than_its_group() {
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
    }
}
