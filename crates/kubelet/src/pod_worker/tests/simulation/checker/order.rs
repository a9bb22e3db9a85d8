//! What may start when.

use std::time::Duration;

use testkit::fake_cri::Trace;

use super::super::random_pod::Kind;
use super::{Checker, Hook, Step, deed, epoch_of};

/// How long the word that a Pod is to end takes to reach its worker: nothing is pulled and no hook is waited for.
const A_MOMENT: Duration = Duration::from_millis(50);

impl Checker<'_> {
    pub(super) fn may_start(&self, one: &Trace) -> Result<(), String> {
        let name = &one.name;
        if let Some(instance) = self.running.get(name) {
            return Err(format!("{name} starts while {} runs", instance.id));
        }
        if self.sandbox.as_ref() != Some(&one.sandbox_id) {
            return Err(format!("{name} starts in a sandbox that is gone"));
        }
        if self.is_past_the_end(one) {
            return Err(format!("{name} starts although the Pod is to end"));
        }
        if let Some(stopped) = &self.unexplained {
            return Err(format!("{name} starts, so the Pod lives on: {stopped} was not stopped as it should be"));
        }
        if let Some((before, _)) = self.running.iter().find(|(_, instance)| instance.epoch < epoch_of(one)) {
            return Err(format!("{name} starts while {before} runs, which is of the past"));
        }
        let hooked = |hook: Hook| matches!(hook, Hook::Runs(since) if !self.story.restarted_since(since));
        if let Some((other, _)) = self.running.iter().find(|(_, instance)| hooked(instance.post_start)) {
            return Err(format!("{name} starts while the postStart hook of {other} runs"));
        }
        self.may_start_again(one)?;
        self.comes_in_order(one)
    }

    fn is_past_the_end(&self, one: &Trace) -> bool {
        let ending = self.story.deletes.first().map(|(at, _)| *at).or(self.story.vanished);
        let deadline = self.pod.deadline_seconds().filter(|_| self.story.jumps.is_empty());
        let deadline = deadline.map(|seconds| self.story.began + Duration::from_secs(seconds));
        ending.into_iter().chain(deadline).any(|ending| one.at > ending + A_MOMENT)
    }

    fn may_start_again(&self, one: &Trace) -> Result<(), String> {
        let Some((sandbox_id, epoch, code)) = self.exits.get(&one.name) else { return Ok(()) };
        let renewed = match self.pod.position(&one.name).1 {
            // A new sandbox is initialized anew.
            Kind::Init | Kind::Sidecar => (sandbox_id, *epoch) != (&one.sandbox_id, epoch_of(one)),
            Kind::Regular => *epoch != epoch_of(one),
            Kind::Ephemeral => false,
        };
        match renewed || self.pod.restarts(&one.name, *code) {
            true => Ok(()),
            false => Err(format!("{} starts again after it ended with {code}", one.name)),
        }
    }

    fn comes_in_order(&self, one: &Trace) -> Result<(), String> {
        let has = |name: &String, step| self.past.contains(&deed(one, name, step));
        let (position, kind) = self.pod.position(&one.name);
        if kind == Kind::Ephemeral {
            return Ok(());
        }
        for (index, (name, other)) in self.pod.containers.iter().enumerate() {
            let comes_first = index < position && *other != Kind::Regular;
            let problem = match other {
                Kind::Init if comes_first && !has(name, Step::Succeeded) => "has not succeeded",
                Kind::Sidecar if comes_first && !has(name, Step::Started) => "was not started",
                Kind::Sidecar if comes_first && !has(name, Step::Up) => "has not come up",
                Kind::Regular if kind == Kind::Init && has(name, Step::Started) => "was started before",
                _ => continue,
            };
            return Err(format!("{} starts, but {name} {problem}", one.name));
        }
        Ok(())
    }
}
