//! Opening a runtime: finding again what a former daemon left running.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::PathBuf;
use std::sync::Arc;

use linux::capability::CapabilitySet;
use linux::cgroup::Cgroups;

use super::shared::KILLED;
use super::{Config, Shared};
use crate::container::Container;
use crate::container::record::ContainerRecord;
use crate::layout::{self, SandboxDir};
use crate::sandbox::record::SandboxRecord;
use crate::sandbox::{Sandbox, Serving};
use crate::shim::protocol::{Answer, Call, Failure};
use crate::shim::spec::{ContainerExit, ContainerPhase};
use crate::shim_client::{self, ShimError};

/// Why a runtime could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Its directory cannot be used.
    #[error("use runtime directory {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the file system said.
        source: io::Error,
    },
    /// The host's cgroups cannot be used.
    #[error("use cgroups")]
    Cgroups(#[from] linux::cgroup::Error),
    /// This process's privileges cannot be read.
    #[error("read capabilities")]
    Capabilities(#[source] io::Error),
    /// The network or the image store cannot be brought in line with the sandboxes that live.
    #[error("bring {what} in line with running sandboxes: {source}")]
    Reconcile {
        /// Which of them.
        what: &'static str,
        /// What it said.
        source: cri::Error,
    },
}

pub(super) async fn open(config: Config) -> Result<Arc<Shared>, OpenError> {
    let directory = |path: PathBuf| move |source| OpenError::Directory { path, source };
    layout::prepare(&config.root).map_err(|(path, source)| OpenError::Directory { path, source })?;
    let capabilities = CapabilitySet::bounding().map_err(OpenError::Capabilities)?;
    let shared = Shared::new(config, Cgroups::detect()?, capabilities);
    let sandboxes = layout::sandboxes(&shared.root);
    let entries = fs::read_dir(&sandboxes).map_err(directory(sandboxes.clone()))?;
    for entry in entries {
        let entry = entry.map_err(directory(sandboxes.clone()))?;
        let id = entry.file_name().to_string_lossy().into_owned();
        find_again(&shared, SandboxDir::at(entry.path()), &id).await;
    }
    reconcile(&shared).await?;
    Ok(shared)
}

/// Takes up one sandbox: ready when its shim answers, not ready when it is over, removed when it never was complete.
async fn find_again(shared: &Arc<Shared>, directory: SandboxDir, id: &str) {
    let record: io::Result<SandboxRecord> = layout::read_json(&directory.sandbox_file());
    let record = match record {
        Ok(record) if record.network.is_some() => record,
        incomplete => {
            tracing::warn!(
                sandbox = id,
                error = incomplete.err().map(|e| e.to_string()),
                "removing incomplete sandbox"
            );
            if let Err(error) = shared.discard(&directory, id).await {
                tracing::error!(sandbox = id, %error, "incomplete sandbox was not removed");
            }
            return;
        }
    };
    let (serving, tenants) = connect(shared, &directory, id).await.unzip();
    let tenants = tenants.unwrap_or_default();
    let ready = serving.is_some();
    if !ready && let Some(process) = shim_client::find(record.shim_pid, &directory) {
        // It lives and cannot be spoken to: its children die with it.
        let _ = linux::process::signal(process.as_fd(), libc::SIGKILL);
    }
    let sandbox = Arc::new(Sandbox::new(directory, record, serving));
    shared.add_sandbox(sandbox.clone());
    find_containers(shared, &sandbox, tenants.running.as_ref());
    end_unknown(shared, &sandbox, &tenants).await;
    if sandbox.shim().is_none() {
        // As far as it had not been cleaned up when its shim ended, or when it ended just now.
        sandbox_over(shared, &sandbox).await;
    } else {
        shared.end_if_over(sandbox);
    }
    tracing::info!(sandbox = id, ready, "found sandbox");
}

/// What a shim says of its containers.
#[derive(Debug, Default)]
struct Tenants {
    /// Those whose programs run, unless it does not tell.
    running: Option<Running>,
    /// Those it was told to start by a daemon that is gone.
    starting: Vec<String>,
}

type Running = BTreeMap<String, ContainerPhase>;

async fn connect(shared: &Arc<Shared>, directory: &SandboxDir, id: &str) -> Option<(Serving, Tenants)> {
    let socket = shim_client::connect(directory).ok()?;
    let shim = shared.serve_shim(id, socket).ok()?;
    match shim.call(Call::Status, Vec::new()).await {
        Ok((Answer::Status { pause_pid: pause_pid @ 1.., running, starting, .. }, _)) => {
            Some((Serving { shim, pause_pid }, Tenants { running, starting }))
        }
        // Without its infra container a sandbox is over.
        Ok(_) => {
            let _ = shim.command(Call::Stop).await;
            None
        }
        Err(_) => None,
    }
}

fn find_containers(shared: &Arc<Shared>, sandbox: &Arc<Sandbox>, running: Option<&Running>) {
    let ids = sandbox.directory.container_ids().unwrap_or_else(|error| {
        tracing::error!(sandbox = sandbox.id(), %error, "containers of sandbox cannot be listed");
        Vec::new()
    });
    for id in ids {
        let path = sandbox.directory.container_file(&id);
        let record: io::Result<ContainerRecord> = layout::read_json(&path);
        match record {
            Ok(record) => {
                let recorded = layout::read_json_if_there(&sandbox.directory.state_file(&id));
                if let Err(error) = &recorded {
                    tracing::error!(container = id, %error, "state of container cannot be read");
                }
                let phase = found_phase(recorded, running.map(|running| running.get(&id)), shared.now());
                if let Some(phase) = &phase
                    && let Err(error) = layout::write_json(&sandbox.directory.state_file(&id), phase)
                {
                    tracing::error!(container = id, %error, "state of container cannot be recorded");
                }
                shared.add_container(Arc::new(Container::new(record, sandbox.clone(), phase)));
            }
            Err(error) => {
                tracing::warn!(container = id, %error, "removing container whose record cannot be read");
                if let Err(error) = fs::remove_file(&path) {
                    tracing::error!(container = id, %error, "record of container was not removed");
                }
            }
        }
    }
}

/// How far a container is: its shim knows whether it runs; how it ended is on disk, and if that cannot be read any more
/// it counts as killed. `running` is the shim's word on this container, absent when the shim says nothing of any.
fn found_phase(
    recorded: io::Result<Option<ContainerPhase>>,
    running: Option<Option<&ContainerPhase>>,
    now: i64,
) -> Option<ContainerPhase> {
    let killed = |started_at| {
        let exit = ContainerExit { code: KILLED, started_at, finished_at: now, oom_killed: false, start_error: None };
        Some(ContainerPhase::Exited(exit))
    };
    match (running, recorded) {
        (Some(Some(running)), _) => Some(running.clone()),
        (Some(None), Ok(Some(ContainerPhase::Running { started_at, .. }))) => killed(started_at),
        (_, Ok(recorded)) => recorded,
        (_, Err(_)) => killed(now),
    }
}

/// Kills what runs without a record, or does not run yet while nobody waits for it any more: whoever asks for its Pod
/// would be told that it does not run, and start it a second time.
async fn end_unknown(shared: &Shared, sandbox: &Sandbox, tenants: &Tenants) {
    let Some(shim) = sandbox.shim() else { return };
    let unknown = tenants.running.iter().flat_map(BTreeMap::keys).filter(|id| shared.container(id).is_none());
    for id in unknown.chain(&tenants.starting) {
        tracing::warn!(container = id, sandbox = sandbox.id(), "killing a container that nobody knows to run");
        match shim.command(Call::Kill { container: id.clone() }).await {
            Ok(()) | Err(ShimError::Refused(Failure::NotFound(_))) => {}
            Err(error) => tracing::error!(container = id, %error, "it was not killed"),
        }
    }
}

async fn sandbox_over(shared: &Arc<Shared>, sandbox: &Arc<Sandbox>) {
    let (worker, over) = (shared.clone(), sandbox.clone());
    crate::image::blocking::blocking(move || worker.end_unseen(&over)).await;
}

/// Lets network and image store release what belongs to nobody any more.
async fn reconcile(shared: &Arc<Shared>) -> Result<(), OpenError> {
    let live: Vec<String> =
        shared.sandboxes().iter().filter(|sandbox| sandbox.shim().is_some()).map(|s| s.id().to_owned()).collect();
    let failed = |what| move |source| OpenError::Reconcile { what, source };
    shared.network.retain(&live).await.map_err(failed("the Pod network"))?;
    let containers: Vec<String> = shared.containers().iter().map(|container| container.id().to_owned()).collect();
    shared.root_filesystems.retain(&containers).map_err(failed("the image store"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shim::spec::ResolvedUser;

    fn exit_code(phase: Option<ContainerPhase>) -> Option<i32> {
        match phase {
            Some(ContainerPhase::Exited(exit)) => Some(exit.code),
            _ => None,
        }
    }

    #[test]
    fn the_shim_knows_what_runs_and_the_disk_how_it_ended() {
        let runs = ContainerPhase::Running { pid: 7, started_at: 5, user: ResolvedUser::default() };
        let ended = ContainerPhase::Exited(ContainerExit {
            code: 3,
            started_at: 5,
            finished_at: 6,
            oom_killed: false,
            start_error: None,
        });
        let broken = || Err(io::ErrorKind::InvalidData.into());
        assert_eq!(found_phase(broken(), Some(Some(&runs)), 9), Some(runs.clone()));
        assert_eq!(found_phase(Ok(None), Some(None), 9), None, "created, never started");
        assert_eq!(exit_code(found_phase(Ok(Some(ended)), Some(None), 9)), Some(3));
        assert_eq!(exit_code(found_phase(Ok(Some(runs.clone())), Some(None), 9)), Some(KILLED), "ended unrecorded");
        assert_eq!(exit_code(found_phase(broken(), Some(None), 9)), Some(KILLED), "not started a second time");
        assert_eq!(found_phase(Ok(Some(runs.clone())), None, 9), Some(runs), "an older shim does not tell");
    }
}
