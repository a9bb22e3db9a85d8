//! Tolerations of a Pod and of its class together, without those that others contain.

use api::k8s_openapi::api::core::v1::Toleration;

const EXISTS: &str = "Exists";
const EQUAL: &str = "Equal";
const NO_EXECUTE: &str = "NoExecute";

/// What is left of all: of equal ones the first, and none that another one covers.
pub fn merge(all: &[Toleration]) -> Vec<Toleration> {
    let mut merged: Vec<Toleration> = Vec::new();
    for (position, toleration) in all.iter().enumerate() {
        let later = &all[position + 1..];
        let is_covered = merged.iter().any(|other| covers(other, toleration))
            || later.iter().any(|other| other != toleration && covers(other, toleration));
        if !is_covered {
            merged.push(toleration.clone());
        }
    }
    merged
}

/// Whether one tolerates whatever the other does.
fn covers(wide: &Toleration, narrow: &Toleration) -> bool {
    let text = |field: &Option<String>| field.clone().unwrap_or_default();
    if wide == narrow {
        return true;
    }
    let (key, operator, effect) = (text(&wide.key), text(&wide.operator), text(&wide.effect));
    if text(&narrow.key) != key && (!key.is_empty() || operator != EXISTS) {
        return false;
    }
    if text(&narrow.effect) != effect && !effect.is_empty() {
        return false;
    }
    if effect == NO_EXECUTE && wide.toleration_seconds.is_some() {
        // For ever is longer than any time.
        if narrow.toleration_seconds.is_none() || narrow.toleration_seconds > wide.toleration_seconds {
            return false;
        }
    }
    match operator.as_str() {
        EXISTS => true,
        EQUAL | "" => text(&narrow.operator) == EQUAL && text(&narrow.value) == text(&wide.value),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn check(all: Value, left: &[usize]) {
        let all: Vec<Toleration> = serde_json::from_value(all).unwrap();
        let wanted: Vec<Toleration> = left.iter().map(|position| all[*position].clone()).collect();
        assert_eq!(merge(&all), wanted);
    }

    #[test]
    fn what_others_cover_is_left_out() {
        let equal = |value: &str| json!({"key": "k", "operator": "Equal", "value": value, "effect": "NoSchedule"});
        check(json!([equal("a"), equal("b"), equal("a")]), &[0, 1]);
        check(json!([equal("a"), {"key": "k", "operator": "Exists"}]), &[1]);
        check(json!([{"operator": "Exists"}, equal("a"), {"key": "x", "operator": "Exists"}]), &[0]);
        check(json!([{"key": "k", "operator": "Exists", "effect": "NoExecute"}, equal("a")]), &[0, 1]);
        let seconds = |seconds: Option<i64>| json!({"key": "k", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": seconds});
        check(json!([seconds(Some(10)), seconds(Some(300))]), &[1]);
        check(json!([seconds(Some(10)), seconds(None)]), &[1]);
        check(json!([seconds(None), seconds(Some(10))]), &[0]);
    }
}
