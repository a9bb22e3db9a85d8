//! What a write would be charged, and whether there is so much left; in upstream's words.

use api::core::v1::resource_quota::scopes::is_within;
use api::core::v1::resource_quota::usage::{Amounts, Counted, Item, add, amounts, unsaid};
use api::k8s_openapi::api::core::v1::ResourceQuota;
use api::k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use api::quantity::Quantity;
use jiff::Timestamp;

/// A write, as quotas see it.
pub struct Request<'a> {
    /// The resource.
    pub counted: Counted<'a>,
    /// What is written.
    pub item: Item<'a>,
    /// What it replaces.
    pub old: Option<Item<'a>>,
    /// When.
    pub now: Timestamp,
    /// Whether it may be refused for its size: what controllers say is so cannot.
    pub is_checked: bool,
}

/// The names of the quotas to charge.
///
/// # Errors
/// Why the write is refused, as the quotas stand now.
pub fn plan<'q>(quotas: impl Iterator<Item = &'q ResourceQuota>, request: &Request<'_>) -> Result<Vec<String>, String> {
    let mut charges = Vec::new();
    for quota in quotas {
        if let Some(amounts) = charge(quota, request)?.filter(|amounts| !amounts.is_empty()) {
            charges.push((quota, amounts));
        }
    }
    let refused = charges.iter().find_map(|(quota, amounts)| exceeding(quota, amounts));
    match refused.filter(|_| request.is_checked) {
        Some(refusal) => Err(refusal),
        None => Ok(charges.into_iter().map(|(quota, _)| name(quota).to_owned()).collect()),
    }
}

/// What the write adds to what a quota counts; `None` when the quota is not about it.
///
/// # Errors
/// What is missing: in the object, or in the quota's own status.
pub fn charge(quota: &ResourceQuota, request: &Request<'_>) -> Result<Option<Amounts>, String> {
    let hard = status(quota, |status| status.hard.as_ref());
    let tracked: Vec<&str> = hard.keys().map(String::as_str).filter(|name| request.counted.counts_as(name)).collect();
    if tracked.is_empty() || !is_within(quota.spec.as_ref(), request.item) {
        return Ok(None);
    }
    if let Some(text) = unsaid(request.item, tracked.iter().copied()) {
        return Err(format!("failed quota: {}: {text}", name(quota)));
    }
    let used = status(quota, |status| status.used.as_ref());
    if tracked.iter().any(|name| !used.contains_key(*name)) {
        return Err(format!("status unknown for quota: {}, resources: {}", name(quota), tracked.join(",")));
    }
    let mut usage = request.counted.usage(request.item, request.now);
    let negative: Vec<&str> =
        usage.iter().filter(|(_, amount)| amount.is_negative()).map(|(name, _)| name.as_str()).collect();
    if !negative.is_empty() {
        return Err(format!("quota usage is negative for resource(s): {}", negative.join(",")));
    }
    if let Some(old) = request.old.filter(|old| is_within(quota.spec.as_ref(), *old)) {
        for (name, before) in request.counted.usage(old, request.now) {
            usage.entry(name).and_modify(|amount| *amount -= before);
        }
    }
    usage.retain(|name, amount| !amount.is_zero() && !amount.is_negative() && hard.contains_key(name));
    Ok(Some(usage))
}

/// Why so much is too much, if it is.
pub fn exceeding(quota: &ResourceQuota, amounts: &Amounts) -> Option<String> {
    let hard = status(quota, |status| status.hard.as_ref());
    let used = status(quota, |status| status.used.as_ref());
    let of = |list: &Amounts, name: &str| list.get(name).copied().unwrap_or_default();
    let exceeded: Vec<&str> = amounts
        .iter()
        .filter(|(name, amount)| of(&used, name) + **amount > of(&hard, name))
        .map(|(name, _)| name.as_str())
        .collect();
    let show = |list: &Amounts| {
        let shown = exceeded.iter().filter_map(|name| Some(format!("{name}={}", list.get(*name)?)));
        shown.collect::<Vec<_>>().join(",")
    };
    (!exceeded.is_empty()).then(|| {
        format!(
            "exceeded quota: {}, requested: {}, used: {}, limited: {}",
            name(quota),
            show(amounts),
            show(&used),
            show(&hard)
        )
    })
}

/// The quota with so much more used.
pub fn charged(quota: &ResourceQuota, amounts: &Amounts) -> ResourceQuota {
    let mut used = status(quota, |status| status.used.as_ref());
    add(&mut used, amounts);
    with_used(quota, used)
}

/// The quota with so much less used. Nothing is ever used less than not at all: it may have been counted meanwhile.
pub fn released(quota: &ResourceQuota, amounts: &Amounts) -> ResourceQuota {
    let mut used = status(quota, |status| status.used.as_ref());
    for (name, amount) in amounts {
        used.entry(name.clone()).and_modify(|used| *used = (*used - *amount).max(Quantity::ZERO));
    }
    with_used(quota, used)
}

fn with_used(quota: &ResourceQuota, used: Amounts) -> ResourceQuota {
    let mut quota = quota.clone();
    let used = used.into_iter().map(|(name, amount)| (name, ApiQuantity(amount.to_string())));
    quota.status.get_or_insert_default().used = Some(used.collect());
    quota
}

fn status(
    quota: &ResourceQuota,
    list: impl Fn(
        &api::k8s_openapi::api::core::v1::ResourceQuotaStatus,
    ) -> Option<&api::core::v1::resource_list::ResourceList>,
) -> Amounts {
    amounts(quota.status.as_ref().and_then(list))
}

