//! Running a sandbox: files, shim with the infra container, network.

use std::fs;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use cri::{ContainerEventType, PodSandboxConfig};

use super::plan::HostFiles;
use super::record::SandboxRecord;
use super::{Sandbox, Serving, plan};
use crate::image::blocking::blocking;
use crate::layout::{self, SandboxDir};
use crate::runtime::Shared;
use crate::shim::protocol::{Answer, Call};
use crate::shim_client::{self, ShimError};

/// The handler that RuntimeClasses can name: this runtime, which has no other.
const OWN_HANDLER: &str = "isopod";

/// Creates and starts a sandbox; returns its id.
///
/// # Errors
/// As [`cri::RuntimeService::run_pod_sandbox`]; nothing is left behind.
pub async fn run(shared: &Arc<Shared>, config: PodSandboxConfig, runtime_handler: &str) -> cri::Result<String> {
    if !matches!(runtime_handler, "" | OWN_HANDLER) {
        return Err(cri::Error::InvalidArgument(format!("no runtime for {runtime_handler:?} is configured")));
    }
    let id = shared.new_id();
    let spec = plan::plan_sandbox(&id, &config, &shared.cgroup_root, &host_files())?;
    let record = SandboxRecord {
        id: id.clone(),
        created_at: shared.now(),
        runtime_handler: runtime_handler.to_owned(),
        shim_pid: 0,
        network: None,
        config,
        spec,
    };
    let directory = SandboxDir::new(&shared.root, &id);
    match build(shared, &directory, record).await {
        Ok(sandbox) => {
            let sandbox = Arc::new(sandbox);
            shared.add_sandbox(sandbox.clone());
            shared.announce_sandbox(&id, ContainerEventType::ContainerStartedEvent);
            // It may have ended while nobody knew it.
            shared.end_if_over(sandbox);
            Ok(id)
        }
        Err(error) => {
            if let Err(leftover) = shared.discard(&directory, &id).await {
                tracing::error!(sandbox = id, error = %leftover, "sandbox that failed to start was not removed");
            }
            Err(error)
        }
    }
}

async fn build(shared: &Arc<Shared>, directory: &SandboxDir, mut record: SandboxRecord) -> cri::Result<Sandbox> {
    let started = start_shim(shared, directory, &record).await?;
    record.shim_pid = started.shim_pid;
    record.network = Some(attach_network(shared, &record, started.network).await?);
    let write = || layout::write_json(&directory.sandbox_file(), &record);
    write().map_err(|error| cri::Error::Failed(format!("record sandbox: {error}")))?;
    Ok(Sandbox::new(directory.clone(), record, Some(started.serving)))
}

/// A shim whose infra container runs.
struct Started {
    serving: Serving,
    shim_pid: i32,
    network: OwnedFd,
}

async fn start_shim(shared: &Arc<Shared>, directory: &SandboxDir, record: &SandboxRecord) -> cri::Result<Started> {
    let (copy, command) = (record.clone(), shared.shim.clone());
    let at = directory.clone();
    let socket = blocking(move || {
        write_files(&at, &copy).map_err(ShimError::Start)?;
        shim_client::start(&at, &command)
    })
    .await?;
    let shim = shared.serve_shim(&record.id, socket).map_err(ShimError::Start)?;
    match shim.call(Call::Status, Vec::new()).await? {
        (Answer::Status { shim_pid, pause_pid: pause_pid @ 1.., .. }, mut files) if files.len() == 1 => {
            Ok(Started { serving: Serving { shim, pause_pid }, shim_pid, network: files.remove(0) })
        }
        _ => Err(ShimError::Protocol.into()),
    }
}

fn write_files(directory: &SandboxDir, record: &SandboxRecord) -> io::Result<()> {
    layout::create_private_dir(directory.path())?;
    let log_directory = &record.config.log_directory;
    if !log_directory.is_empty() {
        fs::create_dir_all(log_directory)?;
    }
    layout::write_json(&directory.sandbox_file(), record)
}

/// A host without one of the files is as good as one where it is empty.
fn host_files() -> HostFiles {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    HostFiles { hosts: read("/etc/hosts"), resolv_conf: read("/etc/resolv.conf") }
}

async fn attach_network(shared: &Shared, record: &SandboxRecord, network: OwnedFd) -> cri::Result<Vec<IpAddr>> {
    if !record.spec.own_network {
        return Ok(Vec::new());
    }
    let request = plan::plan_network(&record.id, &record.config)?;
    Ok(shared.network.attach(&request, network.as_fd()).await?.addresses)
}
