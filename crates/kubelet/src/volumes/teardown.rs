//! The end of a Pod's files: no mount, no directory stays.

use std::io;
use std::path::Path;

use crate::host::Host;

/// Unmounts everything below a Pod's directory and removes it; nothing there is fine. What is mounted is never
/// deleted: when a mount cannot be undone, the directory stays.
///
/// # Errors
/// What the host said.
pub fn tear_down(host: &dyn Host, pod_dir: &Path) -> io::Result<()> {
    if !pod_dir.exists() {
        return Ok(());
    }
    for mount in host.mounts_below(pod_dir)? {
        host.unmount(&mount)?;
    }
    match std::fs::remove_dir_all(pod_dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
