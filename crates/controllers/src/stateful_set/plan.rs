//! What to do about a StatefulSet's Pods. Pure.
//!
//! Pods are looked at in the order of their ordinals, then those that are one too many from the last one down, then old
//! ones from the last one down. Ordered sets stop at the first that is not available; parallel ones only wait before
//! they replace old Pods.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use client::EventType;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{StatefulSet, StatefulSetSpec};
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Pod, PodTemplateSpec};

use super::pods::{self, INDEX_LABEL, NAME_LABEL};
use super::{Facts, claims};
use crate::pod_facts::PodFacts;
use crate::revisions::POD_LABEL;
use crate::runtime::Next;

/// The template Pods have and the one they are to have, with their revisions' names.
#[derive(Debug, Clone)]
pub struct Templates {
    /// What Pods below the partition have.
    pub current: (String, PodTemplateSpec),
    /// What the others get.
    pub update: (String, PodTemplateSpec),
}

/// What is planned about.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The set.
    pub set: &'a StatefulSet,
    /// Its templates.
    pub templates: &'a Templates,
    /// Its Pods.
    pub pods: &'a [Facts],
    /// Finds a claim.
    pub claim: &'a (dyn Fn(&str) -> Option<Arc<PersistentVolumeClaim>> + Send + Sync),
    /// The time.
    pub now: Timestamp,
}

/// What is done; acts do not depend on each other.
#[derive(Debug, Clone, PartialEq)]
pub enum Act {
    /// Makes claims, and then the Pod that has them.
    Create {
        /// The Pod.
        pod: Box<Pod>,
        /// Those of its claims that are missing.
        claims: Vec<PersistentVolumeClaim>,
    },
    /// Makes claims that a Pod waits for.
    Furnish {
        /// Its name.
        pod: String,
        /// What is missing.
        claims: Vec<PersistentVolumeClaim>,
    },
    /// Deletes a Pod.
    Delete {
        /// The Pod.
        pod: Facts,
        /// What is told beforehand.
        reason: Option<(EventType, &'static str, String)>,
    },
    /// Gives a Pod the labels that tell its name.
    Name {
        /// The Pod.
        pod: Facts,
        /// The labels.
        labels: BTreeMap<String, String>,
    },
    /// Gives a claim the owners it should have.
    Bequeath(Box<PersistentVolumeClaim>),
}

/// What to do, and when to look again.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What to do.
    pub acts: Vec<Act>,
    /// When to look again.
    pub next: Next,
}

/// Whether the next Pod has to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    GoesOn,
    Waits,
}

impl View<'_> {
    fn spec(&self) -> Option<&StatefulSetSpec> {
        self.set.spec.as_ref()
    }

    /// The ordinals there should be.
    pub fn ordinals(&self) -> std::ops::Range<i32> {
        let start = self.spec().and_then(|spec| spec.ordinals.as_ref()).and_then(|ordinals| ordinals.start);
        let start = start.unwrap_or(0);
        start..start.saturating_add(self.replicas())
    }

    /// How many Pods are wanted.
    pub fn replicas(&self) -> i32 {
        self.spec().and_then(|spec| spec.replicas).unwrap_or(1)
    }

    fn is_ordered(&self) -> bool {
        self.spec().and_then(|spec| spec.pod_management_policy.as_deref()) != Some("Parallel")
    }

    /// Whether old Pods are replaced without anybody deleting them.
    pub fn is_rolling(&self) -> bool {
        let strategy = self.spec().and_then(|spec| spec.update_strategy.as_ref());
        strategy.and_then(|strategy| strategy.type_.as_deref()) != Some("OnDelete")
    }

    /// So many of the first Pods keep the current template; none where a rollout names no partition.
    fn partition(&self) -> Option<i32> {
        let strategy = self.spec().and_then(|spec| spec.update_strategy.as_ref())?;
        strategy.rolling_update.as_ref().map(|rolling| rolling.partition.unwrap_or(0))
    }

    fn min_ready_seconds(&self) -> i32 {
        self.spec().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    fn ordinal(&self, pod: &PodFacts) -> Option<i32> {
        pods::ordinal(self.set.metadata.name.as_deref().unwrap_or_default(), pod.name())
    }

    /// Whether a Pod runs and has been ready long enough.
    pub fn is_available(&self, pod: &PodFacts) -> bool {
        is_running_and_ready(pod) && pod.is_available(self.min_ready_seconds(), self.now)
    }

    fn is_fit(&self, pod: &PodFacts) -> bool {
        self.is_available(pod) && pod.deleted_at.is_none()
    }

    /// The template a Pod with this ordinal is made from.
    fn template(&self, ordinal: i32) -> &(String, PodTemplateSpec) {
        let below = |count: i32| ordinal < self.ordinals().start.saturating_add(count);
        let status = self.set.status.as_ref();
        let keeps_current = match self.partition() {
            Some(partition) => below(partition),
            None => self.is_rolling() && below(status.and_then(|status| status.current_replicas).unwrap_or(0)),
        };
        if keeps_current { &self.templates.current } else { &self.templates.update }
    }

    fn missing_claims(&self, ordinal: i32) -> Vec<PersistentVolumeClaim> {
        let mut wanted = claims::of_pod(self.set, ordinal);
        wanted.retain(|claim| (self.claim)(claim.metadata.name.as_deref().unwrap_or_default()).is_none());
        wanted
    }

    fn present_claims(&self, ordinal: i32) -> Vec<Arc<PersistentVolumeClaim>> {
        let names = claims::templates(self.set).map(|template| claims::name(self.set, template, ordinal));
        names.filter_map(|name| (self.claim)(&name)).collect()
    }
}

