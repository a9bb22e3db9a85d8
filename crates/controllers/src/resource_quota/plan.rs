//! What a quota's status should say.

use super::{Amounts, ApiQuantity, ResourceQuota, amounts};

/// Whether a change of a quota makes its status wrong.
pub fn is_outdated(old: &ResourceQuota, new: &ResourceQuota) -> bool {
    let hard = |quota: &ResourceQuota| quota.spec.as_ref().and_then(|spec| spec.hard.clone());
    hard(old) != hard(new)
}

/// The quota with the limits of its spec and what was counted, if its status does not say so already. What nobody knows
/// how to count keeps its number.
pub fn counted_anew(quota: &ResourceQuota, usage: Amounts) -> Option<ResourceQuota> {
    let hard = quota.spec.as_ref().and_then(|spec| spec.hard.clone()).unwrap_or_default();
    let status = quota.status.clone().unwrap_or_default();
    let before = amounts(status.used.as_ref());
    let mut used = before.clone();
    used.extend(usage);
    used.retain(|name, _| hard.contains_key(name));
    let same_limits = amounts(status.hard.as_ref()) == amounts(Some(&hard));
    if status.hard.is_some() && same_limits && used == before {
        return None;
    }
    let mut counted = quota.clone();
    let status = counted.status.get_or_insert_default();
    status.hard = Some(hard);
    status.used = Some(used.into_iter().map(|(name, amount)| (name, ApiQuantity(amount.to_string()))).collect());
    Some(counted)
}

#[cfg(test)]
mod tests {
    use api::quantity::Quantity;
    use serde_json::{Value, json};

    use super::*;

    fn quota(hard: Value, status: Value) -> ResourceQuota {
        serde_json::from_value(json!({"metadata": {"name": "q"}, "spec": {"hard": hard}, "status": status})).unwrap()
    }

    fn counted(quota: &ResourceQuota, usage: &[(&str, i64)]) -> Option<Value> {
        let usage = usage.iter().map(|(name, count)| ((*name).to_owned(), Quantity::from_value(*count))).collect();
        counted_anew(quota, usage).map(|quota| serde_json::to_value(quota.status).unwrap())
    }

    #[test]
    fn a_new_quota_gets_a_status() {
        let subject = quota(json!({"pods": "2"}), json!({}));
        let wanted = json!({"hard": {"pods": "2"}, "used": {"pods": "0"}});
        assert_eq!(counted(&subject, &[("pods", 0), ("count/pods", 0)]), Some(wanted));
        let unknown = quota(json!({"count/widgets.example.com": "5"}), json!({}));
        let wanted = json!({"hard": {"count/widgets.example.com": "5"}, "used": {}});
        assert_eq!(counted(&unknown, &[]), Some(wanted));
    }

    #[test]
    fn nothing_is_written_when_nothing_differs() {
        let status = json!({"hard": {"pods": "2"}, "used": {"pods": "1"}});
        let subject = quota(json!({"pods": "2"}), status.clone());
        assert_eq!(counted(&subject, &[("pods", 1)]), None);
        assert_eq!(counted(&subject, &[("pods", 2)]).unwrap()["used"], json!({"pods": "2"}));
        let changed = quota(json!({"pods": "3", "secrets": "1"}), status);
        let wanted = json!({"hard": {"pods": "3", "secrets": "1"}, "used": {"pods": "1", "secrets": "0"}});
        assert_eq!(counted(&changed, &[("pods", 1), ("secrets", 0)]), Some(wanted));
    }

    #[test]
    fn what_is_no_longer_limited_is_no_longer_told() {
        let status = json!({"hard": {"pods": "2", "secrets": "1"}, "used": {"pods": "1", "secrets": "1"}});
        let subject = quota(json!({"pods": "2"}), status);
        let wanted = json!({"hard": {"pods": "2"}, "used": {"pods": "1"}});
        assert_eq!(counted(&subject, &[("pods", 1)]), Some(wanted));
    }
}
