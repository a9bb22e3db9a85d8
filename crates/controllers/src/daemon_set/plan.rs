//! Which nodes get a Pod, which Pods go, and what the status says. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use api::int_or_percent::scaled;
use client::EventType;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::nodes::{self, Suits};
use super::{Facts, Told};
use crate::runtime::Next;

/// What is planned about: a DaemonSet, its Pods by node, and what each node may have.
pub struct View<'a> {
    /// The set.
    pub set: &'a DaemonSet,
    /// The Pods of each node that is there or has some.
    pub pods: BTreeMap<String, Vec<Facts>>,
    /// What each node that is there may have.
    pub suits: BTreeMap<String, Suits>,
    /// The hash of the present template.
    pub hash: &'a str,
    /// The time.
    pub now: Timestamp,
}

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// Nodes that get a Pod.
    pub create: Vec<String>,
    /// Pods that go.
    pub delete: Vec<Facts>,
    /// What is told.
    pub events: Vec<Told>,
    /// When to look again.
    pub next: Next,
}

impl<'a> View<'a> {
    /// Sorts Pods to their nodes and judges the nodes.
    pub fn new(
        set: &'a DaemonSet,
        all: &[std::sync::Arc<Node>],
        pods: &[Facts],
        hash: &'a str,
        now: Timestamp,
    ) -> Self {
        let spec = nodes::template(set, hash).spec.unwrap_or_default();
        let name = |node: &Node| node.metadata.name.clone().unwrap_or_default();
        let suits = all.iter().map(|node| (name(node), nodes::suits(&spec, node))).collect();
        let mut by_node: BTreeMap<String, Vec<Facts>> = BTreeMap::new();
        for pod in pods.iter().filter(|pod| !(pod.is_terminated() && pod.deleted_at.is_some())) {
            by_node.entry(pod.target().to_owned()).or_default().push(pod.clone());
        }
        for on_node in by_node.values_mut() {
            on_node.sort_by_key(|pod| (pod.node.is_empty(), pod.created_at, pod.uid.clone()));
        }
        Self { set, pods: by_node, suits, hash, now }
    }

    /// The Pods of a node, those that are bound there first, the oldest first.
    pub fn on(&self, node: &str) -> &[Facts] {
        self.pods.get(node).map_or(&[], Vec::as_slice)
    }

    /// Whether a Pod was made from the present template.
    pub fn is_current(&self, pod: &Facts) -> bool {
        nodes::is_current(self.set, &pod.labels, self.hash)
    }

    /// Whether a Pod counts as available.
    pub fn is_available(&self, pod: &Facts) -> bool {
        pod.is_available(self.min_ready_seconds(), self.now)
    }

    /// How many nodes should have a Pod.
    pub fn desired(&self) -> usize {
        self.suits.values().filter(|suits| **suits == Suits::Yes).count()
    }

    fn min_ready_seconds(&self) -> i32 {
        self.set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
    }

    /// How many Pods a rollout may add at most.
    pub fn max_surge(&self) -> usize {
        self.bound(|rolling| rolling.max_surge.as_ref())
    }

    /// How many Pods a rollout may miss at most.
    pub fn max_unavailable(&self) -> usize {
        let bound = self.bound(|rolling| rolling.max_unavailable.as_ref());
        // Both may be rounded to nothing, and then nothing could ever move.
        if bound == 0 && self.max_surge() == 0 { 1 } else { bound }
    }

    fn bound(&self, of: impl Fn(&k8s_openapi::api::apps::v1::RollingUpdateDaemonSet) -> Option<&IntOrString>) -> usize {
        let strategy = self.set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
        let amount = rolling.and_then(of).and_then(|amount| scaled(amount, number(self.desired()), true));
        amount.and_then(|amount| usize::try_from(amount).ok()).unwrap_or(0)
    }

    /// Whether old Pods are replaced without anybody deleting them.
    pub fn is_rolling(&self) -> bool {
        let strategy = self.set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
        strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("RollingUpdate")
    }
}

