//! Whether a Pod may stay on its node. Pure.

use std::time::Duration;

use api::core::v1::taints::{NO_EXECUTE, tolerates};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Node, Taint, Toleration};

/// Whether and how long a Pod stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As long as the taints stay as they are.
    Stays,
    /// Its tolerations end after this time.
    StaysFor(Duration),
    /// It has to go now.
    Goes,
}

/// The node's taints.
pub fn taints(node: &Node) -> &[Taint] {
    node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default()
}

/// Whether the node has a taint that evicts.
pub fn evicts_anybody(node: &Node) -> bool {
    taints(node).iter().any(|taint| taint.effect == NO_EXECUTE)
}

/// Judges a Pod with these tolerations. Time counts from when each taint was added.
pub fn verdict(tolerations: &[Toleration], taints: &[Taint], now: Timestamp) -> Verdict {
    let mut verdict = Verdict::Stays;
    for taint in taints.iter().filter(|taint| taint.effect == NO_EXECUTE) {
        let accepting = tolerations.iter().filter(|toleration| tolerates(toleration, taint));
        let limits: Vec<Option<i64>> = accepting.map(|toleration| toleration.toleration_seconds).collect();
        if limits.is_empty() {
            return Verdict::Goes;
        }
        // The shortest of the tolerations that have an end counts.
        let Some(seconds) = limits.into_iter().flatten().min() else { continue };
        let added = taint.time_added.as_ref().map_or(now, |time| time.0);
        let left = SignedDuration::from_secs(seconds.max(0)) - now.duration_since(added);
        if left <= SignedDuration::ZERO {
            return Verdict::Goes;
        }
        verdict = match verdict {
            Verdict::StaysFor(sooner) if sooner <= left.unsigned_abs() => verdict,
            _ => Verdict::StaysFor(left.unsigned_abs()),
        };
    }
    verdict
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn tolerations_bound_the_stay() {
        let taint = |key: &str, effect: &str, added: i64| json!({ "key": key, "effect": effect, "timeAdded": Timestamp::from_second(added).unwrap().to_string() });
        let tolerates = |key: &str, seconds: Value| json!({ "key": key, "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds });
        let for_seconds = |seconds| Verdict::StaysFor(Duration::from_secs(seconds));
        let now = Timestamp::from_second(1000).unwrap();
        let cases = [
            (json!([taint("a", "NoSchedule", 990)]), json!([]), Verdict::Stays),
            (json!([taint("a", "NoExecute", 990)]), json!([]), Verdict::Goes),
            (json!([taint("a", "NoExecute", 990)]), json!([tolerates("a", json!(null))]), Verdict::Stays),
            (json!([taint("a", "NoExecute", 990)]), json!([tolerates("a", json!(300))]), for_seconds(290)),
            (json!([taint("a", "NoExecute", 600)]), json!([tolerates("a", json!(300))]), Verdict::Goes),
            (json!([taint("a", "NoExecute", 990)]), json!([tolerates("a", json!(0))]), Verdict::Goes),
            (
                json!([taint("a", "NoExecute", 990), taint("b", "NoExecute", 1000)]),
                json!([tolerates("a", json!(300)), tolerates("b", json!(60))]),
                for_seconds(60),
            ),
            (
                json!([taint("a", "NoExecute", 990), taint("b", "NoExecute", 990)]),
                json!([tolerates("a", json!(null))]),
                Verdict::Goes,
            ),
        ];
        for (taints, tolerations, expected) in cases {
            let parsed: Vec<Taint> = serde_json::from_value(taints.clone()).unwrap();
            let standing: Vec<Toleration> = serde_json::from_value(tolerations.clone()).unwrap();
            assert_eq!(verdict(&standing, &parsed, now), expected, "{taints} {tolerations}");
        }
    }
}
