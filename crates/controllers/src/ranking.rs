//! Which Pods go first when there are too many. Pure.

use std::cmp::{Ordering, Reverse};
use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::pod_facts::PodFacts;

/// The `count` Pods that are missed least; `per_node` tells how many related ones run on each node.
pub fn first_to_go(
    active: &[Arc<PodFacts>],
    per_node: &HashMap<String, usize>,
    count: usize,
    now: Timestamp,
) -> Vec<Arc<PodFacts>> {
    let mut pods = active.to_vec();
    if count < pods.len() {
        pods.sort_by(|a, b| compare(a, b, per_node, now));
    }
    pods.truncate(count);
    pods
}

/// Less means: goes earlier.
fn compare(a: &PodFacts, b: &PodFacts, per_node: &HashMap<String, usize>, now: Timestamp) -> Ordering {
    let crowd = |pod: &PodFacts| Reverse(per_node.get(&pod.node).copied().unwrap_or(0));
    let restarts = |pod: &PodFacts| {
        let (regular, sidecars) = pod.most_restarts();
        (Reverse(regular), Reverse(sidecars))
    };
    let first = (!a.node.is_empty())
        .cmp(&!b.node.is_empty())
        .then_with(|| phase(a).cmp(&phase(b)))
        .then_with(|| a.ready.cmp(&b.ready))
        .then_with(|| a.deletion_cost().cmp(&b.deletion_cost()))
        .then_with(|| crowd(a).cmp(&crowd(b)));
    let ready_since = |pod: &PodFacts| pod.ready_since.filter(|_| pod.ready);
    first
        .then_with(|| by_age(a, b, ready_since(a), ready_since(b), now))
        .then_with(|| restarts(a).cmp(&restarts(b)))
        .then_with(|| by_age(a, b, a.created_at, b.created_at, now))
}

fn phase(pod: &PodFacts) -> u8 {
    match pod.phase.as_str() {
        "Pending" | "" => 0,
        "Unknown" => 1,
        _ => 2,
    }
}

/// The younger first, but ages of one order of magnitude count as equal: among those, chance (the uid) decides, so that
/// scaling down again and again does not always hit the newest generation.
fn by_age(
    a: &PodFacts,
    b: &PodFacts,
    since_a: Option<Timestamp>,
    since_b: Option<Timestamp>,
    now: Timestamp,
) -> Ordering {
    match (since_a, since_b) {
        (since_a, since_b) if since_a == since_b => Ordering::Equal,
        (None, _) => Ordering::Less,
        (_, None) => Ordering::Greater,
        (Some(since_a), Some(since_b)) => {
            magnitude(since_a, now).cmp(&magnitude(since_b, now)).then_with(|| a.uid.cmp(&b.uid))
        }
    }
}

/// The binary logarithm of an age in nanoseconds; -1 when there is none.
fn magnitude(since: Timestamp, now: Timestamp) -> i64 {
    let age = now.duration_since(since).as_nanos();
    u128::try_from(age).ok().filter(|age| *age > 0).map_or(-1, |age| i64::from(age.ilog2()))
}
