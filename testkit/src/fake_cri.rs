//! A container runtime that runs nothing: sandboxes and containers are records, time is tokio's, and a test decides
//! when a container exits, what fails and how long things take.
//!
//! [`FakeCri`] implements both of CRI's services; clones share one state. [`FakeCri::calls`] lists what it was asked
//! to do, in order, which is what most tests look at.

mod images;
mod runtime;
mod state;
mod trace;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use platform::clock::SharedClock;
use tokio::sync::{Notify, broadcast};

use state::State;

pub use trace::{Happening, Trace};

/// How the fake behaves where a real runtime could do either.
#[derive(Debug, Clone, Default)]
pub struct Behaviour {
    /// Makes the next sandboxes fail with this text.
    pub sandbox_failure: Option<String>,
    /// Containers whose start fails, with the text.
    pub start_failures: BTreeMap<String, String>,
    /// Containers that do not react to the stop signal.
    pub deaf: Vec<String>,
    /// Containers that exit with a code as soon as they are started.
    pub exits_at_once: BTreeMap<String, i32>,
    /// Images whose pull fails, with the text.
    pub pull_failures: BTreeMap<String, String>,
    /// How long a pull takes.
    pub pull_time: Duration,
    /// Exit code and output of commands, by their first word; others succeed.
    pub commands: BTreeMap<String, (i32, String)>,
    /// How long commands take, by their first word; others take no time.
    pub command_times: BTreeMap<String, Duration>,
}

/// The fake runtime.
#[derive(Clone)]
pub struct FakeCri {
    state: Arc<Mutex<State>>,
    events: broadcast::Sender<cri::ContainerEventResponse>,
    changed: Arc<Notify>,
    clock: SharedClock,
}

impl FakeCri {
    /// A runtime without sandboxes, on which these images are present.
    pub fn new(clock: SharedClock, images: &[&str]) -> Self {
        let state = State { images: images.iter().map(|image| (*image).to_owned()).collect(), ..State::default() };
        Self {
            state: Arc::new(Mutex::new(state)),
            events: broadcast::channel(256).0,
            changed: Arc::new(Notify::new()),
            clock,
        }
    }

    /// The handle a kubelet takes.
    pub fn runtime(&self) -> cri::Runtime {
        cri::Runtime { runtime: Arc::new(self.clone()), images: Arc::new(self.clone()) }
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut self.state().behaviour);
    }

    /// What it was asked to do so far, reads left out: `run sandbox web-0`, `start app`, `stop app 30`, ...
    pub fn calls(&self) -> Vec<String> {
        self.state().calls.clone()
    }

    /// Forgets the calls so far.
    pub fn forget_calls(&self) {
        self.state().calls.clear();
    }

    /// All that happened so far, in order.
    pub fn trace(&self) -> Vec<Trace> {
        self.state().trace.clone()
    }

    fn note(&self, id: &str, what: Happening) {
        let (at, time) = (tokio::time::Instant::now(), self.now());
        let mut state = self.state();
        let container = state.containers.get(id);
        let trace = Trace {
            at,
            time,
            id: id.to_owned(),
            name: container.map(|container| container.name().to_owned()).unwrap_or_default(),
            sandbox_id: container.map(|container| container.sandbox_id.clone()).unwrap_or_default(),
            annotations: container.map(|container| container.config.annotations.clone()).unwrap_or_default(),
            what,
        };
        state.trace.push(trace);
    }

    /// Ends the running instance of a container.
    ///
    /// # Panics
    /// When no such container runs.
    pub fn exit(&self, name: &str, exit_code: i32) {
        let id = self.state().running(name).unwrap_or_else(|| panic!("container {name} does not run"));
        self.end(&id, exit_code);
    }

    /// Kills a Pod's sandbox and all in it, as a crash of its shim would.
    pub fn kill_sandbox(&self, pod_name: &str) {
        let ids = self.state().ready_sandboxes(pod_name);
        for id in ids {
            self.stop_sandbox_now(&id);
        }
    }

    /// The configuration with which the newest instance of a container was created.
    pub fn container_config(&self, name: &str) -> Option<cri::ContainerConfig> {
        self.state().newest(name).map(|container| container.config.clone())
    }

    /// The configuration of the newest sandbox of a Pod.
    pub fn sandbox_config(&self, pod_name: &str) -> Option<cri::PodSandboxConfig> {
        self.state().newest_sandbox(pod_name).map(|sandbox| sandbox.config.clone())
    }

    /// How many instances of a container there are, alive or not.
    pub fn instances(&self, name: &str) -> usize {
        self.state().count(name)
    }

    /// Whether a container of this name runs.
    pub fn is_running(&self, name: &str) -> bool {
        self.state().running(name).is_some()
    }

    /// How many sandboxes there are, ready or not.
    pub fn sandboxes(&self) -> usize {
        self.state().sandboxes.len()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> i64 {
        i64::try_from(self.clock.now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    fn call(&self, text: String) {
        self.state().calls.push(text);
    }

    /// Marks a container as exited and tells everybody.
    fn end(&self, id: &str, exit_code: i32) {
        let now = self.now();
        let ended = self.state().end(id, exit_code, now);
        if ended {
            self.note(id, Happening::Exited(exit_code));
            self.announce(id, cri::ContainerEventType::ContainerStoppedEvent);
        }
    }

    fn stop_sandbox_now(&self, sandbox_id: &str) {
        self.note(sandbox_id, Happening::SandboxStopped);
        let containers = self.state().stop_sandbox(sandbox_id);
        containers.iter().for_each(|id| self.end(id, 137));
        self.announce(sandbox_id, cri::ContainerEventType::ContainerStoppedEvent);
    }

    fn announce(&self, id: &str, kind: cri::ContainerEventType) {
        let now = self.now();
        let event = self.state().event(id, kind, now);
        self.changed.notify_waiters();
        // An error means that nobody listens.
        let _ = self.events.send(event);
    }
}
