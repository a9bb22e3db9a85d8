//! Which Pods nobody looks after. Pure.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;

use crate::watches::PodFacts;

/// A node that is missing may just be registering: wait this long.
const QUARANTINE: Duration = Duration::from_secs(40);
/// A Pod that was deleted before it got a node is left alone for as long as upstream's collector rests between its
/// rounds: whoever holds it by a finalizer sees it meanwhile as it was.
const REST: Duration = Duration::from_secs(20);

/// What becomes of a Pod.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Somebody looks after it.
    Keep,
    /// Not yet: it has not lasted long enough.
    LookAgain(Duration),
    /// Its node is gone for good.
    Orphaned,
    /// It was deleted before it got a node.
    NeverStarted,
    /// It was deleted, and its node will not say that it ended.
    OutOfService,
}

/// How a Pod's node stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It is there.
    Present,
    /// It is not ready, and somebody says that it is shut down for good.
    OutOfService,
    /// It is missing since.
    Missing(Timestamp),
}

/// Said by people of nodes that are shut down and will not end their Pods.
const OUT_OF_SERVICE: &str = "node.kubernetes.io/out-of-service";

/// How a node that is there stands.
pub fn state_of(node: &Node) -> NodeState {
    let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let conditions = node.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    let is_ready = conditions.iter().any(|condition| condition.type_ == "Ready" && condition.status == "True");
    let is_out = !is_ready && taints.iter().any(|taint| taint.key == OUT_OF_SERVICE);
    if is_out { NodeState::OutOfService } else { NodeState::Present }
}

/// Judges a Pod by how its node stands.
pub fn verdict(pod: &PodFacts, node: NodeState, now: Timestamp) -> Verdict {
    if pod.node.is_empty() {
        return pod.deleted_at.map_or(Verdict::Keep, |since| after(REST, since, now, Verdict::NeverStarted));
    }
    let since = match node {
        NodeState::Missing(since) => since,
        NodeState::OutOfService if pod.deleted_at.is_some() => return Verdict::OutOfService,
        NodeState::OutOfService | NodeState::Present => return Verdict::Keep,
    };
    after(QUARANTINE, since, now, Verdict::Orphaned)
}

/// The verdict once it has lasted long enough.
fn after(enough: Duration, since: Timestamp, now: Timestamp, verdict: Verdict) -> Verdict {
    let lasted = now.duration_since(since).max(SignedDuration::ZERO).unsigned_abs();
    match enough.checked_sub(lasted) {
        Some(left) if !left.is_zero() => Verdict::LookAgain(left),
        _ => verdict,
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
        let leaving = PodFacts { deleted_at: Some(at(1)), ..on_node.clone() };
        let judged = |pod: &PodFacts, node: NodeState| verdict(pod, node, at(100));
        assert_eq!(judged(&on_node, NodeState::Present), Verdict::Keep);
        assert_eq!(judged(&on_node, NodeState::Missing(at(70))), Verdict::LookAgain(Duration::from_secs(10)));
        assert_eq!(judged(&on_node, NodeState::Missing(at(60))), Verdict::Orphaned);
        assert_eq!(judged(&on_node, NodeState::OutOfService), Verdict::Keep);
        assert_eq!(judged(&leaving, NodeState::OutOfService), Verdict::OutOfService);
        assert_eq!(judged(&leaving, NodeState::Present), Verdict::Keep);
        assert_eq!(judged(&waiting, NodeState::Present), Verdict::Keep);
        assert_eq!(judged(&deleted, NodeState::Present), Verdict::NeverStarted);
        let just_deleted = PodFacts { deleted_at: Some(at(95)), ..PodFacts::default() };
        assert_eq!(judged(&just_deleted, NodeState::Present), Verdict::LookAgain(Duration::from_secs(15)));
    }

    #[test]
    fn a_node_is_out_of_service_when_it_is_silent_and_somebody_says_so() {
        let node = |ready: &str, taint: &str| {
            let node = serde_json::json!({"spec": {"taints": [{"key": taint, "effect": "NoExecute"}]},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}});
            state_of(&serde_json::from_value(node).unwrap())
        };
        assert_eq!(node("Unknown", OUT_OF_SERVICE), NodeState::OutOfService);
        assert_eq!(node("True", OUT_OF_SERVICE), NodeState::Present);
        assert_eq!(node("False", "other"), NodeState::Present);
    }

    #[test]
    fn only_the_oldest_beyond_the_limit_go() {
        let pod = |created| Arc::new(PodFacts { created_at: Some(at(created)), ..PodFacts::default() });
        let gone = oldest_beyond(vec![pod(3), pod(1), pod(2), pod(4)], 2);
        assert_eq!(gone.iter().map(|pod| pod.created_at.unwrap().as_second()).collect::<Vec<_>>(), [1, 2]);
        assert!(oldest_beyond(vec![pod(1)], 2).is_empty());
    }
}
