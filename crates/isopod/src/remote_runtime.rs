//! A container runtime that is another process (`--container-runtime-endpoint`). Its address is kept in the data
//! directory, so that `isopod reset` finds the Pods.

use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context, Result};

use crate::data_dir::DataDir;

/// As the runtime labels what it is told to run for a Pod.
const POD_UID: &str = "io.kubernetes.pod.uid";

/// The runtime at an address; nothing is sent yet.
pub fn connect(data_dir: &DataDir, endpoint: &str) -> Result<cri::Runtime> {
    let runtime = cri_socket::connect(endpoint).context("--container-runtime-endpoint")?;
    fs::write(data_dir.runtime_endpoint(), endpoint).context("cannot keep the runtime's address")?;
    Ok(runtime)
}

/// Ends what a kubelet of this data directory made another runtime run, if it used one: sandboxes of Pods that have a
/// directory in `pods`.
pub fn reset(data_dir: &DataDir, pods: &Path) -> Result<()> {
    let endpoint = match fs::read_to_string(data_dir.runtime_endpoint()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        endpoint => endpoint.context("cannot read the runtime's address")?,
    };
    let runtime = cri_socket::connect(endpoint.trim())?.runtime;
    let threads = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    threads
        .block_on(remove_sandboxes(&*runtime, pods))
        .with_context(|| format!("the runtime at {} must run, so that its Pods can be removed", endpoint.trim()))
}

async fn remove_sandboxes(runtime: &dyn cri::RuntimeService, pods: &Path) -> Result<()> {
    for sandbox in runtime.list_pod_sandbox(cri::PodSandboxFilter::default()).await? {
        let is_ours = sandbox.labels.get(POD_UID).is_some_and(|uid| !uid.is_empty() && pods.join(uid).exists());
        if is_ours {
            runtime.stop_pod_sandbox(&sandbox.id).await?;
            runtime.remove_pod_sandbox(&sandbox.id).await?;
        }
    }
    Ok(())
}
