//! What all calls of the runtime share: the host, the sandboxes and containers, and who listens to events.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use cri::{ContainerEventResponse, ContainerEventType, PodNetwork};
use linux::capability::CapabilitySet;
use linux::cgroup::Cgroups;
use platform::clock::SharedClock;
use platform::random::SharedRandom;
use platform::tasks::{self, TaskKind};
use tokio::sync::broadcast;

use crate::container::Container;
use crate::image::blocking::blocking;
use crate::layout::{self, SandboxDir};
use crate::root_filesystem::RootFilesystems;
use crate::sandbox::Sandbox;
use crate::shim::protocol::{Call, Event};
use crate::shim::spec::{ContainerExit, ContainerPhase};
use crate::shim_client::{self, ShimClient, ShimCommand, ShimNews};

/// How many events a subscriber may be behind before it has to list again.
const EVENT_BACKLOG: usize = 1024;
/// Exit code of containers whose end nobody saw: they were killed with their shim.
pub(super) const KILLED: i32 = 137;

/// The runtime behind its calls.
pub struct Shared {
    pub(crate) root: PathBuf,
    pub(crate) cgroup_root: String,
    pub(crate) cgroups: Cgroups,
    pub(crate) capabilities: CapabilitySet,
    pub(crate) network: Arc<dyn PodNetwork>,
    pub(crate) root_filesystems: Arc<dyn RootFilesystems>,
    pub(crate) shim: ShimCommand,
    pub(crate) random: SharedRandom,
    clock: SharedClock,
    tables: Mutex<Tables>,
    events: broadcast::Sender<ContainerEventResponse>,
    warned: Mutex<BTreeSet<String>>,
    /// For tasks that must not keep a dropped runtime alive.
    itself: Weak<Shared>,
}

#[derive(Default)]
struct Tables {
    sandboxes: BTreeMap<String, Arc<Sandbox>>,
    containers: BTreeMap<String, Arc<Container>>,
}

impl Shared {
    pub(super) fn new(config: super::Config, cgroups: Cgroups, capabilities: CapabilitySet) -> Arc<Self> {
        Arc::new_cyclic(|itself| Self {
            root: config.root,
            cgroup_root: config.cgroup_root,
            cgroups,
            capabilities,
            network: config.network,
            root_filesystems: config.root_filesystems,
            shim: config.shim,
            random: config.random,
            clock: config.clock,
            tables: Mutex::default(),
            events: broadcast::Sender::new(EVENT_BACKLOG),
            warned: Mutex::default(),
            itself: itself.clone(),
        })
    }

    /// A new id: 64 hexadecimal digits, as everyone expects of containers.
    pub fn new_id(&self) -> String {
        (0..4).map(|_| format!("{:016x}", self.random.bits())).collect()
    }