/// Whether a Pod runs and is ready.
pub fn is_running_and_ready(pod: &PodFacts) -> bool {
    pod.phase == "Running" && pod.ready
}

/// The revision a Pod was made from.
pub fn revision(pod: &PodFacts) -> &str {
    pod.labels.get(POD_LABEL).map_or("", String::as_str)
}

/// Plans the next step.
pub fn plan(view: &View<'_>) -> Plan {
    let mut acts = Vec::new();
    if view.set.metadata.deletion_timestamp.is_none() {
        let flow = keep(view, &mut acts);
        if flow == Flow::GoesOn && shrink(view, &mut acts) == Flow::GoesOn {
            roll(view, &mut acts);
        }
    }
    Plan { acts, next: next_look(view) }
}

fn find(view: &View<'_>, ordinal: i32) -> Option<Facts> {
    view.pods.iter().find(|pod| view.ordinal(pod) == Some(ordinal)).cloned()
}

/// Makes the Pods that are missing and mends the others, in their order.
fn keep(view: &View<'_>, acts: &mut Vec<Act>) -> Flow {
    for ordinal in view.ordinals() {
        let flow = match find(view, ordinal) {
            None => make(view, ordinal, acts),
            Some(pod) => mend(view, ordinal, &pod, acts),
        };
        if flow == Flow::Waits && view.is_ordered() {
            return Flow::Waits;
        }
    }
    Flow::GoesOn
}

fn make(view: &View<'_>, ordinal: i32, acts: &mut Vec<Act>) -> Flow {
    let name = pods::name(view.set, ordinal);
    // A claim that goes with the Pod of this name before must be gone first.
    if view.present_claims(ordinal).iter().any(|claim| claims::is_stale(claim, &name)) {
        return Flow::Waits;
    }
    let (revision, template) = view.template(ordinal);
    let pod = Box::new(pods::new_pod(view.set, ordinal, revision, template));
    acts.push(Act::Create { pod, claims: view.missing_claims(ordinal) });
    Flow::Waits
}

fn mend(view: &View<'_>, ordinal: i32, pod: &Facts, acts: &mut Vec<Act>) -> Flow {
    if pod.is_terminated() {
        if pod.deleted_at.is_none() {
            acts.push(Act::Delete { pod: pod.clone(), reason: Some(recreation(view, pod)) });
        }
        return Flow::Waits;
    }
    if pod.phase == "Pending" {
        let claims = view.missing_claims(ordinal);
        if !claims.is_empty() {
            acts.push(Act::Furnish { pod: pod.name().to_owned(), claims });
        }
    }
    if view.is_ordered() && !view.is_fit(pod) {
        return Flow::Waits;
    }
    let index = ordinal.to_string();
    let labels = [(NAME_LABEL, pod.name()), (INDEX_LABEL, index.as_str())];
    if labels.iter().any(|(name, value)| pod.labels.get(*name).map(String::as_str) != Some(*value)) {
        let labels = labels.map(|(name, value)| (name.to_owned(), value.to_owned()));
        acts.push(Act::Name { pod: pod.clone(), labels: labels.into() });
    }
    bequeath(view, ordinal, pod, false, acts);
    Flow::GoesOn
}

