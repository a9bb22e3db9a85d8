//! Removing a container and everything made for it.

use std::fs;
use std::io;
use std::sync::Arc;

use cri::ContainerEventType;

use super::{Container, stop};
use crate::image::blocking::blocking;
use crate::runtime::Shared;
use crate::sandbox::Sandbox;

/// Removes the container, killing it if it runs.
///
/// # Errors
/// As [`cri::RuntimeService::remove_container`].
pub async fn remove(shared: &Arc<Shared>, container: &Arc<Container>) -> cri::Result<()> {
    stop::stop(container, 0).await?;
    let (worker, gone) = (shared.clone(), container.clone());
    blocking(move || clear(&worker, &gone.sandbox, gone.id(), &gone.record.spec.cgroup)).await?;
    shared.forget_container(container.id());
    shared.announce_container(container, ContainerEventType::ContainerDeletedEvent);
    Ok(())
}

/// Removes a container's traces on the host; what is gone already is fine.
///
/// # Errors
/// When the disk or the kernel refuse.
pub fn clear(shared: &Shared, sandbox: &Sandbox, id: &str, cgroup: &str) -> cri::Result<()> {
    shared.cgroups.remove(cgroup).map_err(|error| cri::Error::Failed(error.to_string()))?;
    shared.root_filesystems.remove(id)?;
    for path in [sandbox.directory.container_file(id), sandbox.directory.state_file(id)] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(cri::Error::Failed(format!("remove {}: {error}", path.display())));
            }
            _ => {}
        }
    }
    Ok(())
}
