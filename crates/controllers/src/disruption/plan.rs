//! What a budget's status says. Pure.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use api::int_or_percent::scaled;
use client::EventType;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::pod_facts::PodFacts;
use crate::runtime::Next;

/// An eviction that was allowed and has not deleted the Pod by then is not counted any longer.
const DELETION_TIMEOUT: SignedDuration = SignedDuration::from_mins(2);
const DISRUPTION_ALLOWED: &str = "DisruptionAllowed";

/// Who looks after a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keeper {
    /// An object, by uid, that wants so many Pods.
    Scale(String, i32),
    /// An object of a kind that can't be scaled.
    Unscalable(String),
    /// Nobody.
    Nobody,
}

impl Keeper {
    /// The object's uid.
    pub fn uid(&self) -> Option<&str> {
        match self {
            Self::Scale(uid, _) => Some(uid),
            Self::Unscalable(_) | Self::Nobody => None,
        }
    }
}

/// Whoever looks after the Pods, each once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expected {
    /// The keepers; [`Keeper::Nobody`] for each Pod without.
    pub keepers: Vec<Keeper>,
}

/// What to write and tell.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The status; none when it stands there already.
    pub status: Option<PodDisruptionBudgetStatus>,
    /// Told when the status is written.
    pub events: Vec<(EventType, &'static str, String)>,
    /// When to look again.
    pub next: Next,
}

/// Whether the budget is about a share of what is wanted, rather than a number of Pods.
pub fn needs_keepers(budget: &PodDisruptionBudget) -> bool {
    let spec = budget.spec.as_ref();
    let min = spec.and_then(|spec| spec.min_available.as_ref());
    !matches!(min, Some(IntOrString::Int(_)))
}

