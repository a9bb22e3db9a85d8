//! From the old template to the new one, node by node. Pure.

use super::Facts;
use super::nodes::Suits;
use super::plan::{Plan, View};
use crate::runtime::Next;

/// The Pods of a node that stay: at most one of the present template and one of an old one. None when there are more,
/// which is not for a rollout to mend.
fn pair(view: &View<'_>, node: &str) -> Option<(Option<Facts>, Option<Facts>)> {
    let (mut new, mut old) = (None, None);
    for pod in view.on(node).iter().filter(|pod| pod.deleted_at.is_none()) {
        let place = if view.is_current(pod) { &mut new } else { &mut old };
        if place.replace(pod.clone()).is_some() {
            return None;
        }
    }
    Some((new, old))
}

/// Plans the next step, for nodes that have what they should have.
pub fn plan(view: &View<'_>, next: Next) -> Plan {
    let nothing = Plan { create: Vec::new(), delete: Vec::new(), events: Vec::new(), next };
    match (view.is_rolling(), view.max_surge()) {
        (false, _) => nothing,
        (true, 0) => Plan { delete: replaced(view), ..nothing },
        (true, surge) => {
            let (create, delete) = surged(view, surge);
            Plan { create, delete, ..nothing }
        }
    }
}

/// The nodes that have Pods or should have one.
fn concerned<'a>(view: &'a View<'_>) -> impl Iterator<Item = &'a str> {
    let should = view.suits.iter().filter(|(_, suits)| **suits == Suits::Yes).map(|(node, _)| node.as_str());
    let have = view.pods.keys().map(String::as_str);
    should.chain(have).collect::<std::collections::BTreeSet<_>>().into_iter()
}

/// Old Pods that make room: those that are of no use anyway, and others as far as Pods may be missed.
fn replaced(view: &View<'_>) -> Vec<Facts> {
    let (mut missed, mut useless, mut candidates) = (0, Vec::new(), Vec::new());
    for node in concerned(view) {
        match pair(view, node) {
            Some((Some(new), None)) if view.is_available(&new) => {}
            Some((None, Some(old))) if !view.is_available(&old) => useless.push(old),
            Some((None, Some(old))) => candidates.push(old),
            _ => missed += 1,
        }
    }
    candidates.truncate(view.max_unavailable().saturating_sub(missed));
    useless.extend(candidates);
    useless
}

/// Nodes that get a new Pod beside the old one, and old Pods whose successor is available.
fn surged(view: &View<'_>, max: usize) -> (Vec<String>, Vec<Facts>) {
    let (mut surging, mut useless, mut candidates, mut delete) = (0, Vec::new(), Vec::new(), Vec::new());
    for node in concerned(view) {
        match pair(view, node) {
            None => surging += 1,
            Some((_, None)) => {}
            // No successor can be made there.
            Some((None, Some(old))) if view.suits.get(node) != Some(&Suits::Yes) => delete.push(old),
            Some((None, Some(old))) if !view.is_available(&old) => useless.push(node.to_owned()),
            Some((None, Some(_))) => candidates.push(node.to_owned()),
            Some((Some(new), Some(old))) if view.is_available(&new) => delete.push(old),
            Some((Some(_), Some(_))) => surging += 1,
        }
    }
    candidates.truncate(max.saturating_sub(surging));
    useless.extend(candidates);
    (useless, delete)
}
