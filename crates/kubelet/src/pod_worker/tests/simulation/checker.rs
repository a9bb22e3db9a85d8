//! What must hold of everything the runtime was made to do, whatever befell the Pod.
//!
//! - A container never runs twice at the same time, nor in a sandbox that is gone.
//! - Init containers, sidecars and regular containers start in order, once more in each sandbox and each time the whole
//!   Pod starts over; nothing starts once the Pod is to end, nor after an exit that its policy leaves alone.
//! - A container that keeps exiting waits 10 s, doubled up to 5 minutes, unless it ran for 10 minutes, has become another
//!   one or the kubelet was restarted.
//! - A container of a living Pod is only stopped for a reason. It has its whole grace period, and no more.
//! - A deleted Pod's containers have all of its grace period and little more; sidecars end after the others, in reverse.
//! - Hooks run once, at their time; probes are asked in order and are heeded.

mod backoff;
mod commands;
mod order;
mod stopping;

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use testkit::fake_cri::{Happening, Trace};
use tokio::time::Instant;

use super::random_pod::SimulatedPod;
use super::scenario::Story;
use super::settled::START_FAILED;
use crate::labels;
use backoff::Waits;

/// What a step already on its way takes.
const SLACK: Duration = Duration::from_secs(1);
/// Every container has this long between the signals.
const LAST_MOMENT: Duration = Duration::from_secs(2);

/// Reads the trace.
///
/// # Errors
/// The first thing that is not as it must be.
pub fn check(pod: &SimulatedPod, story: &Story, trace: &[Trace]) -> Result<(), String> {
    let mut checker = Checker::new(pod, story);
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
    /// Its startup probe succeeded, if it has one.
    Up,
    Succeeded,
}

/// A container that runs.
struct Instance {
    id: String,
    epoch: u32,
    since: Instant,
    up: bool,
    post_start: Hook,
    pre_stop: Hook,
    /// Failures in a row, by the probe's word.
    failures: HashMap<String, u64>,
    /// Since when a probe or its hook has given up on it.
    given_up: Option<Instant>,
    /// Since when somebody ends it.
    stopping: Option<Instant>,
}

/// A hook of an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hook {
    Waits,
    Runs(Instant),
    Over(Instant, i32),
}

struct Checker<'a> {
    pod: &'a SimulatedPod,
    story: &'a Story,
    sandbox: Option<String>,
    /// By name.
    running: HashMap<String, Instance>,
    past: HashSet<Deed>,
    /// Sandbox, start of the Pod, and code of the last exit, by name.
    exits: HashMap<String, (String, u32, i32)>,
    waits: HashMap<String, Waits>,
    /// Since when the whole Pod is to start over, by what start of it that ends.
    starts_over: HashMap<u32, Instant>,
    /// A stop without a reason, or with less time than the reason grants: only the Pod's own end can explain it.
    unexplained: Option<String>,
}

impl<'a> Checker<'a> {
    fn new(pod: &'a SimulatedPod, story: &'a Story) -> Self {
        let (running, past, exits, waits, starts_over) = Default::default();
        Self { pod, story, sandbox: None, running, past, exits, waits, starts_over, unexplained: None }
    }

    fn read(&mut self, one: &Trace) -> Result<(), String> {
        self.nobody_is_forgotten(one.at)?;
        match &one.what {
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
                self.started(one);
                Ok(())
            }
            Happening::StartFailed => {
                self.may_start(one)?;
                self.waited(one)?;
                self.exited(one, START_FAILED);
                Ok(())
            }
            Happening::StopAsked { timeout_seconds } => self.may_stop(one, *timeout_seconds),
            Happening::Exited(code) => {
                self.running.remove(&one.name);
                self.exited(one, *code);
                self.in_time(one)
            }
            Happening::Updated => Ok(()),
            Happening::CommandBegan(word) => self.command_began(one, word),
            Happening::CommandEnded(word, code) => self.command_ended(one, word, *code),
        }
    }

    fn started(&mut self, one: &Trace) {
        let up = !self.pod.has(&one.name, "/startupProbe");
        let instance = Instance {
            id: one.id.clone(),
            epoch: epoch_of(one),
            since: one.at,
            up,
            post_start: Hook::Waits,
            pre_stop: Hook::Waits,
            failures: HashMap::new(),
            given_up: None,
            stopping: None,
        };
        self.running.insert(one.name.clone(), instance);
        self.past.insert(deed(one, &one.name, Step::Started));
        if up {
            self.past.insert(deed(one, &one.name, Step::Up));
        }
    }

    fn exited(&mut self, one: &Trace, code: i32) {
        self.note_exit(one);
        self.exits.insert(one.name.clone(), (one.sandbox_id.clone(), epoch_of(one), code));
        if code == 0 {
            self.past.insert(deed(one, &one.name, Step::Succeeded));
        }
        if self.pod.restarts_all(&one.name, code) {
            self.starts_over.entry(epoch_of(one)).or_insert(one.at);
        }
    }
}

fn deed(one: &Trace, name: &str, step: Step) -> Deed {
    (name.to_owned(), one.sandbox_id.clone(), epoch_of(one), step)
}

fn epoch_of(one: &Trace) -> u32 {
    one.annotations.get(labels::EPOCH).and_then(|text| text.parse().ok()).unwrap_or(0)
}
