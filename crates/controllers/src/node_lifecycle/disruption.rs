//! How much of the cluster is gone. A node that is lost loses its Pods; where every node is lost it is more likely that
//! this server cannot see them, and Pods that may well run are left alone. Pure.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Node;

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
/// In a zone with more lost nodes than this, and this part of all, ...
const PARTIAL_NODES: usize = 2;
const PARTIAL_PERCENT: usize = 55;

/// What becomes of Pods on nodes that are lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Evictions {
    /// They go.
    Allowed,
    /// They stay: all nodes are lost.
    Stopped,
    /// They stay in zones that lost much, as long as nobody has told them to go already.
    PausedIn(Vec<String>),
}

/// Zone and region of a node, as one name.
pub fn zone_of(node: &Node) -> String {
    let label = |key| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map_or("", String::as_str);
    format!("{}:{}", label(REGION), label(ZONE))
}

/// What the state of all nodes leads to.
pub fn evictions<N: Borrow<Node>>(nodes: &[N]) -> Evictions {
    let mut zones: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for node in nodes.iter().map(Borrow::borrow) {
        let (ready, lost) = zones.entry(zone_of(node)).or_default();
        *(if is_ready(node) { ready } else { lost }) += 1;
    }
    if zones.values().all(|(ready, lost)| *ready == 0 && *lost > 0) {
        return Evictions::Stopped;
    }
    let lost_much =
        |ready: usize, lost: usize| lost > PARTIAL_NODES && lost * 100 >= (ready + lost) * PARTIAL_PERCENT && ready > 0;
    let paused: Vec<String> =
        zones.into_iter().filter(|(_, (ready, lost))| lost_much(*ready, *lost)).map(|(zone, _)| zone).collect();
    if paused.is_empty() { Evictions::Allowed } else { Evictions::PausedIn(paused) }
}

fn is_ready(node: &Node) -> bool {
    let conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
    conditions.into_iter().any(|condition| condition.type_ == "Ready" && condition.status == "True")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn nodes(zone: &str, ready: usize, lost: usize) -> Vec<Node> {
        let node = |status: &str| {
            serde_json::from_value(json!({
                "metadata": { "labels": { "topology.kubernetes.io/zone": zone } },
                "status": { "conditions": [{ "type": "Ready", "status": status }] },
            }))
            .expect("a Node")
        };
        (0..ready).map(|_| node("True")).chain((0..lost).map(|_| node("Unknown"))).collect()
    }

    #[test]
    fn evictions_stop_when_everything_seems_lost() {
        let paused = || Evictions::PausedIn(vec![":a".to_owned()]);
        let cases = [
            (nodes("a", 1, 0), Evictions::Allowed),
            (nodes("a", 0, 1), Evictions::Stopped),
            (nodes("a", 1, 2), Evictions::Allowed),
            (nodes("a", 1, 3), paused()),
            (nodes("a", 3, 3), Evictions::Allowed),
            // One zone lost as a whole is lost; the other answers.
            ([nodes("a", 0, 5), nodes("b", 1, 0)].concat(), Evictions::Allowed),
            ([nodes("a", 0, 5), nodes("b", 0, 1)].concat(), Evictions::Stopped),
            ([nodes("a", 2, 5), nodes("b", 9, 0)].concat(), paused()),
        ];
        for (nodes, expected) in cases {
            assert_eq!(evictions(&nodes), expected, "{} nodes", nodes.len());
        }
    }
}
