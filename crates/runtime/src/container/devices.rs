//! Device nodes of the host, for containers that may do nearly everything on it.

use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
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

/// What is taken away of a device that a container may not both read and write, in the words of the devices controller.
/// A device without permissions may be used as it is.
///
/// # Errors
/// When there is no such device.
pub fn denial(device: &cri::Device) -> io::Result<Option<String>> {
    let permissions = &device.permissions;
    let missing: String = ['r', 'w'].into_iter().filter(|access| !permissions.contains(*access)).collect();
    if permissions.is_empty() || missing.is_empty() {
        return Ok(None);
    }
    let about = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", device.host_path));
    let metadata = fs::metadata(&device.host_path).map_err(about)?;
    let kind = if metadata.file_type().is_block_device() { 'b' } else { 'c' };
    let (major, minor) = (rustix::fs::major(metadata.rdev()), rustix::fs::minor(metadata.rdev()));
    Ok(Some(format!("{kind} {major}:{minor} {missing}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn access_that_is_not_given_is_taken_away() {
        let device = |host_path: &str, permissions: &str| cri::Device {
            host_path: host_path.to_owned(),
            permissions: permissions.to_owned(),
            ..cri::Device::default()
        };
        for (permissions, expected) in [
            ("", None),
            ("rwm", None),
            ("rw", None),
            ("r", Some("c 1:5 w")),
            ("rm", Some("c 1:5 w")),
            ("w", Some("c 1:5 r")),
        ] {
            assert_eq!(denial(&device("/dev/zero", permissions)).unwrap().as_deref(), expected, "{permissions}");
        }
        assert!(denial(&device("/dev/none", "r")).unwrap_err().to_string().starts_with("/dev/none: "));
    }
}
