//! What is worth an Event when a node's status becomes another. Pure.

use client::EventType;
use k8s_openapi::api::core::v1::NodeStatus;

/// An Event about the node.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Change {
    pub kind: EventType,
    pub reason: &'static str,
    pub message: String,
}

/// What changed, in upstream's words; a Node that is new has changed where it is not as expected of it.
pub(super) fn changes(node: &str, before: Option<&NodeStatus>, after: &NodeStatus) -> Vec<Change> {
    rebooted(node, before, after).into_iter().chain(turned(node, before, after)).collect()
}

/// The kernel has started anew since the status was written.
fn rebooted(node: &str, before: Option<&NodeStatus>, after: &NodeStatus) -> Option<Change> {
    let boot = |status: &NodeStatus| status.node_info.as_ref().map(|info| info.boot_id.clone()).unwrap_or_default();
    let (then, now) = (before.map(boot).unwrap_or_default(), boot(after));
    (!then.is_empty() && then != now).then(|| Change {
        kind: EventType::Warning,
        reason: "Rebooted",
        message: format!("Node {node} has been rebooted, boot id: {now}"),
    })
}

/// Conditions that are not what they were.
fn turned(node: &str, before: Option<&NodeStatus>, after: &NodeStatus) -> Vec<Change> {
    let state = |status: &NodeStatus, type_: &str| {
        let mut all = status.conditions.iter().flatten();
        all.find(|condition| condition.type_ == type_).map(|condition| condition.status.clone())
    };
    let of = |condition: &k8s_openapi::api::core::v1::NodeCondition| {
        let reason = reason(&condition.type_, condition.status == "True")?;
        let then = before.and_then(|before| state(before, &condition.type_));
        // Of readiness a new node says nothing, of what it is short of it does.
        let is_news = then.as_ref().map_or(condition.type_ != "Ready", |then| *then != condition.status);
        let message = format!("Node {node} status is now: {reason}");
        is_news.then_some(Change { kind: EventType::Normal, reason, message })
    };
    after.conditions.iter().flatten().filter_map(of).collect()
}

fn reason(type_: &str, holds: bool) -> Option<&'static str> {
    let (yes, no) = match type_ {
        "MemoryPressure" => ("NodeHasInsufficientMemory", "NodeHasSufficientMemory"),
        "DiskPressure" => ("NodeHasDiskPressure", "NodeHasNoDiskPressure"),
        "PIDPressure" => ("NodeHasInsufficientPID", "NodeHasSufficientPID"),
        "Ready" => ("NodeReady", "NodeNotReady"),
        _ => return None,
    };
    Some(if holds { yes } else { no })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn status(boot: &str, conditions: &[(&str, &str)]) -> NodeStatus {
        let conditions: Vec<Value> =
            conditions.iter().map(|(type_, status)| json!({ "type": type_, "status": status })).collect();
        let info = json!({
            "architecture": "", "bootID": boot, "containerRuntimeVersion": "", "kernelVersion": "",
            "kubeProxyVersion": "", "kubeletVersion": "", "machineID": "", "operatingSystem": "", "osImage": "",
            "systemUUID": "",
        });
        serde_json::from_value(json!({ "conditions": conditions, "nodeInfo": info })).unwrap()
    }

    fn said(before: Option<&NodeStatus>, after: &NodeStatus) -> Vec<String> {
        changes("n1", before, after)
            .into_iter()
            .map(|change| format!("{}: {}", change.reason, change.message))
            .collect()
    }

    #[test]
    fn another_boot_is_a_reboot_and_an_unknown_one_is_not() {
        let one = status("one", &[]);
        let two = status("two", &[]);
        assert_eq!(said(Some(&one), &two), ["Rebooted: Node n1 has been rebooted, boot id: two"]);
        assert_eq!(changes("n1", Some(&one), &two)[0].kind, EventType::Warning);
        for before in [None, Some(&status("", &[])), Some(&two), Some(&NodeStatus::default())] {
            assert!(said(before, &two).is_empty(), "{before:?}");
        }
    }

    #[test]
    fn conditions_are_told_when_they_turn() {
        let fine = status("", &[("MemoryPressure", "False"), ("Ready", "True")]);
        let short = status("", &[("MemoryPressure", "True"), ("Ready", "False")]);
        let lost = status("", &[("MemoryPressure", "Unknown"), ("Ready", "Unknown")]);
        let sufficient = "NodeHasSufficientMemory: Node n1 status is now: NodeHasSufficientMemory";
        let ready = "NodeReady: Node n1 status is now: NodeReady";
        assert_eq!(said(None, &fine), [sufficient]);
        assert!(said(Some(&fine), &fine).is_empty());
        assert_eq!(
            said(Some(&fine), &short),
            [
                "NodeHasInsufficientMemory: Node n1 status is now: NodeHasInsufficientMemory",
                "NodeNotReady: Node n1 status is now: NodeNotReady",
            ]
        );
        assert_eq!(said(Some(&short), &fine), [sufficient, ready]);
        assert_eq!(said(Some(&lost), &fine), [sufficient, ready]);
    }
}
