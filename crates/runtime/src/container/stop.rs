//! Ending a container's process.

use std::time::Duration;

use super::Container;
use crate::shim::protocol::{Call, Failure};
use crate::shim_client::{ShimClient, ShimError};

/// How long a killed process may take to disappear: it can hang in the kernel, on a dead file server for instance.
const KILL_PATIENCE: Duration = Duration::from_secs(120);

/// Sends the stop signal, then kills after `timeout_seconds`; returns when the process is gone.
///
/// # Errors
/// [`cri::Error::DeadlineExceeded`] when even killing does not end it.
pub async fn stop(container: &Container, timeout_seconds: i64) -> cri::Result<()> {
    let Some(shim) = container.sandbox.shim().filter(|_| container.is_running()) else { return Ok(()) };
    if let Ok(seconds @ 1..) = u64::try_from(timeout_seconds) {
        let call = Call::Signal { container: container.id().to_owned(), signal: container.record.stop_signal };
        tell(&shim, call).await?;
        if tokio::time::timeout(Duration::from_secs(seconds), container.wait()).await.is_ok() {
            return Ok(());
        }
    }
    tell(&shim, Call::Kill { container: container.id().to_owned() }).await?;
    let gone = tokio::time::timeout(KILL_PATIENCE, container.wait()).await;
    gone.map_err(|_| cri::Error::DeadlineExceeded(format!("container {} does not end", container.id())))
}

/// A container that has ended meanwhile is what we want; so is one whose shim has.
async fn tell(shim: &ShimClient, call: Call) -> cri::Result<()> {
    match shim.command(call).await {
        Ok(()) | Err(ShimError::Gone(_) | ShimError::Refused(Failure::NotFound(_))) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