/// Gives every node what it should have. `wait` tells how long a Pod that failed on a node stays there, and counts a
/// failure where it does not.
pub fn plan(view: &View<'_>, mut wait: impl FnMut(&str) -> Duration) -> Plan {
    let mut plan = Plan { create: Vec::new(), delete: Vec::new(), events: Vec::new(), next: next_look(view) };
    for (node, suits) in &view.suits {
        let pods = view.on(node);
        match suits {
            Suits::Yes if pods.is_empty() => plan.create.push(node.clone()),
            Suits::Yes | Suits::MayStay => keep_one(view, node, &mut wait, &mut plan),
            Suits::No => plan.delete.extend(pods.iter().filter(|pod| pod.deleted_at.is_none()).cloned()),
        }
    }
    // Those meant for a node that is gone before they got there.
    for (node, pods) in &view.pods {
        if !view.suits.contains_key(node) {
            let unbound = pods.iter().filter(|pod| pod.node.is_empty() && pod.deleted_at.is_none());
            plan.delete.extend(unbound.cloned());
        }
    }
    plan
}

/// Ended Pods go, so that another takes their place, and of several that run all but one.
fn keep_one(view: &View<'_>, node: &str, wait: &mut impl FnMut(&str) -> Duration, plan: &mut Plan) {
    let mut running = Vec::new();
    for pod in view.on(node).iter().filter(|pod| pod.deleted_at.is_none()) {
        let what = format!("daemon pod {}/{} on node {node}, will try to", pod.namespace(), pod.name());
        match pod.phase.as_str() {
            "Failed" => {
                let left = wait(node);
                if !left.is_zero() {
                    plan.next = sooner(plan.next, left);
                    continue;
                }
                plan.events.push((EventType::Warning, "FailedDaemonPod", format!("Found failed {what} kill it")));
                plan.delete.push(pod.clone());
            }
            "Succeeded" => {
                let message = format!("Found succeeded {what} delete it");
                plan.events.push((EventType::Normal, "SucceededDaemonPod", message));
                plan.delete.push(pod.clone());
            }
            _ => running.push(pod.clone()),
        }
    }
    if view.max_surge() == 0 {
        plan.delete.extend(running.into_iter().skip(1));
        return;
    }
    let (current, old): (Vec<_>, Vec<_>) = running.into_iter().partition(|pod| view.is_current(pod));
    plan.delete.extend(current.iter().skip(1).cloned());
    plan.delete.extend(old.iter().skip(1).cloned());
    if let (Some(new), Some(old)) = (current.first(), old.first())
        && (!old.ready || view.is_available(new))
    {
        plan.delete.push(old.clone());
    }
}

fn sooner(next: Next, left: Duration) -> Next {
    match next {
        Next::After(at) if at <= left => next,
        _ => Next::After(left),
    }
}

/// When the next Pod becomes available by mere patience.
fn next_look(view: &View<'_>) -> Next {
    let seconds = view.min_ready_seconds();
    let all = view.pods.values().flatten();
    let waiting = all.filter_map(|pod| pod.available_at(seconds)).filter(|at| *at > view.now && seconds > 0);
    waiting
        .min()
        .map_or(Next::OnWakeUp, |at| Next::After(Duration::try_from(at.duration_since(view.now)).unwrap_or_default()))
}

/// What the status says.
pub fn status(view: &View<'_>) -> DaemonSetStatus {
    let mut status =
        DaemonSetStatus { observed_generation: view.set.metadata.generation, ..DaemonSetStatus::default() };
    let (mut updated, mut available) = (0, 0);
    for (node, suits) in &view.suits {
        let first = view.on(node).first();
        if *suits != Suits::Yes {
            status.number_misscheduled += i32::from(first.is_some());
            continue;
        }
        status.desired_number_scheduled += 1;
        let Some(first) = first else { continue };
        status.current_number_scheduled += 1;
        status.number_ready += i32::from(first.ready);
        available += i32::from(view.is_available(first));
        updated += i32::from(view.is_current(first));
    }
    let some = |count: i32| (count != 0).then_some(count);
    status.updated_number_scheduled = some(updated);
    status.number_available = some(available);
    status.number_unavailable = some(status.desired_number_scheduled - available);
    status
}

/// Whether a status says something new.
pub fn differs(old: Option<&DaemonSetStatus>, new: &DaemonSetStatus) -> bool {
    let plain = |status: &DaemonSetStatus| DaemonSetStatus {
        updated_number_scheduled: Some(status.updated_number_scheduled.unwrap_or(0)),
        number_available: Some(status.number_available.unwrap_or(0)),
        number_unavailable: Some(status.number_unavailable.unwrap_or(0)),
        conditions: None,
        ..status.clone()
    };
    old.map(plain) != Some(plain(new))
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}
