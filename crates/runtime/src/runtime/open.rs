//! Opening a runtime: finding again what a former daemon left running.

use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use linux::capability::CapabilitySet;
use linux::cgroup::Cgroups;

use super::{Config, Shared};
use crate::container::Container;
use crate::container::record::ContainerRecord;
use crate::layout::{self, SandboxDir};
use crate::sandbox::Sandbox;
use crate::sandbox::record::SandboxRecord;
use crate::shim::protocol::{Answer, Call};
use crate::shim_client::{self, ShimClient};

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
    let shim = connect(shared, &directory, id).await;
    let ready = shim.is_some();
    let sandbox = Arc::new(Sandbox::new(directory, record, shim));
    shared.add_sandbox(sandbox.clone());
    find_containers(shared, &sandbox);
    if !ready {
        // As far as it had not been cleaned up when its shim ended.
        sandbox_over(shared, &sandbox).await;
    }
    tracing::info!(sandbox = id, ready, "found sandbox");
}

async fn connect(shared: &Arc<Shared>, directory: &SandboxDir, id: &str) -> Option<ShimClient> {
    let socket = shim_client::connect(directory).ok()?;
    let shim = shared.serve_shim(id, socket).ok()?;
    match shim.call(Call::Status, Vec::new()).await {
        Ok((Answer::Status { pause_pid: 1.., .. }, _)) => Some(shim),
        // Without its infra container a sandbox is over.
        Ok(_) => {
            let _ = shim.command(Call::Stop).await;
            None
        }
        Err(_) => None,
    }
}

fn find_containers(shared: &Arc<Shared>, sandbox: &Arc<Sandbox>) {
    let ids = sandbox.directory.container_ids().unwrap_or_else(|error| {
        tracing::error!(sandbox = sandbox.id(), %error, "containers of sandbox cannot be listed");
        Vec::new()
    });
    for id in ids {
        let path = sandbox.directory.container_file(&id);
        let record: io::Result<ContainerRecord> = layout::read_json(&path);
        match record {
            Ok(record) => {
                let phase = layout::read_json_if_there(&sandbox.directory.state_file(&id)).unwrap_or_else(|error| {
                    tracing::error!(container = id, %error, "state of container cannot be read");
                    None
                });
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
