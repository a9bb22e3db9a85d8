//! What this crate's tests share: Pods from short YAML, observed Pods, times, and a host without a kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use client::EventType;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ObjectReference, Pod};
use linux::cgroup::{Limits, MemoryEvent, Usage};
use platform::clock::Clock;

use crate::events::EventSink;
use crate::host::Host;
use crate::labels::container_hash;
use crate::observed::{ContainerState, Exit, ObservedContainer, ObservedSandbox};
use crate::plan_pod::Epoch;
use crate::pod;

/// A Pod with UID `u1` in namespace `default`; `spec` is YAML.
pub fn pod(spec: &str) -> Pod {
    let spec = serde_saphyr::from_str(spec).unwrap_or_else(|error| panic!("{error}\n{spec}"));
    let mut pod = Pod { spec: Some(spec), ..Pod::default() };
    pod.metadata.name = Some("web".to_owned());
    pod.metadata.namespace = Some("default".to_owned());
    pod.metadata.uid = Some("u1".to_owned());
    pod.metadata.generation = Some(1);
    pod
}

/// Seconds since 1970.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(seconds).unwrap()
}

/// A sandbox with an address.
pub fn sandbox(attempt: u32, ready: bool) -> ObservedSandbox {
    let ips = vec!["10.9.0.1".to_owned()];
    ObservedSandbox { id: format!("s{attempt}"), attempt, ready, host_network: false, ips }
}

/// An instance of one of the Pod's containers in sandbox `s0`.
pub fn instance(pod: &Pod, name: &str, attempt: u32, state: ContainerState) -> ObservedContainer {
    let (_, spec) = pod::find_container(pod, name).unwrap_or_else(|| panic!("no container {name}"));
    ObservedContainer {
        id: format!("{name}-{attempt}"),
        name: name.to_owned(),
        sandbox_id: "s0".to_owned(),
        attempt,
        created_at: at(10),
        epoch: Epoch::default(),
        hash: container_hash(&spec),
        image: spec.image.clone().unwrap_or_default(),
        image_id: "sha256:1".to_owned(),
        state,
        user: None,
        stop_signal: None,
        log_path: String::new(),
        mounts: BTreeMap::new(),
        recursively_read_only: BTreeSet::new(),
        annotations: BTreeMap::new(),
    }
}

/// Running since second 10.
pub fn running() -> ContainerState {
    ContainerState::Running { started_at: at(10) }
}

/// Ran from second 10 to second 20.
pub fn exited(exit_code: i32) -> ContainerState {
    ContainerState::Exited(Exit {
        started_at: Some(at(10)),
        finished_at: at(20),
        exit_code,
        reason: if exit_code == 0 { "Completed" } else { "Error" }.to_owned(),
        message: String::new(),
    })
}

/// Wall-clock time that goes with tokio's, so that a paused runtime stops both.
pub struct TokioClock {
    start: tokio::time::Instant,
    set_by: Mutex<SignedDuration>,
}

impl TokioClock {
    /// Begins at second 1,000,000.
    pub fn new() -> Self {
        Self { start: tokio::time::Instant::now(), set_by: Mutex::default() }
    }

    /// Somebody sets the clock.
    pub fn jump(&self, by: SignedDuration) {
        *self.set_by.lock().unwrap() += by;
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        at(1_000_000) + SignedDuration::try_from(self.start.elapsed()).unwrap() + *self.set_by.lock().unwrap()
    }
}

/// A host that remembers instead of acting.
#[derive(Default)]
pub struct FakeHost {
    calls: Mutex<Vec<String>>,
    mounts: Mutex<Vec<PathBuf>>,
}

impl FakeHost {
    fn call(&self, text: String) {
        self.calls.lock().unwrap().push(text);
    }

    /// What was done to it.
    pub fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap().clone()
    }

    /// What is mounted now.
    pub fn mounts(&self) -> Vec<PathBuf> {
        self.mounts.lock().unwrap().clone()
    }
}

impl Host for FakeHost {
    fn create_cgroup(&self, path: &str, _limits: &Limits) -> io::Result<()> {
        self.call(format!("create {path}"));
        Ok(())
    }

    fn remove_cgroup(&self, path: &str) -> io::Result<()> {
        self.call(format!("remove {path}"));
        Ok(())
    }

    fn cgroup_usage(&self, _path: &str) -> io::Result<Usage> {
        Ok(Usage::default())
    }

    fn memory_event(&self, _path: &str, _growth: i64) -> io::Result<MemoryEvent> {
        Err(io::ErrorKind::Unsupported.into())
    }

    fn child_cgroups(&self, _path: &str) -> Vec<String> {
        Vec::new()
    }

    fn processes_in(&self, _path: &str) -> Vec<i32> {
        Vec::new()
    }

    fn mount_tmpfs(&self, target: &Path, _size_bytes: Option<u64>) -> io::Result<()> {
        if !self.mounts().contains(&target.to_owned()) {
            self.mounts.lock().unwrap().push(target.to_owned());
        }
        Ok(())
    }

    fn bind_mount(&self, _source: &Path, target: &Path) -> io::Result<()> {
        self.mounts.lock().unwrap().push(target.to_owned());
        Ok(())
    }

    fn mount_remote(
        &self,
        source: &Path,
        target: &Path,
        file_system: &str,
        options: &str,
        _read_only: bool,
    ) -> io::Result<()> {
        self.call(format!("mount {file_system} {} {options}", source.display()));
        self.mounts.lock().unwrap().push(target.to_owned());
        Ok(())
    }

    fn unmount(&self, target: &Path) -> io::Result<()> {
        self.mounts.lock().unwrap().retain(|mount| mount != target);
        Ok(())
    }

    fn mounts_below(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.mounts().into_iter().rev().filter(|mount| mount.starts_with(directory)).collect())
    }
}

/// Events as `Reason: message`, with the container's field path before it if there is one.
#[derive(Clone, Default)]
pub struct EventLog {
    events: Arc<Mutex<Vec<String>>>,
}

impl EventLog {
    /// All so far.
    pub fn all(&self) -> Vec<String> {
        self.events.lock().unwrap().clone()
    }

    /// How many have this reason.
    pub fn count(&self, reason: &str) -> usize {
        self.all().iter().filter(|event| event.starts_with(&format!("{reason}: "))).count()
    }
}

impl EventSink for EventLog {
    fn event(&self, _object: &ObjectReference, _kind: EventType, reason: &str, message: String) {
        self.events.lock().unwrap().push(format!("{reason}: {message}"));
    }
}
