//! What a node's state and silence lead to. Pure.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, NodeCondition, Taint};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use api::core::v1::taints::{NO_EXECUTE, NO_SCHEDULE};

use super::disruption::Evictions;

const NOT_READY: &str = "node.kubernetes.io/not-ready";
const UNREACHABLE: &str = "node.kubernetes.io/unreachable";
const UNSCHEDULABLE: &str = "node.kubernetes.io/unschedulable";

/// Conditions a kubelet reports; all become unknown with it.
const REPORTED: [&str; 4] = ["Ready", "MemoryPressure", "DiskPressure", "PIDPressure"];

/// Which condition in which status keeps new Pods away.
const TAINTED_BY: [(&str, &str, &str); 6] = [
    ("Ready", "False", NOT_READY),
    ("Ready", "Unknown", UNREACHABLE),
    ("MemoryPressure", "True", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "True", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "True", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "True", "node.kubernetes.io/pid-pressure"),
];

/// The latest sign of life, and when we saw it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sign {
    /// The Lease's renewal, by the node's clock.
    pub lease: Option<Timestamp>,
    /// The status report, by the node's clock.
    pub heartbeat: Option<Timestamp>,
    /// By our clock.
    pub seen_at: Timestamp,
}

impl Sign {
    /// Whether nothing new came.
    pub fn is_same_as(&self, other: &Self) -> bool {
        (self.lease, self.heartbeat) == (other.lease, other.heartbeat)
    }
}

/// What is to be done for a node.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Conditions to write; usually none.
    pub conditions: Vec<NodeCondition>,
    /// All taints of the node, if they are to change.
    pub taints: Option<Vec<Taint>>,
    /// Whether the node is ready; unknown as long as it has not said anything.
    pub ready: Option<bool>,
    /// When silence, if it lasts, means something.
    pub look_again: Duration,
    /// Whether the taints are new ones that drive Pods away.
    pub evicts: bool,
}

/// Plans for a node whose last sign of life came at `seen_at`.
pub fn plan(node: &Node, seen_at: Timestamp, now: Timestamp, grace_period: Duration, evictions: Evictions) -> Plan {
    let silence = now.duration_since(seen_at).max(SignedDuration::ZERO).unsigned_abs();
    let is_silent = silence >= grace_period;
    let conditions = if is_silent { unknown_conditions(node, now) } else { Vec::new() };
    let status = |kind: &str| {
        let changed = conditions.iter().find(|condition| condition.type_ == kind);
        changed.or_else(|| condition(node, kind)).map(|condition| condition.status.clone())
    };
    let ready = status("Ready").map(|status| status == "True");
    let mut wanted = wanted_taints(node, status);
    let has_evicted = present_taints(node).iter().any(|taint| is_ours(taint) && taint.effect == NO_EXECUTE);
    let may_evict = match evictions {
        Evictions::At(_) => true,
        Evictions::Paused => has_evicted,
        Evictions::Stopped => false,
    };
    wanted.retain(|(_, effect)| *effect != NO_EXECUTE || may_evict);
    let evicts = !has_evicted && wanted.iter().any(|(_, effect)| *effect == NO_EXECUTE);
    Plan {
        ready,
        taints: merge_taints(node, &wanted, now),
        look_again: if is_silent { grace_period } else { grace_period - silence },
        conditions,
        evicts,
    }
}

/// When the kubelet last reported the node's status.
pub fn last_heartbeat(node: &Node) -> Option<Timestamp> {
    condition(node, "Ready")?.last_heartbeat_time.as_ref().map(|time| time.0)
}

fn condition<'a>(node: &'a Node, kind: &str) -> Option<&'a NodeCondition> {
    let conditions = node.status.as_ref()?.conditions.as_ref()?;
    conditions.iter().find(|condition| condition.type_ == kind)
}

/// The conditions that do not say `Unknown` yet, saying it.
fn unknown_conditions(node: &Node, now: Timestamp) -> Vec<NodeCondition> {
    let unknown = |kind: &&str| {
        let (reason, message, heartbeat) = match condition(node, kind) {
            Some(present) if present.status == "Unknown" => return None,
            Some(present) => {
                let heartbeat = present.last_heartbeat_time.clone();
                ("NodeStatusUnknown", "Kubelet stopped posting node status.", heartbeat)
            }
            None => {
                let created = node.metadata.creation_timestamp.clone();
                ("NodeStatusNeverUpdated", "Kubelet never posted node status.", created)
            }
        };
        Some(NodeCondition {
            type_: (*kind).to_owned(),
            status: "Unknown".into(),
            reason: Some(reason.into()),
            message: Some(message.into()),
            last_heartbeat_time: heartbeat,
            last_transition_time: Some(Time(now)),
        })
    };
    REPORTED.iter().filter_map(unknown).collect()
}

/// Keys and effects of the taints that the node should carry, of those that are ours to set.
fn wanted_taints(node: &Node, status: impl Fn(&str) -> Option<String>) -> Vec<(&'static str, &'static str)> {
    let mut wanted = Vec::new();
    for (kind, bad, key) in TAINTED_BY {
        if status(kind).as_deref() == Some(bad) {
            wanted.push((key, NO_SCHEDULE));
        }
    }
    if node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true) {
        wanted.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    match status("Ready").as_deref() {
        Some("False") => wanted.push((NOT_READY, NO_EXECUTE)),
        Some("Unknown") => wanted.push((UNREACHABLE, NO_EXECUTE)),
        Some(_) => {}
        // Nothing is known of it yet: what keeps Pods away stays.
        None => wanted.extend(present_taints(node).iter().filter_map(|taint| {
            let effect = [NO_SCHEDULE, NO_EXECUTE].into_iter().find(|effect| *effect == taint.effect)?;
            (taint.key == NOT_READY).then_some((NOT_READY, effect))
        })),
    }
    wanted
}

fn present_taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

/// All taints with ours as wanted; none when they are so already. Those that stay keep their time.
fn merge_taints(node: &Node, wanted: &[(&str, &str)], now: Timestamp) -> Option<Vec<Taint>> {
    let present = present_taints(node);
    let is_wanted = |taint: &Taint| wanted.contains(&(taint.key.as_str(), taint.effect.as_str()));
    let mut taints: Vec<Taint> = present.iter().filter(|taint| !is_ours(taint) || is_wanted(taint)).cloned().collect();
    for (key, effect) in wanted {
        if !taints.iter().any(|taint| taint.key == *key && taint.effect == *effect) {
            taints.push(Taint {
                key: (*key).to_owned(),
                effect: (*effect).to_owned(),
                time_added: Some(Time(now)),
                ..Taint::default()
            });
        }
    }
    (taints != present).then_some(taints)
}

fn is_ours(taint: &Taint) -> bool {
    match taint.effect.as_str() {
        NO_SCHEDULE => taint.key == UNSCHEDULABLE || TAINTED_BY.iter().any(|(_, _, key)| *key == taint.key),
        NO_EXECUTE => taint.key == NOT_READY || taint.key == UNREACHABLE,
        _ => false,
    }
}
