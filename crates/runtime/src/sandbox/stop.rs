//! Stopping and removing a sandbox.

use std::sync::Arc;

use cri::ContainerEventType;

use super::Sandbox;
use crate::runtime::Shared;
use crate::shim::protocol::Call;
use crate::shim_client::ShimError;

/// Ends everything in the sandbox and releases its network. What has ended already is fine.
///
/// # Errors
/// When the network refuses.
pub async fn stop(shared: &Arc<Shared>, sandbox: &Arc<Sandbox>) -> cri::Result<()> {
    let _ending = sandbox.ending.lock().await;
    stop_locked(shared, sandbox).await
}

async fn stop_locked(shared: &Arc<Shared>, sandbox: &Arc<Sandbox>) -> cri::Result<()> {
    if let Some(shim) = sandbox.shim() {
        match shim.command(Call::Stop).await {
            // The answer comes when nothing is left; a shim that is gone took everything with it.
            Ok(()) | Err(ShimError::Gone(_)) => {}
            Err(error) => return Err(error.into()),
        }
        shared.sandbox_ended(sandbox).await;
    }
    shared.network.detach(sandbox.id()).await
}

/// Removes the sandbox with its containers, stopping it first.
///
/// # Errors
/// When the network or the disk refuse.
pub async fn remove(shared: &Arc<Shared>, sandbox: &Arc<Sandbox>) -> cri::Result<()> {
    let _ending = sandbox.ending.lock().await;
    if shared.sandbox(sandbox.id()).is_none() {
        return Ok(());
    }
    stop_locked(shared, sandbox).await?;
    for container in shared.containers_of(sandbox.id()) {
        crate::container::remove::remove(shared, &container).await?;
    }
    shared.discard(&sandbox.directory, sandbox.id()).await?;
    shared.forget_sandbox(sandbox.id());
    shared.announce_sandbox(sandbox.id(), ContainerEventType::ContainerDeletedEvent);
    Ok(())
}
