//! Who may take a Lease. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::LeaseSpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;

use super::Timing;

/// What a candidate does.
#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// Another one leads.
    Wait,
    /// Writes this.
    Take(LeaseSpec),
}

/// Decides on a Lease that has been seen `unchanged` for so long.
pub fn step(seen: &LeaseSpec, unchanged: Duration, identity: &str, timing: Timing, now: Timestamp) -> Step {
    let holder = seen.holder_identity.as_deref().unwrap_or_default();
    let is_ours = holder == identity;
    // Its holder may have said another time than ours.
    let valid = seen.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let valid = valid.map_or(timing.lease_duration, Duration::from_secs);
    if !is_ours && !holder.is_empty() && unchanged < valid {
        return Step::Wait;
    }
    let transitions = seen.lease_transitions.unwrap_or(0);
    // The first holder of all is no change.
    let is_change = !is_ours && seen.renew_time.is_some();
    Step::Take(LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(timing.lease_duration.as_secs()).ok(),
        acquire_time: seen.acquire_time.clone().filter(|_| is_ours).or(Some(MicroTime(now))),
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if is_change { transitions.saturating_add(1) } else { transitions }),
        ..seen.clone()
    })
}

/// The Lease as its holder leaves it; none when it is not ours.
pub fn released(seen: LeaseSpec, identity: &str, now: Timestamp) -> Option<LeaseSpec> {
    let is_ours = seen.holder_identity.as_deref() == Some(identity);
    is_ours.then(|| LeaseSpec {
        holder_identity: Some(String::new()),
        lease_duration_seconds: Some(1),
        acquire_time: Some(MicroTime(now)),
        renew_time: Some(MicroTime(now)),
        ..seen
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn held(holder: &str, seconds: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(holder.to_owned()),
            lease_duration_seconds: Some(seconds),
            acquire_time: Some(MicroTime(at(1))),
            renew_time: Some(MicroTime(at(2))),
            lease_transitions: Some(3),
            ..LeaseSpec::default()
        }
    }

    /// The holder afterwards, since when, and the changes.
    fn taken(seen: &LeaseSpec, unchanged: u64) -> Option<(String, i64, i32)> {
        match step(seen, Duration::from_secs(unchanged), "a", Timing::default(), at(100)) {
            Step::Wait => None,
            Step::Take(spec) => {
                assert_eq!((spec.lease_duration_seconds, spec.renew_time), (Some(15), Some(MicroTime(at(100)))));
                let since = spec.acquire_time.unwrap().0.as_second();
                Some((spec.holder_identity.unwrap(), since, spec.lease_transitions.unwrap()))
            }
        }
    }

    #[test]
    fn a_lease_is_taken_when_it_is_free_and_renewed_when_it_is_ours() {
        let ours = |since: i64, changes: i32| Some(("a".to_owned(), since, changes));
        assert_eq!(taken(&LeaseSpec::default(), 0), ours(100, 0));
        assert_eq!(taken(&held("a", 15), 0), ours(1, 3));
        assert_eq!(taken(&held("b", 15), 14), None);
        assert_eq!(taken(&held("b", 15), 15), ours(100, 4));
        assert_eq!(taken(&held("b", 60), 59), None, "as long as its holder said");
        assert_eq!(taken(&held("", 1), 0), ours(100, 4), "given back");
    }

    #[test]
    fn only_its_holder_gives_a_lease_back() {
        assert_eq!(released(held("b", 15), "a", at(5)), None);
        let free = released(held("a", 15), "a", at(5)).unwrap();
        assert_eq!((free.holder_identity.as_deref(), free.lease_duration_seconds), (Some(""), Some(1)));
        assert_eq!(free.lease_transitions, Some(3));
    }
}
