//! How much of the cluster is gone, and how fast Pods may leave lost nodes. A node that is lost loses its Pods; where
//! every node is lost it is more likely that this server cannot see them, and Pods that may well run are left alone. Pure.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Node;

const ZONE: &str = "topology.kubernetes.io/zone";
const REGION: &str = "topology.kubernetes.io/region";
const EXCLUDED: &str = "node.kubernetes.io/exclude-disruption";
/// A zone is disrupted with more lost nodes than this.
const PARTIAL_NODES: usize = 2;

/// How fast nodes lose their Pods.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvictionRates {
    /// Nodes per second and zone.
    pub normal: f64,
    /// The same in a large zone that is disrupted; a small one waits until it is not.
    pub disrupted: f64,
    /// A zone with more nodes is large.
    pub large_zone: usize,
    /// A zone is disrupted when this part of it is lost.
    pub disrupted_from: f64,
}

impl Default for EvictionRates {
    fn default() -> Self {
        Self { normal: 0.1, disrupted: 0.01, large_zone: 50, disrupted_from: 0.55 }
    }
}

/// What becomes of Pods on nodes that are lost.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Evictions {
    /// They go, from so many nodes per second.
    At(f64),
    /// They stay, but for those that were told to go.
    Paused,
    /// They stay: all nodes are lost.
    Stopped,
}

/// Zone and region of a node, as one name.
pub fn zone_of(node: &Node) -> String {
    let label = |key| node.metadata.labels.as_ref().and_then(|labels| labels.get(key)).map_or("", String::as_str);
    format!("{}:{}", label(REGION), label(ZONE))
}

/// What the state of all nodes leads to for the nodes of one zone.
pub fn evictions<N: Borrow<Node>>(rates: &EvictionRates, nodes: &[N], zone: &str) -> Evictions {
    let mut zones: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for node in nodes.iter().map(Borrow::borrow).filter(|node| !is_excluded(node)) {
        let (ready, lost) = zones.entry(zone_of(node)).or_default();
        *(if is_ready(node) { ready } else { lost }) += 1;
    }
    if !zones.is_empty() && zones.values().all(|(ready, _)| *ready == 0) {
        return Evictions::Stopped;
    }
    let (ready, lost) = zones.get(zone).copied().unwrap_or_default();
    let all = ready + lost;
    let disrupted = ready > 0 && lost > PARTIAL_NODES && lost as f64 / all as f64 >= rates.disrupted_from;
    let rate = match disrupted {
        false => rates.normal,
        true if all > rates.large_zone => rates.disrupted,
        true => 0.0,
    };
    if rate > 0.0 { Evictions::At(rate) } else { Evictions::Paused }
}

/// When a node last was told to lose its Pods, by zone.
#[derive(Debug, Default)]
pub struct Pace {
    last: BTreeMap<String, Timestamp>,
}

impl Pace {
    /// Whether the next node of a zone may lose its Pods at this rate.
    ///
    /// # Errors
    /// How long it has to wait otherwise.
    pub fn next(&mut self, zone: &str, rate: f64, now: Timestamp) -> Result<(), Duration> {
        let gap = Duration::try_from_secs_f64(1.0 / rate).unwrap_or(Duration::MAX);
        let passed = self.last.get(zone).map(|last| now.duration_since(*last).max(SignedDuration::ZERO).unsigned_abs());
        match passed.map_or(Duration::ZERO, |passed| gap.saturating_sub(passed)) {
            Duration::ZERO => {
                self.last.insert(zone.to_owned(), now);
                Ok(())
            }
            left => Err(left),
        }
    }
}

fn is_excluded(node: &Node) -> bool {
    node.metadata.labels.as_ref().is_some_and(|labels| labels.contains_key(EXCLUDED))
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
        let rates = EvictionRates::default();
        let (normal, slow) = (Evictions::At(0.1), Evictions::At(0.01));
        let excluded = |mut nodes: Vec<Node>| {
            let labels = |node: &mut Node| {
                drop(node.metadata.labels.get_or_insert_default().insert(EXCLUDED.into(), String::new()))
            };
            nodes.iter_mut().for_each(labels);
            nodes
        };
        let cases = [
            (nodes("a", 1, 0), normal),
            (nodes("a", 0, 1), Evictions::Stopped),
            (nodes("a", 1, 2), normal),
            (nodes("a", 1, 3), Evictions::Paused),
            (nodes("a", 3, 3), normal),
            (nodes("a", 20, 30), Evictions::Paused),
            (nodes("a", 20, 31), slow),
            // One zone lost as a whole is lost; the other answers.
            ([nodes("a", 0, 5), nodes("b", 1, 0)].concat(), normal),
            ([nodes("a", 0, 5), nodes("b", 0, 1)].concat(), Evictions::Stopped),
            ([nodes("a", 2, 5), nodes("b", 9, 0)].concat(), Evictions::Paused),
            ([nodes("b", 2, 5), nodes("a", 9, 0)].concat(), normal),
            ([nodes("a", 1, 2), excluded(nodes("a", 0, 9))].concat(), normal),
        ];
        for (nodes, expected) in cases {
            assert_eq!(evictions(&rates, &nodes, ":a"), expected, "{} nodes", nodes.len());
        }
    }

    #[test]
    fn nodes_of_a_zone_lose_their_pods_one_after_the_other() {
        let at = |seconds: i64| Timestamp::from_second(seconds).unwrap();
        let mut pace = Pace::default();
        assert_eq!(pace.next(":a", 0.1, at(100)), Ok(()));
        assert_eq!(pace.next(":b", 0.1, at(100)), Ok(()));
        assert_eq!(pace.next(":a", 0.1, at(103)), Err(Duration::from_secs(7)));
        assert_eq!(pace.next(":a", 0.01, at(103)), Err(Duration::from_secs(97)), "the rate is the zone's as it is now");
        assert_eq!(pace.next(":a", 0.1, at(110)), Ok(()));
        assert_eq!(pace.next(":a", 0.1, at(110)), Err(Duration::from_secs(10)));
    }
}