/// Counts.
pub fn plan(budget: &PodDisruptionBudget, pods: &[Arc<PodFacts>], expected: &Expected, now: Timestamp) -> Plan {
    let before = budget.status.clone().unwrap_or_default();
    let mut events = Vec::new();
    if pods.is_empty() {
        events.push((EventType::Normal, "NoPods", "No matching pods found".to_owned()));
    }
    let disrupted = disrupted(budget, &before, pods, now, &mut events);
    let next = disrupted.values().filter_map(|time| time.0.checked_add(DELETION_TIMEOUT).ok()).min();
    let next = next.map_or(Next::OnWakeUp, |at| {
        let wait: Duration = at.duration_since(now).try_into().unwrap_or_default();
        Next::After(wait + Duration::from_millis(1))
    });
    let mut status = PodDisruptionBudgetStatus {
        observed_generation: budget.metadata.generation,
        disrupted_pods: (!disrupted.is_empty()).then(|| disrupted.clone()),
        ..before.clone()
    };
    match wanted(budget, pods.len(), expected, &mut events) {
        Ok((expected, desired)) => {
            let is_healthy =
                |pod: &&Arc<PodFacts>| pod.deleted_at.is_none() && pod.ready && !disrupted.contains_key(pod.name());
            let healthy = number(pods.iter().filter(is_healthy).count());
            let allowed = if expected > 0 { (healthy - desired).max(0) } else { 0 };
            status.expected_pods = Some(expected);
            status.desired_healthy = Some(desired);
            status.current_healthy = Some(healthy);
            status.disruptions_allowed = Some(allowed);
            let (holds, reason) = if allowed > 0 { ("True", "SufficientPods") } else { ("False", "InsufficientPods") };
            set(&mut status, holds, reason, String::new(), now);
        }
        Err(problem) => {
            let message = format!("Failed to calculate the number of expected pods: {problem}");
            events.push((EventType::Warning, "CalculateExpectedPodCountFailed", message));
            status.disruptions_allowed = Some(0);
            set(&mut status, "False", "SyncFailed", problem, now);
        }
    }
    Plan { status: (status != before).then_some(status), events, next }
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// How many Pods there should be, and how many of them healthy.
fn wanted(
    budget: &PodDisruptionBudget,
    present: usize,
    expected: &Expected,
    events: &mut Vec<(EventType, &'static str, String)>,
) -> Result<(i32, i32), String> {
    let spec = budget.spec.clone().unwrap_or_default();
    if let Some(IntOrString::Int(min)) = spec.min_available {
        return Ok((number(present), min));
    }
    let mut total = 0;
    let mut has_unmanaged = false;
    for keeper in &expected.keepers {
        match keeper {
            Keeper::Scale(_, replicas) => total += replicas,
            Keeper::Unscalable(what) => return Err(format!("{what} does not implement the scale subresource")),
            Keeper::Nobody => has_unmanaged = true,
        }
    }
    if has_unmanaged {
        let selector = api::labels::Selector::from_label_selector(spec.selector.as_ref());
        let selector = selector.map(|selector| selector.to_string()).unwrap_or_default();
        let message = format!(
            "Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. As a result, \
             the status of the PDB cannot be calculated correctly, which may result in undefined behavior. To account \
             for these pods please set \".spec.minAvailable\" field of the PDB to an integer value."
        );
        events.push((EventType::Warning, "UnmanagedPods", message));
    }
    let share = |amount: &IntOrString| scaled(amount, total, true).unwrap_or(0);
    let desired = match (&spec.max_unavailable, &spec.min_available) {
        (Some(max), _) => (total - share(max)).max(0),
        (None, Some(min)) => share(min),
        (None, None) => 0,
    };
    Ok((total, desired))
}

/// Pods whose eviction was allowed and that are still there.
fn disrupted(
    budget: &PodDisruptionBudget,
    before: &PodDisruptionBudgetStatus,
    pods: &[Arc<PodFacts>],
    now: Timestamp,
    events: &mut Vec<(EventType, &'static str, String)>,
) -> BTreeMap<String, Time> {
    let mut kept = before.disrupted_pods.clone().unwrap_or_default();
    kept.retain(|name, since| {
        let is_there = pods.iter().any(|pod| pod.name() == name && pod.deleted_at.is_none());
        let is_late = since.0.checked_add(DELETION_TIMEOUT).is_ok_and(|at| at < now);
        if is_there && is_late {
            let of = |text: &Option<String>| text.clone().unwrap_or_default();
            let budget = format!("{}/{}", of(&budget.metadata.namespace), of(&budget.metadata.name));
            let message = format!("Pod was expected by PDB {budget} to be deleted but it wasn't");
            events.push((EventType::Warning, "NotDeleted", message));
        }
        is_there && !is_late
    });
    kept
}

fn set(status: &mut PodDisruptionBudgetStatus, holds: &str, reason: &str, message: String, now: Timestamp) {
    let observed_generation = status.observed_generation;
    let conditions = status.conditions.get_or_insert_default();
    let present = conditions.iter().position(|condition| condition.type_ == DISRUPTION_ALLOWED);
    let since = present.map(|at| &conditions[at]).filter(|present| present.status == holds);
    let condition = Condition {
        type_: DISRUPTION_ALLOWED.to_owned(),
        status: holds.to_owned(),
        reason: reason.to_owned(),
        message,
        observed_generation,
        last_transition_time: since.map_or(Time(now), |present| present.last_transition_time.clone()),
    };
    match present {
        Some(at) => conditions[at] = condition,
        None => conditions.push(condition),
    }
}

#[cfg(test)]
mod tests {
    use client::ObjectKey;
    use k8s_openapi::api::policy::v1::PodDisruptionBudgetSpec;

    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn amount(text: &str) -> IntOrString {
        text.parse().map_or_else(|_| IntOrString::String(text.to_owned()), IntOrString::Int)
    }

    fn pods(ready: usize, all: usize) -> Vec<Arc<PodFacts>> {
        let pod = |n: usize| PodFacts {
            key: Some(ObjectKey::new("ns", format!("p{n}"))),
            ready: n < ready,
            ..PodFacts::default()
        };
        (0..all).map(|n| Arc::new(pod(n))).collect()
    }

    fn budget(min: Option<&str>, max: Option<&str>) -> PodDisruptionBudget {
        let spec = PodDisruptionBudgetSpec {
            min_available: min.map(amount),
            max_unavailable: max.map(amount),
            ..PodDisruptionBudgetSpec::default()
        };
        PodDisruptionBudget { spec: Some(spec), ..PodDisruptionBudget::default() }
    }

    #[test]
    fn budgets_count_what_is_wanted_and_what_is_healthy() {
        // Bounds, ready and present Pods, scales; expected, desired, allowed.
        let scale = |replicas| Keeper::Scale("u".into(), replicas);
        let cases = [
            (Some("1"), None, 2, 2, vec![], (2, 1, 1)),
            (Some("3"), None, 2, 2, vec![], (2, 3, 0)),
            (None, Some("1"), 0, 0, vec![], (0, 0, 0)),
            (None, Some("1"), 3, 3, vec![scale(3)], (3, 2, 1)),
            (None, Some("50%"), 5, 5, vec![scale(5)], (5, 2, 3)),
            (Some("50%"), None, 5, 5, vec![scale(5)], (5, 3, 2)),
            (None, Some("1"), 2, 2, vec![scale(3)], (3, 2, 0)),
            (None, Some("0"), 2, 2, vec![scale(2)], (2, 2, 0)),
            (None, Some("100%"), 2, 2, vec![scale(2), Keeper::Nobody], (2, 0, 2)),
        ];
        for (min, max, ready, present, keepers, wanted) in cases {
            let plan = plan(&budget(min, max), &pods(ready, present), &Expected { keepers }, at(1));
            let status = plan.status.unwrap();
            let found = (status.expected_pods, status.desired_healthy, status.disruptions_allowed);
            assert_eq!(found, (Some(wanted.0), Some(wanted.1), Some(wanted.2)), "{min:?} {max:?} {ready}/{present}");
            let reason = if wanted.2 > 0 { "SufficientPods" } else { "InsufficientPods" };
            assert_eq!(status.conditions.unwrap()[0].reason, reason);
        }
    }

    #[test]
    fn evicted_pods_are_charged_until_they_are_gone_or_late() {
        let mut budget = budget(Some("1"), None);
        let charged = |seconds| Some([("p0".to_owned(), Time(at(seconds)))].into());
        let status =
            |budget: &PodDisruptionBudget, count| plan(budget, &pods(3, count), &Expected::default(), at(1000));
        budget.status = Some(PodDisruptionBudgetStatus { disrupted_pods: charged(990), ..Default::default() });
        let told = status(&budget, 3);
        assert_eq!(told.status.unwrap().disruptions_allowed, Some(1), "two of three count");
        assert!(matches!(told.next, Next::After(wait) if wait.as_secs() == 110));
        budget.status = Some(PodDisruptionBudgetStatus { disrupted_pods: charged(800), ..Default::default() });
        let told = status(&budget, 3);
        assert_eq!((told.status.unwrap().disrupted_pods, told.events[0].1), (None, "NotDeleted"));
    }

    #[test]
    fn what_cannot_be_counted_allows_nothing() {
        let keepers = vec![Keeper::Unscalable("jobs.batch".into())];
        let told = plan(&budget(None, Some("1")), &pods(1, 1), &Expected { keepers }, at(1));
        let status = told.status.unwrap();
        assert_eq!(status.disruptions_allowed, Some(0));
        assert_eq!(status.conditions.unwrap()[0].reason, "SyncFailed");
    }
}
