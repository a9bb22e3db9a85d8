//! What must hold of everything the runtime was made to do, whatever befell the Pod.
//!
//! - A container never runs twice at the same time, nor in a sandbox that is gone.
//! - Init containers, sidecars and regular containers start in order, once more in each sandbox and each time the whole
//!   Pod starts over; nothing starts once the Pod is to end.
//! - A container that keeps exiting waits 10 s, doubled up to 5 minutes, unless it ran for 10 minutes or the kubelet was
//!   restarted.
//! - A deleted Pod's containers have all of its grace period and little more; sidecars end after the others, in reverse.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use testkit::fake_cri::{Happening, Trace};
use tokio::time::Instant;

use super::scenario::{Kind, SimulatedPod, Story};
use crate::labels;

/// What a step already on its way takes.
const SLACK: Duration = Duration::from_secs(1);
/// Every container has this long between the signals.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// Reads the trace.
///
/// # Errors
/// The first thing that is not as it must be.
pub fn check(pod: &SimulatedPod, story: &Story, trace: &[Trace]) -> Result<(), String> {
    let mut checker =
        Checker { pod, story, sandbox: None, running: HashMap::new(), past: HashSet::new(), waits: HashMap::new() };
    for one in trace {
        checker.read(one).map_err(|problem| format!("{problem} at {:?} ({one:?})", one.at - story.began))?;
    }
    match checker.running.keys().next() {
        Some(name) => Err(format!("{name} still runs")),
        None => Ok(()),
    }
}

/// Something a container did, in which sandbox and since which start of the Pod.
type Deed = (String, String, u32, Step);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Step {
    Started,
    Succeeded,
}

/// What the next restart of a container has to wait for.
#[derive(Debug, Default)]
struct Waits {
    exited: Option<i64>,
    /// When it was restarted, by both clocks, and how long it waits after its next exit.
    restarted: Option<(i64, Instant, Duration)>,
}

struct Checker<'a> {
    pod: &'a SimulatedPod,
    story: &'a Story,
    sandbox: Option<String>,
    /// Ids and starts of the Pod, by name.
    running: HashMap<String, (String, u32)>,
    past: HashSet<Deed>,
    waits: HashMap<String, Waits>,
}

