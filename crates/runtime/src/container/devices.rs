//! Device nodes of the host, for containers that may do nearly everything on it.

use std::fs;
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use crate::shim::spec::DeviceSpec;

/// What a container has its own of, or that belongs to a login on the host.
const OWN: [&str; 12] =
    ["pts", "shm", "fd", "mqueue", "console", "ptmx", "null", "zero", "full", "random", "urandom", "tty"];

/// Every device node below a directory, which the container sees at the same path.
///
/// # Errors
/// When the directory itself cannot be read; what vanishes meanwhile is no device.
pub fn below(directory: &Path) -> io::Result<Vec<DeviceSpec>> {
    let mut devices = Vec::new();
    for entry in fs::read_dir(directory)?.flatten() {
        let name = entry.file_name();
        let Ok(kind) = entry.file_type() else { continue };
        if name.to_str().is_some_and(|name| OWN.contains(&name) || name.starts_with('.')) {
            continue;
        }
        let path = entry.path();
        if kind.is_dir() {
            devices.extend(below(&path).unwrap_or_default());
        } else if kind.is_char_device() || kind.is_block_device() {
            devices.push(DeviceSpec { target: path.to_string_lossy().into_owned(), source: path });
        }
    }
    Ok(devices)
}