fn bequeath(view: &View<'_>, ordinal: i32, pod: &Facts, scaled_away: bool, acts: &mut Vec<Act>) {
    let claims = view.present_claims(ordinal).into_iter();
    let changed = claims.filter_map(|claim| claims::bequeathed(view.set, pod, &claim, scaled_away));
    acts.extend(changed.map(|claim| Act::Bequeath(Box::new(claim))));
}

fn recreation(view: &View<'_>, pod: &PodFacts) -> (EventType, &'static str, String) {
    let (kind, reason, how) = match pod.phase.as_str() {
        "Failed" => (EventType::Warning, "RecreatingFailedPod", "failed"),
        _ => (EventType::Normal, "RecreatingTerminatedPod", "terminated"),
    };
    let set = view.set.metadata.name.as_deref().unwrap_or_default();
    (kind, reason, format!("StatefulSet {}/{set} is recreating {how} Pod {}", pod.namespace(), pod.name()))
}

/// Removes Pods that are one too many, the last one first.
fn shrink(view: &View<'_>, acts: &mut Vec<Act>) -> Flow {
    let wanted = view.ordinals();
    let mut condemned: Vec<(i32, &Facts)> =
        view.pods.iter().filter_map(|pod| Some((view.ordinal(pod)?, pod))).collect();
    condemned.retain(|(ordinal, _)| !wanted.contains(ordinal));
    condemned.sort_by_key(|(ordinal, _)| std::cmp::Reverse(*ordinal));
    for (ordinal, pod) in &condemned {
        bequeath(view, *ordinal, pod, true, acts);
    }
    if acts.iter().any(|act| matches!(act, Act::Bequeath(_))) {
        // A Pod goes when its claims know that they follow it.
        return Flow::Waits;
    }
    // Removing the first that is unfit can't make things worse.
    let first_unfit = || {
        let wanted = wanted.clone().filter_map(|ordinal| find(view, ordinal));
        let all = wanted.chain(condemned.iter().rev().map(|(_, pod)| (*pod).clone()));
        all.into_iter().find(|pod| !view.is_fit(pod)).map(|pod| pod.uid.clone())
    };
    for (_, pod) in &condemned {
        let waits = pod.deleted_at.is_some()
            || (view.is_ordered() && !view.is_available(pod) && first_unfit().as_ref() != Some(&pod.uid));
        if !waits {
            acts.push(Act::Delete { pod: (*pod).clone(), reason: None });
        }
        if view.is_ordered() {
            return Flow::Waits;
        }
    }
    Flow::GoesOn
}

/// Replaces old Pods, the last one first, one at a time.
fn roll(view: &View<'_>, acts: &mut Vec<Act>) {
    if !view.is_rolling() {
        return;
    }
    let wanted = view.ordinals();
    let first = wanted.start.saturating_add(view.partition().unwrap_or(0));
    for ordinal in (first.max(wanted.start)..wanted.end).rev() {
        // One that was just made is not available yet.
        let Some(pod) = find(view, ordinal) else { return };
        let is_going = acts.iter().any(|act| matches!(act, Act::Delete { pod: going, .. } if going.uid == pod.uid));
        if revision(&pod) != view.templates.update.0 && pod.deleted_at.is_none() && !is_going {
            acts.push(Act::Delete { pod, reason: None });
            return;
        }
        if !view.is_fit(&pod) {
            return;
        }
    }
}

/// When the next Pod becomes available by mere patience.
fn next_look(view: &View<'_>) -> Next {
    let seconds = view.min_ready_seconds();
    let waiting = view.pods.iter().filter_map(|pod| pod.available_at(seconds));
    let waiting = waiting.filter(|at| *at > view.now && seconds > 0);
    waiting
        .min()
        .map_or(Next::OnWakeUp, |at| Next::After(Duration::try_from(at.duration_since(view.now)).unwrap_or_default()))
}
