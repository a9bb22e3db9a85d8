//! Starting a container's process.

use std::sync::Arc;

use cri::ContainerEventType;

use super::Container;
use crate::runtime::Shared;
use crate::shim::protocol::{Answer, Call, Failure};
use crate::shim::spec::{ContainerExit, ContainerPhase};
use crate::shim_client::ShimError;

/// Starts a created container; returns once its program runs.
///
/// # Errors
/// As [`cri::RuntimeService::start_container`]; the container has then exited with code 128 and reason `StartError`.
pub async fn start(shared: &Arc<Shared>, container: &Arc<Container>) -> cri::Result<()> {
    if container.phase().is_some() {
        return Err(cri::Error::Failed(format!("container {} was started before", container.id())));
    }
    let shim = container.sandbox.shim();
    let shim = shim.ok_or_else(|| cri::Error::Failed("the sandbox is not running".into()))?;
    match shim.call(Call::Start { container: container.id().to_owned() }, Vec::new()).await {
        Ok((Answer::Started { pid, started_at, user, warnings }, _)) => {
            shared.warn_once(&warnings);
            container.advance(ContainerPhase::Running { pid, started_at, user });
            shared.announce_container(container, ContainerEventType::ContainerStartedEvent);
            Ok(())
        }
        Ok(_) => Err(ShimError::Protocol.into()),
        Err(ShimError::Refused(Failure::Start(words))) => {
            let exit = ContainerExit {
                code: 128,
                started_at: 0,
                finished_at: shared.now(),
                oom_killed: false,
                start_error: Some(words.clone()),
            };
            container.advance(ContainerPhase::Exited(exit));
            shared.announce_container(container, ContainerEventType::ContainerStoppedEvent);
            Err(cri::Error::Failed(format!("failed to start container {:?}: {words}", container.id())))
        }
        Err(error) => Err(error.into()),
    }
}