impl Checker<'_> {
    fn read(&mut self, one: &Trace) -> Result<(), String> {
        match one.what {
            Happening::SandboxRun => {
                let before = self.sandbox.replace(one.id.clone());
                before.map_or(Ok(()), |before| Err(format!("a second sandbox beside {before}")))
            }
            Happening::SandboxStopped => {
                self.sandbox = self.sandbox.take().filter(|sandbox| *sandbox != one.id);
                Ok(())
            }
            Happening::Created => Ok(()),
            Happening::Started => {
                self.may_start(one)?;
                self.waited(one)?;
                self.running.insert(one.name.clone(), (one.id.clone(), epoch_of(one)));
                self.past.insert(deed(one, &one.name, Step::Started));
                Ok(())
            }
            Happening::StartFailed => {
                self.waited(one)?;
                self.waits.entry(one.name.clone()).or_default().exited = Some(one.time);
                Ok(())
            }
            Happening::StopAsked { timeout_seconds } => self.may_stop(one, timeout_seconds),
            Happening::Exited(code) => {
                self.running.remove(&one.name);
                self.waits.entry(one.name.clone()).or_default().exited = Some(one.time);
                if code == 0 {
                    self.past.insert(deed(one, &one.name, Step::Succeeded));
                }
                self.in_time(one)
            }
        }
    }

    fn may_start(&self, one: &Trace) -> Result<(), String> {
        if let Some((id, _)) = self.running.get(&one.name) {
            return Err(format!("{} starts while {id} runs", one.name));
        }
        if self.sandbox.as_ref() != Some(&one.sandbox_id) {
            return Err(format!("{} starts in a sandbox that is gone", one.name));
        }
        let ending = self.story.deletes.first().map(|(at, _)| *at).or(self.story.vanished);
        if ending.is_some_and(|ending| one.at > ending + SLACK) {
            return Err(format!("{} starts although the Pod is to end", one.name));
        }
        if let Some((before, _)) = self.running.iter().find(|(_, (_, epoch))| *epoch < epoch_of(one)) {
            return Err(format!("{} starts while {before} runs, which is of the past", one.name));
        }
        let has = |name: &String, step| self.past.contains(&deed(one, name, step));
        let position = self.pod.containers.iter().position(|(name, _)| *name == one.name).expect("it is of the Pod");
        let kind = self.pod.containers[position].1;
        for (index, (name, other)) in self.pod.containers.iter().enumerate() {
            let comes_first = index < position && *other != Kind::Regular;
            let problem = match other {
                Kind::Init if comes_first && !has(name, Step::Succeeded) => "has not succeeded",
                Kind::Sidecar if comes_first && !has(name, Step::Started) => "was not started",
                Kind::Regular if kind == Kind::Init && has(name, Step::Started) => "was started before",
                _ => continue,
            };
            return Err(format!("{} starts, but {name} {problem}", one.name));
        }
        Ok(())
    }

    fn waited(&mut self, one: &Trace) -> Result<(), String> {
        let waits = self.waits.entry(one.name.clone()).or_default();
        let Some(exited) = waits.exited else { return Ok(()) };
        let known = waits.restarted.filter(|(_, at, _)| !self.story.restarts.iter().any(|restart| restart >= at));
        let valid = known.filter(|(time, _, _)| exited - time <= 600_000_000_000).map(|(_, _, delay)| delay);
        let next = valid.map_or(Duration::from_secs(10), |delay| (delay * 2).min(Duration::from_secs(300)));
        waits.restarted = Some((one.time, one.at, next));
        let waited = Duration::from_nanos(u64::try_from(one.time - exited).unwrap_or(0));
        match valid {
            Some(delay) if waited + Duration::from_millis(1) < delay => {
                Err(format!("{} waited {waited:?} instead of {delay:?}", one.name))
            }
            _ => Ok(()),
        }
    }

    fn may_stop(&self, one: &Trace, timeout_seconds: i64) -> Result<(), String> {
        let Some((since, grace)) = self.grace_at(one.at) else { return Ok(()) };
        let position = self.pod.containers.iter().position(|(name, _)| *name == one.name).expect("it is of the Pod");
        let is_over = one.at + SLACK >= since + grace;
        if self.pod.containers[position].1 == Kind::Sidecar && !is_over {
            let waited_for =
                |index: usize, kind: Kind| kind == Kind::Regular || (kind == Kind::Sidecar && index > position);
            let mut others = self.pod.containers.iter().enumerate();
            let other =
                others.find(|(index, (name, kind))| waited_for(*index, *kind) && self.running.contains_key(name));
            if let Some((_, (name, _))) = other {
                return Err(format!("{} is told to stop before {name} ended", one.name));
            }
        }
        let killed_at = one.at + Duration::from_secs(u64::try_from(timeout_seconds).unwrap_or(0));
        if killed_at + SLACK < since + grace {
            return Err(format!("{} would be killed too early", one.name));
        }
        Ok(())
    }

    fn in_time(&self, one: &Trace) -> Result<(), String> {
        let Some((since, grace)) = self.grace_at(one.at) else { return Ok(()) };
        if one.at > since + grace.max(LAST_MOMENT) + LAST_MOMENT + SLACK {
            return Err(format!("{} ended too late", one.name));
        }
        Ok(())
    }

    /// Since when the Pod is being ended, and what grace period it has. A kubelet that is restarted, or told of a
    /// shorter one, begins anew.
    fn grace_at(&self, at: Instant) -> Option<(Instant, Duration)> {
        let (deleted, grace_seconds) = self.story.deletes.iter().rfind(|(deleted, _)| *deleted <= at)?;
        let restarted = self.story.restarts.iter().rfind(|restart| **restart <= at);
        let since = restarted.map_or(*deleted, |restart| *restart.max(deleted));
        Some((since, Duration::from_secs(u64::try_from(*grace_seconds).unwrap_or(0))))
    }
}

fn deed(one: &Trace, name: &str, step: Step) -> Deed {
    (name.to_owned(), one.sandbox_id.clone(), epoch_of(one), step)
}

fn epoch_of(one: &Trace) -> u32 {
    one.annotations.get(labels::EPOCH).and_then(|text| text.parse().ok()).unwrap_or(0)
}
