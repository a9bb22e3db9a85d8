use serde_json::json;

use super::*;
use crate::fixtures::pod;

struct Bench {
    queue: Queue,
    start: Instant,
}

impl Bench {
    fn with(pods: &[(&str, i32)]) -> Self {
        let mut bench = Self { queue: Queue::default(), start: Instant::now() };
        for (name, priority) in pods {
            bench.queue.set(pod(name, json!({ "containers": [], "priority": priority })), bench.start);
        }
        bench
    }

    fn at(&self, millis: u64) -> Instant {
        self.start + Duration::from_millis(millis)
    }

    fn pop(&mut self, millis: u64) -> Option<String> {
        let now = self.at(millis);
        self.queue.pop(now).map(|pod| pod.uid.to_string())
    }

    /// Pops and parks the only Pod.
    fn fail(&mut self, millis: u64) {
        let uid = self.pop(millis).expect("a Pod");
        self.queue.park(&uid, PluginSet::default(), self.at(millis));
    }
}

#[test]
fn higher_priority_first_then_first_come_first_served() {
    let mut bench = Bench::with(&[("a", 0), ("b", 10), ("c", 0), ("d", 10)]);
    let order: Vec<_> = std::iter::from_fn(|| bench.pop(0)).collect();
    assert_eq!(order, ["b", "d", "a", "c"]);
}

#[test]
fn a_parked_pod_waits_for_something_that_could_help() {
    let mut bench = Bench::with(&[("a", 0)]);
    bench.fail(0);
    assert_eq!(bench.pop(60_000), None);
    bench.queue.wake_if(bench.at(60_000), |_, _| false);
    assert_eq!(bench.pop(60_000), None);
    bench.queue.wake_if(bench.at(60_000), |pod, _| &*pod.uid == "a");
    assert_eq!(bench.pop(60_000).as_deref(), Some("a"));
}

#[test]
fn a_woken_pod_is_handed_out_before_its_back_off_ends_when_nothing_else_is_to_do() {
    let mut bench = Bench::with(&[("a", 0)]);
    bench.fail(0);
    bench.queue.wake_if(bench.at(3), |_, _| true);
    bench.queue.set(pod("b", json!({ "containers": [] })), bench.at(3));
    assert_eq!(bench.queue.next_deadline(), Some(bench.at(1000)));
    assert_eq!(bench.pop(3).as_deref(), Some("b"), "the back-off lets others go first");
    assert_eq!(bench.pop(3).as_deref(), Some("a"));
}

#[test]
fn an_api_error_waits_out_its_growing_back_off() {
    let mut bench = Bench::with(&[("a", 0)]);
    let mut now = 0;
    for delay in [1000, 2000, 4000, 8000, 10_000, 10_000] {
        assert_eq!(bench.pop(now).as_deref(), Some("a"));
        bench.queue.retry("a", bench.at(now));
        assert_eq!(bench.queue.next_deadline(), Some(bench.at(now + delay)));
        assert_eq!(bench.pop(now + delay - 1), None);
        now += delay;
    }
}

#[test]
fn after_five_minutes_a_pod_is_tried_again_anyway() {
    let mut bench = Bench::with(&[("a", 0)]);
    bench.fail(0);
    assert_eq!(bench.queue.next_deadline(), Some(bench.at(300_000)));
    assert_eq!(bench.pop(299_999), None);
    assert_eq!(bench.pop(300_000).as_deref(), Some("a"));
}

#[test]
fn a_pod_is_tried_again_when_it_changes_but_not_when_its_status_does() {
    let mut bench = Bench::with(&[("a", 0)]);
    bench.fail(0);
    let same = pod("a", json!({ "containers": [], "priority": 0 }));
    bench.queue.set(same, bench.at(10_000));
    assert_eq!(bench.pop(10_000), None);
    let changed = pod("a", json!({ "containers": [], "tolerations": [{ "operator": "Exists" }] }));
    bench.queue.set(changed, bench.at(10_000));
    assert_eq!(bench.pop(10_000).as_deref(), Some("a"));
}

#[test]
fn gated_pods_wait_for_their_gates() {
    let mut bench = Bench::with(&[]);
    let gated = pod("a", json!({ "containers": [], "schedulingGates": [{ "name": "g" }] }));
    bench.queue.set(gated, bench.at(0));
    bench.queue.wake_if(bench.at(1), |_, _| true);
    assert_eq!(bench.pop(1), None);
    bench.queue.set(pod("a", json!({ "containers": [] })), bench.at(2));
    assert_eq!(bench.pop(2).as_deref(), Some("a"));
}

#[test]
fn a_removed_pod_is_in_no_place() {
    let mut bench = Bench::with(&[("a", 0), ("b", 0), ("c", 0)]);
    bench.fail(0);
    let second = bench.pop(0).expect("b");
    bench.queue.retry(&second, bench.at(0));
    for name in ["a", "b", "c"] {
        bench.queue.remove(name);
    }
    assert_eq!((bench.queue.next_deadline(), bench.pop(400_000)), (None, None));
    bench.queue.park("a", PluginSet::default(), bench.at(0));
    assert_eq!(bench.queue.next_deadline(), None, "a late outcome of a removed Pod changes nothing");
}
