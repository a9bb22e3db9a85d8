//! What a ServiceCIDR needs next.

use std::net::IpAddr;
use std::time::Duration;

use api::net::Cidr;
use api::networking::v1::service_cidr::{CONDITION_READY, ranges};
use jiff::Timestamp;
use k8s_openapi::api::networking::v1::ServiceCIDR;
use serde_json::{Value, json};

use super::{FINALIZER, GRACE};

/// One step; what it changes wakes the controller for the next.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// All is said and done.
    None,
    /// It must not go unseen.
    Hold,
    /// Its condition says something else.
    Condition(Value),
    /// It may go, but not yet.
    Wait(Duration),
    /// It may go.
    Release,
}

/// Decides for one object, from all others and the addresses that Services have.
pub fn plan(
    object: &ServiceCIDR,
    others: &[&ServiceCIDR],
    addresses: impl Iterator<Item = IpAddr>,
    now: Timestamp,
) -> Step {
    let is_held = object.metadata.finalizers.iter().flatten().any(|held| held == FINALIZER);
    let Some(deleted) = &object.metadata.deletion_timestamp else {
        if !is_held {
            return Step::Hold;
        }
        return say(object, "True", "", "Kubernetes Service CIDR is ready", now);
    };
    if !is_held {
        return Step::None;
    }
    if !can_go(object, others, addresses) {
        let text =
            "There are still IPAddresses referencing the ServiceCIDR, please remove them or create a new ServiceCIDR";
        return say(object, "False", "Terminating", text, now);
    }
    let age = Duration::try_from(now.duration_since(deleted.0)).unwrap_or_default();
    match GRACE.checked_sub(age).filter(|left| !left.is_zero()) {
        Some(left) => Step::Wait(left),
        None => Step::Release,
    }
}

/// Whether nothing is lost: other objects have its ranges, or at least every address that is taken in them.
fn can_go(object: &ServiceCIDR, others: &[&ServiceCIDR], mut addresses: impl Iterator<Item = IpAddr>) -> bool {
    let elsewhere = |fits: &dyn Fn(Cidr) -> bool| others.iter().any(|other| ranges(other).any(fits));
    let contains = |outer: Cidr, inner: Cidr| {
        outer.is_ipv4() == inner.is_ipv4() && outer.length <= inner.length && outer.contains(inner.address)
    };
    ranges(object).all(|range| elsewhere(&|other| contains(other, range)))
        || addresses.all(|address| {
            !ranges(object).any(|range| range.contains(address)) || elsewhere(&|range| range.contains(address))
        })
}

/// The condition, unless it stands there already. The API server itself says that the first one is ready, in words of
/// its own.
fn say(object: &ServiceCIDR, status: &str, reason: &str, message: &str, now: Timestamp) -> Step {
    let mut conditions = object.status.iter().flat_map(|status| status.conditions.iter().flatten());
    let present = conditions.find(|condition| condition.type_ == CONDITION_READY);
    if present.is_some_and(|condition| condition.status == status && (status == "True" || condition.message == message))
    {
        return Step::None;
    }
    let now = Timestamp::from_second(now.as_second()).unwrap_or(now);
    Step::Condition(json!({
        "type": CONDITION_READY, "status": status, "reason": reason, "message": message, "lastTransitionTime": now,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_000_000;

    fn object(ranges: &[&str], deleted: Option<i64>, finalizers: &[&str], ready: Option<&str>) -> ServiceCIDR {
        let deleted = deleted.map(|ago| Timestamp::from_second(NOW - ago).unwrap());
        let condition = |status| {
            json!({"type": "Ready", "status": status, "reason": "", "message": "m",
                "lastTransitionTime": Timestamp::UNIX_EPOCH})
        };
        let conditions: Vec<Value> = ready.map(condition).into_iter().collect();
        serde_json::from_value(json!({
            "metadata": {"name": "a", "deletionTimestamp": deleted, "finalizers": finalizers},
            "spec": {"cidrs": ranges}, "status": {"conditions": conditions},
        }))
        .unwrap()
    }

    fn step(object: &ServiceCIDR, others: &[&ServiceCIDR], addresses: &[&str]) -> Step {
        let addresses = addresses.iter().map(|address| address.parse().unwrap());
        plan(object, others, addresses, Timestamp::from_second(NOW).unwrap())
    }

    fn says(step: Step) -> (String, String) {
        let Step::Condition(condition) = step else { panic!("{step:?}") };
        (condition["status"].as_str().unwrap().to_owned(), condition["reason"].as_str().unwrap().to_owned())
    }

    #[test]
    fn new_ones_are_held_and_then_ready() {
        let range = &["10.0.0.0/24"][..];
        assert_eq!(step(&object(range, None, &[], None), &[], &[]), Step::Hold);
        assert_eq!(says(step(&object(range, None, &[FINALIZER], None), &[], &[])), ("True".to_owned(), String::new()));
        assert_eq!(step(&object(range, None, &[FINALIZER], Some("True")), &[], &[]), Step::None);
        let back = step(&object(range, None, &[FINALIZER], Some("False")), &[], &[]);
        assert_eq!(says(back).0, "True");
    }

    #[test]
    fn those_with_addresses_stay() {
        let going = |ago| object(&["10.0.0.0/24"], Some(ago), &[FINALIZER], Some("True"));
        let (wide, other) = (object(&["10.0.0.0/16"], None, &[], None), object(&["10.1.0.0/16"], None, &[], None));
        let terminating = ("False".to_owned(), "Terminating".to_owned());
        assert_eq!(says(step(&going(60), &[], &["10.0.0.1"])), terminating);
        assert_eq!(says(step(&going(60), &[&other], &["10.0.0.1"])), terminating);
        assert_eq!(step(&going(60), &[&wide], &["10.0.0.1"]), Step::Release);
        assert_eq!(step(&going(60), &[], &["10.0.1.1", "fd00::1"]), Step::Release);
        assert_eq!(step(&going(4), &[], &[]), Step::Wait(Duration::from_secs(6)));
        assert_eq!(step(&object(&["10.0.0.0/24"], Some(60), &["other"], None), &[], &[]), Step::None);
    }

    #[test]
    fn smaller_ranges_help_where_the_addresses_are() {
        let going = object(&["10.0.0.0/16"], Some(60), &[FINALIZER], Some("True"));
        let small = object(&["10.0.5.0/24"], None, &[], None);
        assert_eq!(step(&going, &[&small], &["10.0.5.9"]), Step::Release);
        assert_eq!(says(step(&going, &[&small], &["10.0.5.9", "10.0.6.1"])).0, "False");
    }
}
