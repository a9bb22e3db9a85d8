//! Which Pods nobody looks after. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::watches::PodFacts;

/// A node that is missing may just be registering: wait this long.
const QUARANTINE: Duration = Duration::from_secs(40);

/// What becomes of a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody looks after it.
    Keep,
    /// Its node is missing, but not for long enough.
    LookAgain(Duration),
    /// Its node is gone for good.
    Orphaned,
    /// It was deleted before it got a node.
    NeverStarted,
}

/// Judges a Pod whose node is missing since `missing_since`, if it is.
pub fn verdict(pod: &PodFacts, missing_since: Option<Timestamp>, now: Timestamp) -> Verdict {
    if pod.node.is_empty() {
        return if pod.deleted_at.is_some() { Verdict::NeverStarted } else { Verdict::Keep };
    }
    let Some(since) = missing_since else { return Verdict::Keep };
    let missing_for = now.duration_since(since).max(SignedDuration::ZERO).unsigned_abs();
    match QUARANTINE.checked_sub(missing_for) {
        Some(left) if !left.is_zero() => Verdict::LookAgain(left),
        _ => Verdict::Orphaned,
    }
}

/// The oldest Pods beyond the limit.
pub fn oldest_beyond(mut pods: Vec<Arc<PodFacts>>, limit: usize) -> Vec<Arc<PodFacts>> {
    let excess = pods.len().saturating_sub(limit);
    pods.sort_by(|a, b| (a.created_at, &a.key).cmp(&(b.created_at, &b.key)));
    pods.truncate(excess);
    pods
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    #[test]
    fn pods_of_missing_nodes_and_of_none_are_collected() {
        let on_node = PodFacts { node: "n".into(), ..PodFacts::default() };
        let waiting = PodFacts::default();
        let deleted = PodFacts { deleted_at: Some(at(1)), ..PodFacts::default() };
        assert_eq!(verdict(&on_node, None, at(100)), Verdict::Keep);
        assert_eq!(verdict(&on_node, Some(at(70)), at(100)), Verdict::LookAgain(Duration::from_secs(10)));
        assert_eq!(verdict(&on_node, Some(at(60)), at(100)), Verdict::Orphaned);
        assert_eq!(verdict(&waiting, None, at(100)), Verdict::Keep);
        assert_eq!(verdict(&deleted, None, at(100)), Verdict::NeverStarted);
    }

    #[test]
    fn only_the_oldest_beyond_the_limit_go() {
        let pod = |created| Arc::new(PodFacts { created_at: Some(at(created)), ..PodFacts::default() });
        let gone = oldest_beyond(vec![pod(3), pod(1), pod(2), pod(4)], 2);
        assert_eq!(gone.iter().map(|pod| pod.created_at.unwrap().as_second()).collect::<Vec<_>>(), [1, 2]);
        assert!(oldest_beyond(vec![pod(1)], 2).is_empty());
    }
}
