//! What may be stopped why, and how long it has.

use std::time::Duration;

use testkit::fake_cri::Trace;
use tokio::time::Instant;

use super::super::random_pod::Kind;
use super::commands::probe_field;
use super::{Checker, Hook, Instance, LAST_MOMENT, SLACK};

/// How long a change may wait for what is being done: what is started meanwhile is of the old kind.
const LONGEST_PASS: Duration = Duration::from_secs(120);

/// A reason to stop a container: its grace period, and whether its hook runs.
struct Reason {
    grace: Duration,
    hook: bool,
}

impl Checker<'_> {
    pub(super) fn may_stop(&mut self, one: &Trace, timeout_seconds: i64) -> Result<(), String> {
        let timeout = seconds(timeout_seconds);
        let name = &one.name;
        // One that has ended may be stopped once more.
        let Some(instance) = self.running.get(name) else { return Ok(()) };
        let hooks_missing = self.pod.has(name, "/lifecycle/postStart")
            && instance.post_start == Hook::Waits
            && !self.story.restarted_since(instance.since);
        if hooks_missing {
            return Err(format!("{name} ends, and its postStart hook never ran"));
        }
        if let Some((since, grace)) = self.grace_at(one.at) {
            self.has_its_turn(one, since + grace)?;
            self.hook_ran(one, since + grace)?;
            if one.at + timeout + SLACK < since + grace {
                return Err(format!("{name} would be killed too early"));
            }
        } else {
            let reasons = self.reasons(name, instance, one.at);
            let began = match instance.pre_stop {
                Hook::Waits => one.at,
                Hook::Runs(_) | Hook::Over(..) => instance.stopping.unwrap_or(one.at),
            };
            let fits = |reason: &Reason| {
                let left = (began + reason.grace).saturating_duration_since(one.at).max(LAST_MOMENT);
                let in_time = timeout + SLACK >= left && timeout <= left + SLACK;
                in_time && (!reason.hook || self.hook_ran(one, began + reason.grace).is_ok())
            };
            if !reasons.iter().any(fits) {
                self.unexplained.get_or_insert_with(|| format!("{name} {:?}", one.at - self.story.began));
            }
        }
        if let Some(instance) = self.running.get_mut(name) {
            instance.stopping.get_or_insert(one.at);
        }
        Ok(())
    }

    /// Why a container of a living Pod may be stopped.
    fn reasons(&self, name: &str, instance: &Instance, at: Instant) -> Vec<Reason> {
        let own = seconds(self.pod.grace_seconds());
        let mut reasons = Vec::new();
        for word in ["live", "startup"] {
            let grace = self.pod.container(name)[probe_field(word)]["terminationGracePeriodSeconds"].as_i64();
            if instance.failures(&format!("{word}-{name}")) >= self.threshold(name, word) {
                reasons.push(Reason { grace: grace.map_or(own, seconds), hook: true });
            }
        }
        let changed = |(change, other): &(Instant, String)| {
            other == name && *change <= at && *change + LONGEST_PASS >= instance.since
        };
        let changed = self.story.changes.iter().any(changed);
        let refused = matches!(instance.post_start, Hook::Over(_, code) if code != 0);
        if changed || refused {
            reasons.push(Reason { grace: own, hook: true });
        }
        if self.starts_over.keys().any(|epoch| *epoch >= instance.epoch) {
            reasons.push(Reason { grace: LAST_MOMENT, hook: false });
        }
        reasons
    }

    /// Who is given up is stopped.
    pub(super) fn nobody_is_forgotten(&self, at: Instant) -> Result<(), String> {
        let forgotten = |instance: &Instance| {
            let given_up = instance.given_up.is_some_and(|since| at > since + LONGEST_PASS);
            given_up && instance.stopping.is_none() && !self.story.restarted_since(instance.since)
        };
        match self.running.iter().find(|(_, instance)| forgotten(instance)) {
            Some((name, _)) => Err(format!("{name} is given up and not stopped")),
            None => Ok(()),
        }
    }

    /// A sidecar of a Pod that ends waits for those it serves, while there is time.
    fn has_its_turn(&self, one: &Trace, end: Instant) -> Result<(), String> {
        let (position, kind) = self.pod.position(&one.name);
        if kind != Kind::Sidecar || one.at + SLACK >= end {
            return Ok(());
        }
        let waited_for =
            |index: usize, kind: Kind| kind == Kind::Regular || (kind == Kind::Sidecar && index > position);
        let mut others = self.pod.containers.iter().enumerate();
        let other = others.find(|(index, (name, kind))| waited_for(*index, *kind) && self.running.contains_key(name));
        match other {
            Some((_, (name, _))) => Err(format!("{} is told to stop before {name} ended", one.name)),
            None => Ok(()),
        }
    }

    /// A `preStop` hook comes first, and is only left behind when the grace period is over.
    fn hook_ran(&self, one: &Trace, end: Instant) -> Result<(), String> {
        let instance = &self.running[&one.name];
        match instance.pre_stop {
            _ if !self.pod.has(&one.name, "/lifecycle/preStop") => Ok(()),
            Hook::Over(..) => Ok(()),
            Hook::Runs(_) if one.at + SLACK >= end => Ok(()),
            Hook::Runs(_) => Err(format!("{} is told to stop while its preStop hook runs", one.name)),
            Hook::Waits => Err(format!("{} is told to stop before its preStop hook", one.name)),
        }
    }

    pub(super) fn in_time(&self, one: &Trace) -> Result<(), String> {
        let Some((since, grace)) = self.grace_at(one.at) else { return Ok(()) };
        if one.at > since + grace.max(LAST_MOMENT) + LAST_MOMENT + SLACK {
            return Err(format!("{} ended too late", one.name));
        }
        Ok(())
    }

    /// Since when the Pod is being ended, and what grace period it has. A kubelet that is restarted, or told of a
    /// shorter one, begins anew.
    fn grace_at(&self, at: Instant) -> Option<(Instant, Duration)> {
        let deleted = self.story.deletes.iter().rfind(|(deleted, _)| *deleted <= at).copied();
        let vanished = self.story.vanished.filter(|vanished| *vanished <= at).map(|vanished| (vanished, 1));
        let (asked, grace_seconds) = deleted.or(vanished)?;
        let restarted = self.story.restarts.iter().rfind(|restart| **restart <= at);
        let since = restarted.map_or(asked, |restart| asked.max(*restart));
        Some((since, seconds(grace_seconds)))
    }
}

fn seconds(count: i64) -> Duration {
    Duration::from_secs(u64::try_from(count).unwrap_or(0))
}