    /// Nanoseconds since the epoch.
    pub fn now(&self) -> i64 {
        i64::try_from(self.clock.now().as_nanosecond()).unwrap_or(i64::MAX)
    }

    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().unwrap_or_else(PoisonError::into_inner)
    }

    // Sandboxes and containers.

    /// A sandbox by id.
    pub fn sandbox(&self, id: &str) -> Option<Arc<Sandbox>> {
        self.tables().sandboxes.get(id).cloned()
    }

    /// All sandboxes.
    pub fn sandboxes(&self) -> Vec<Arc<Sandbox>> {
        self.tables().sandboxes.values().cloned().collect()
    }

    /// Adds a sandbox.
    pub fn add_sandbox(&self, sandbox: Arc<Sandbox>) {
        self.tables().sandboxes.insert(sandbox.id().to_owned(), sandbox);
    }

    /// Forgets a sandbox.
    pub fn forget_sandbox(&self, id: &str) {
        self.tables().sandboxes.remove(id);
    }

    /// A container by id.
    pub fn container(&self, id: &str) -> Option<Arc<Container>> {
        self.tables().containers.get(id).cloned()
    }

    /// All containers.
    pub fn containers(&self) -> Vec<Arc<Container>> {
        self.tables().containers.values().cloned().collect()
    }

    /// The containers of a sandbox.
    pub fn containers_of(&self, sandbox_id: &str) -> Vec<Arc<Container>> {
        self.tables().containers.values().filter(|container| container.sandbox.id() == sandbox_id).cloned().collect()
    }

    /// Adds a container.
    pub fn add_container(&self, container: Arc<Container>) {
        self.tables().containers.insert(container.id().to_owned(), container);
    }

    /// Forgets a container.
    pub fn forget_container(&self, id: &str) {
        self.tables().containers.remove(id);
    }

    // Events.

    /// Hears of everything from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<ContainerEventResponse> {
        self.events.subscribe()
    }

    /// Tells subscribers about a sandbox.
    pub fn announce_sandbox(&self, id: &str, kind: ContainerEventType) {
        self.announce(id, id, kind);
    }

    /// Tells subscribers about a container.
    pub fn announce_container(&self, container: &Container, kind: ContainerEventType) {
        self.announce(container.id(), container.sandbox.id(), kind);
    }

    fn announce(&self, id: &str, sandbox_id: &str, kind: ContainerEventType) {
        if self.events.receiver_count() == 0 {
            return;
        }
        let event = ContainerEventResponse {
            container_id: id.to_owned(),
            container_event_type: kind as i32,
            created_at: self.now(),
            pod_sandbox_status: self.sandbox(sandbox_id).map(|sandbox| sandbox.status()),
            containers_statuses: self.containers_of(sandbox_id).iter().map(|container| container.status()).collect(),
        };
        // A subscriber that left meanwhile is fine.
        let _ = self.events.send(event);
    }

    /// Logs each warning the first time it comes up.
    pub fn warn_once(&self, warnings: &[String]) {
        for warning in warnings {
            if self.warned.lock().unwrap_or_else(PoisonError::into_inner).insert(warning.clone()) {
                tracing::warn!("{warning}; the container runs without it (said once)");
            }
        }
    }

    // Shims.

    /// Serves the connection to a sandbox's shim.
    ///
    /// # Errors
    /// When the socket cannot be watched.
    pub fn serve_shim(&self, sandbox_id: &str, socket: OwnedFd) -> io::Result<ShimClient> {
        let (itself, id) = (self.itself.clone(), sandbox_id.to_owned());
        ShimClient::new(socket, move |news| {
            if let Some(shared) = itself.upgrade() {
                shared.hear(&id, news);
            }
        })
    }

    fn hear(self: &Arc<Self>, sandbox_id: &str, news: ShimNews) {
        match news {
            ShimNews::Event(Event::ContainerExited { container, exit }) => {
                if let Some(container) = self.container(&container)
                    && container.advance(ContainerPhase::Exited(exit))
                {
                    self.announce_container(&container, ContainerEventType::ContainerStoppedEvent);
                }
            }
            ShimNews::Event(Event::ExecExited { .. }) => {}
            ShimNews::Event(Event::SandboxExited) | ShimNews::Gone => {
                // One that is not known yet is looked at once it is.
                if let Some(sandbox) = self.sandbox(sandbox_id) {
                    self.end_if_over(sandbox);
                }
            }
        }
    }

    /// An infra container that ended on its own takes the Pod with it; stopping ends the shim as well.
    pub fn end_if_over(self: &Arc<Self>, sandbox: Arc<Sandbox>) {
        if !sandbox.shim().is_some_and(|shim| shim.is_over()) {
            return;
        }
        let shared = self.clone();
        tasks::spawn(TaskKind::Worker, "sandbox end", async move {
            let _ending = sandbox.ending.lock().await;
            if let Some(shim) = sandbox.shim() {
                // Gone already, or on its way.
                let _ = shim.command(Call::Stop).await;
                shared.sandbox_ended(&sandbox).await;
            }
        });
    }

    /// Nothing of a sandbox runs any more: its containers have ended, seen or unseen.
    pub async fn sandbox_ended(self: &Arc<Self>, sandbox: &Arc<Sandbox>) {
        if !sandbox.set_not_ready() {
            return;
        }
        let (shared, ended) = (self.clone(), sandbox.clone());
        blocking(move || shared.end_unseen(&ended)).await;
        self.announce_sandbox(sandbox.id(), ContainerEventType::ContainerStoppedEvent);
    }

    /// Ends containers of a sandbox without a shim, and takes over what the shim still recorded.
    pub(super) fn end_unseen(&self, sandbox: &Arc<Sandbox>) {
        for container in self.containers_of(sandbox.id()) {
            let cgroup = &container.record.spec.cgroup;
            if let Err(error) = self.cgroups.kill(cgroup).and_then(|()| self.cgroups.remove(cgroup)) {
                tracing::error!(container = container.id(), %error, "cannot end what is left of a container");
            }
            let recorded = layout::read_json_if_there(&sandbox.directory.state_file(container.id()));
            let phase = match (recorded, container.phase()) {
                (Ok(Some(ContainerPhase::Exited(exit))), _) => ContainerPhase::Exited(exit),
                (Ok(Some(ContainerPhase::Running { started_at, .. })), _)
                | (_, Some(ContainerPhase::Running { started_at, .. })) => ContainerPhase::Exited(ContainerExit {
                    code: KILLED,
                    started_at,
                    finished_at: self.now(),
                    oom_killed: false,
                    start_error: None,
                }),
                _ => continue,
            };
            let _ = layout::write_json(&sandbox.directory.state_file(container.id()), &phase);
            if container.advance(phase) {
                self.announce_container(&container, ContainerEventType::ContainerStoppedEvent);
            }
        }
        let cgroup = &sandbox.record.spec.cgroup;
        if let Err(error) = self.cgroups.kill(cgroup).and_then(|()| self.cgroups.remove(cgroup)) {
            tracing::error!(sandbox = sandbox.id(), %error, "cannot end what is left of a sandbox");
        }
    }

    /// Removes every trace of a sandbox: shim, network, files. What is gone already is fine.
    ///
    /// # Errors
    /// When the network or the disk refuse.
    pub async fn discard(&self, directory: &SandboxDir, id: &str) -> cri::Result<()> {
        if let Ok(socket) = shim_client::connect(directory)
            && let Ok(shim) = ShimClient::new(socket, |_| {})
        {
            // Gone already, or on its way.
            let _ = shim.command(Call::Stop).await;
        }
        self.network.detach(id).await?;
        let (directory, cgroups) = (directory.clone(), self.cgroups.clone());
        blocking(move || remove_files(&directory, &cgroups)).await
    }
}

fn remove_files(directory: &SandboxDir, cgroups: &Cgroups) -> cri::Result<()> {
    #[derive(serde::Deserialize)]
    struct CgroupOf {
        spec: Spec,
    }
    #[derive(serde::Deserialize)]
    struct Spec {
        cgroup: String,
    }
    let failed = |error: &dyn std::fmt::Display| cri::Error::Failed(format!("remove sandbox: {error}"));
    // A sandbox that never got as far as its files has no cgroup either.
    if let Ok(CgroupOf { spec }) = layout::read_json(&directory.sandbox_file()) {
        cgroups.kill(&spec.cgroup).and_then(|()| cgroups.remove(&spec.cgroup)).map_err(|error| failed(&error))?;
    }
    match fs::remove_dir_all(directory.path()) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&error)),
        _ => Ok(()),
    }
}