fn name(quota: &ResourceQuota) -> &str {
    quota.metadata.name.as_deref().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use api::k8s_openapi::api::core::v1::{Pod, Service};
    use serde_json::{Value, json};

    use super::*;

    fn quota(spec: Value, hard: Value, used: Value) -> ResourceQuota {
        let status = json!({"hard": hard, "used": used});
        serde_json::from_value(json!({"metadata": {"name": "q"}, "spec": spec, "status": status})).unwrap()
    }

    fn request<'a>(plural: &'a str, item: Item<'a>, old: Option<Item<'a>>) -> Request<'a> {
        Request { counted: Counted::new("", plural), item, old, now: Timestamp::UNIX_EPOCH, is_checked: true }
    }

    fn pod(cpu: &str) -> Pod {
        let resources = json!({"requests": {"cpu": cpu}});
        serde_json::from_value(json!({"spec": {"containers": [{"name": "c", "resources": resources}]}})).unwrap()
    }

    #[test]
    fn quotas_are_charged_until_they_are_used_up() {
        let check = |hard: Value, used: Value, expected: Result<&[&str], &str>| {
            let (quota, pod) = (quota(json!({}), hard, used), pod("1500m"));
            let expected = expected.map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>());
            let found = plan([&quota].into_iter(), &request("pods", Item::Pod(&pod), None));
            assert_eq!(found, expected.map_err(str::to_owned));
        };
        check(json!({"pods": "2"}), json!({"pods": "1"}), Ok(&["q"]));
        check(json!({"secrets": "2"}), json!({"secrets": "2"}), Ok(&[]));
        check(
            json!({"pods": "2", "requests.cpu": "2", "count/pods": "9"}),
            json!({"pods": "2", "requests.cpu": "1", "count/pods": "0"}),
            Err("exceeded quota: q, requested: pods=1,requests.cpu=1500m, used: pods=2,requests.cpu=1, limited: \
                 pods=2,requests.cpu=2"),
        );
        check(
            json!({"pods": "2", "cpu": "2"}),
            json!({"pods": "1"}),
            Err("status unknown for quota: q, resources: cpu,pods"),
        );
        check(
            json!({"limits.cpu": "2"}),
            json!({"limits.cpu": "1"}),
            Err("failed quota: q: must specify limits.cpu for: c"),
        );
    }

    #[test]
    fn what_no_quota_has_room_for_charges_none() {
        let quotas = [
            quota(json!({}), json!({"pods": "0"}), json!({"pods": "0"})),
            quota(json!({}), json!({"memory": "1"}), json!({"memory": "0"})),
        ];
        // What is missing is told first, whatever the order.
        let pod = pod("1");
        let refused = plan(quotas.iter(), &request("pods", Item::Pod(&pod), None)).unwrap_err();
        assert_eq!(refused, "failed quota: q: must specify memory for: c");
    }

    #[test]
    fn scopes_decide_which_quota_it_is() {
        let best_effort = quota(json!({"scopes": ["BestEffort"]}), json!({"pods": "0"}), json!({"pods": "0"}));
        let sized = pod("1");
        assert_eq!(charge(&best_effort, &request("pods", Item::Pod(&sized), None)), Ok(None));
        assert_eq!(charge(&best_effort, &request("services", Item::Other, None)), Ok(None));
    }

    #[test]
    fn updates_are_charged_for_what_they_add() {
        let quota = quota(json!({}), json!({"requests.cpu": "2"}), json!({"requests.cpu": "1500m"}));
        let (small, large) = (pod("1"), pod("1250m"));
        let delta = |new, old| {
            let delta = charge(&quota, &request("pods", Item::Pod(new), Some(Item::Pod(old)))).unwrap().unwrap();
            delta.iter().map(|(name, amount)| format!("{name}={amount}")).collect::<Vec<_>>()
        };
        assert_eq!(delta(&large, &small), ["requests.cpu=250m"]);
        assert!(delta(&small, &large).is_empty());
        let service = |kind: &str| -> Service {
            serde_json::from_value(json!({"spec": {"type": kind, "ports": [{"port": 1}]}})).unwrap()
        };
        let ports = self::quota(json!({}), json!({"services.nodeports": "0"}), json!({"services.nodeports": "0"}));
        let (new, old) = (service("NodePort"), service("ClusterIP"));
        let refused = plan([&ports].into_iter(), &request("services", Item::Service(&new), Some(Item::Service(&old))));
        let text = "exceeded quota: q, requested: services.nodeports=1, used: services.nodeports=0, limited: \
                    services.nodeports=0";
        assert_eq!(refused, Err(text.to_owned()));
    }

    #[test]
    fn charges_come_and_go() {
        let before = quota(json!({}), json!({"memory": "2Gi"}), json!({"memory": "1Gi"}));
        let used = |quota: &ResourceQuota| quota.status.as_ref().unwrap().used.as_ref().unwrap()["memory"].0.clone();
        let amounts = Amounts::from([("memory".to_owned(), Quantity::parse("512Mi").unwrap())]);
        let after = charged(&before, &amounts);
        assert_eq!(used(&after), "1536Mi");
        assert_eq!(used(&released(&after, &amounts)), "1Gi");
        let counted_anew = quota(json!({}), json!({"memory": "2Gi"}), json!({"memory": "1Mi"}));
        assert_eq!(used(&released(&counted_anew, &amounts)), "0");
    }
}
